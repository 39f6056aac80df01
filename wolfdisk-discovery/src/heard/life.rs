//! What is known of one life of one node: from a start to its end.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::beacon::{About, Presence};
use crate::limits::{ADDRESSES_MAX, LEFT_AFTER, SILENT_AFTER};
use crate::window::Window;

/// See the module.
#[derive(Clone, Debug)]
pub struct Life {
    /// The newest beacon.
    pub presence: Presence,
    /// When anything was last heard of it.
    pub last: Duration,
    /// Its first and its last answer to a question of ours: then it lived.
    pub proven: Option<(Duration, Duration)>,
    /// Its clock minus ours when it last answered, in milliseconds.
    pub skew_ms: i64,
    addresses: Vec<(SocketAddr, Duration)>,
    window: Window,
}

impl Life {
    /// One that was never heard of; [`Life::hear`] comes next.
    pub fn new(presence: Presence, now: Duration) -> Life {
        Life {
            presence,
            last: now,
            proven: None,
            skew_ms: 0,
            addresses: Vec::new(),
            window: Window::default(),
        }
    }

    /// Notes a beacon from an address; false: it is not new.
    pub fn hear(&mut self, presence: Presence, from: SocketAddr, now: Now) -> bool {
        if !self.window.accept(presence.counter) {
            return false;
        }
        self.last = now.monotonic;
        if presence.answers.is_some() {
            let first = self.proven.map_or(now.monotonic, |(first, _)| first);
            self.proven = Some((first, now.monotonic));
            self.skew_ms = presence.about.wall_ms.wrapping_sub(now.wall_ms) as i64;
        }
        if let Some(address) = place(&presence.about, from) {
            self.addresses.retain(|(known, _)| *known != address);
            self.addresses.insert(0, (address, now.monotonic));
            self.addresses.truncate(ADDRESSES_MAX);
        }
        if presence.counter >= self.presence.counter {
            self.presence = presence;
        }
        true
    }

    /// Whether it is still heard.
    pub fn is_live(&self, now: Duration) -> bool {
        now.saturating_sub(self.last) <= SILENT_AFTER
    }

    /// Whether it is known where it is: not every beacon tells that.
    pub fn is_found(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Where its wolfdisk-meta is, the surest first: this very machine, then IPv4 for the eyes of people, each of which
    /// was heard as lately as any.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let fresh = |at: Duration| self.last.saturating_sub(at) <= SILENT_AFTER;
        let heard = self.addresses.iter().filter(|(_, at)| fresh(*at));
        let mut addresses: Vec<_> = heard.map(|(address, _)| *address).collect();
        addresses.sort_by_key(|address| (!address.ip().is_loopback(), address.is_ipv6(), *address));
        addresses
    }

    /// Whether it is heard elsewhere, and not at this address any more; nothing is known of one where it never was.
    pub fn has_left(&self, address: SocketAddr, now: Duration) -> Option<bool> {
        let mut known = self.addresses.iter();
        let (_, at) = known.find(|(known, _)| *known == address)?;
        let heard_lately = |at: Duration| now.saturating_sub(at) <= LEFT_AFTER;
        Some(!heard_lately(*at) && heard_lately(self.last))
    }

    /// Whether both lived at one time: each answered after the other had.
    pub fn overlaps(&self, other: &Life) -> bool {
        match (self.proven, other.proven) {
            (Some((first, last)), Some((other_first, other_last))) => {
                last > other_first && other_last > first
            }
            _ => false,
        }
    }
}

/// Where its wolfdisk-meta can be reached, as a beacon from an address tells.
fn place(about: &About, from: SocketAddr) -> Option<SocketAddr> {
    let mut address = from;
    address.set_port(about.meta_port);
    match about.listens {
        IpAddr::V6(everywhere) if everywhere.is_unspecified() => Some(address),
        IpAddr::V4(everywhere) if everywhere.is_unspecified() => from.is_ipv4().then_some(address),
        // A loopback address is that of whoever hears it.
        one => {
            let near = from.ip().is_loopback() || !one.is_loopback();
            near.then_some(SocketAddr::new(one, about.meta_port))
        }
    }
}

/// The two clocks when something was received.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Never goes back.
    pub monotonic: Duration,
    /// In milliseconds since 1970.
    pub wall_ms: u64,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use wolfdisk_common::node_id::NodeId;

    use super::*;

    #[test]
    fn who_is_heard_elsewhere_only_has_left() {
        let [old, new] = ["10.0.0.1:9", "10.0.0.2:9"].map(|text| text.parse().expect("an address"));
        let about = About {
            listens: IpAddr::from([0; 4]),
            meta_port: 9,
            ..About::default()
        };
        let presence = |counter| Presence {
            cluster: Uuid::nil(),
            node: NodeId::parse("alpha").expect("an id"),
            start: 1,
            counter,
            answers: None,
            about: about.clone(),
        };
        let at = |seconds| Now {
            monotonic: Duration::from_secs(seconds),
            wall_ms: 0,
        };
        let mut life = Life::new(presence(1), Duration::ZERO);
        life.hear(presence(1), old, at(1));
        let left =
            |life: &Life, address, seconds| life.has_left(address, Duration::from_secs(seconds));
        assert_eq!(left(&life, new, 1), None, "it never was there");
        assert_eq!(left(&life, old, 9), Some(false), "it is not heard at all");
        life.hear(presence(2), new, at(2));
        assert_eq!(left(&life, old, 3), Some(false), "it may be at both");
        life.hear(presence(3), new, at(4));
        assert_eq!(left(&life, old, 4), Some(true));
        assert_eq!(left(&life, new, 4), Some(false));
        life.hear(presence(4), old, at(5));
        assert_eq!(left(&life, old, 5), Some(false), "it came back");
    }

    #[test]
    fn where_a_node_listens_is_where_it_is_found() {
        let heard = |listens: &str, from: &str| {
            let about = About {
                listens: listens.parse().expect("an address"),
                meta_port: 9,
                ..About::default()
            };
            let from = SocketAddr::new(from.parse().expect("an address"), 77);
            place(&about, from).map(|address| address.to_string())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(heard("0.0.0.0", "10.0.0.1"), some("10.0.0.1:9"));
        assert_eq!(heard("0.0.0.0", "fe80::1"), None);
        assert_eq!(heard("::", "10.0.0.1"), some("10.0.0.1:9"));
        assert_eq!(heard("::", "fe80::1"), some("[fe80::1]:9"));
        assert_eq!(heard("10.0.0.7", "10.0.0.1"), some("10.0.0.7:9"));
        assert_eq!(heard("127.0.0.1", "127.0.0.1"), some("127.0.0.1:9"));
        assert_eq!(heard("127.0.0.1", "10.0.0.1"), None);
    }
}
