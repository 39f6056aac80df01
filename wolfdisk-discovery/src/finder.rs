//! Finds nodes to connect to: the one that answered last, those that are heard, those that are configured, and where
//! nodes were before.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use uuid::Uuid;
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::config::{self, Config, Peer};
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::member::Who;
use wolfdisk_proto::Failure;
use wolfdisk_proto::noise::{Targets, Welcome};

use crate::beacon::BeaconKey;
use crate::discovery::{Discovery, View};
use crate::heard::Trust;
use crate::interfaces::SystemInterfaces;
use crate::limits::{FAILED_FOR, FOUND_WITHIN, HEARD_WITHIN, RESOLVED_FOR};
use crate::seen::{Place, Seen, SeenFile};

/// See the module. Whatever it cannot do (listen, read or write what it saw) it says in the log, and goes on with the rest.
#[derive(Debug)]
pub struct Finder {
    cluster: Option<Uuid>,
    discovery: Option<Discovery>,
    /// `host:port` of those that are configured ..
    peers: Vec<String>,
    /// .. and of those that were there when this machine joined.
    before: Vec<String>,
    file: Option<SeenFile>,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where somebody answered last.
    good: Option<SocketAddr>,
    /// There too, though beacons said that nobody is there any more: to who has no key they are hints.
    stays: Option<SocketAddr>,
    /// Where nobody did, and when.
    failed: HashMap<SocketAddr, Instant>,
    names: HashMap<String, (Instant, Vec<SocketAddr>)>,
    seen: Seen,
}

impl Finder {
    /// For a member, or somebody who joins. Listens from now on.
    pub fn new(config: &Config, credentials: &Credentials) -> Finder {
        let paths = config.paths();
        let key = match credentials.who {
            Who::Node => match ClusterKey::load(&paths) {
                Ok(key) => Some(BeaconKey::of(&key)),
                Err(error) => {
                    tracing::warn!(%error, "beacons are taken as hints only");
                    None
                }
            },
            Who::Member(_) | Who::Joining(_) => None,
        };
        let trust = Trust {
            cluster: credentials.cluster,
            key,
        };
        // Who has not joined yet leaves nothing behind.
        let file = match credentials.who {
            Who::Joining(_) => None,
            Who::Node | Who::Member(_) => Some(SeenFile::new(paths.seen_nodes())),
        };
        let peers = config.cluster.peers.iter().map(Peer::as_str);
        let peers = peers.map(str::to_owned).collect();
        let before = credentials.addresses.clone();
        Finder::with(config.cluster.discovery, trust, peers, before, file)
    }

    fn with(
        group: config::Discovery,
        trust: Trust,
        peers: Vec<String>,
        before: Vec<String>,
        file: Option<SeenFile>,
    ) -> Finder {
        let cluster = trust.cluster;
        let discovery = match Discovery::start(group, trust, None, Box::new(SystemInterfaces)) {
            Ok(discovery) => Some(discovery),
            Err(error) => {
                tracing::warn!(%error, "nodes are not listened for");
                None
            }
        };
        let seen = file.as_ref().map(SeenFile::load).transpose();
        let seen = seen.unwrap_or_else(|error| {
            tracing::warn!(%error, "where nodes were seen before is not known");
            None
        });
        let state = State {
            seen: seen.unwrap_or_default(),
            ..State::default()
        };
        Finder {
            cluster,
            discovery,
            peers,
            before,
            file,
            began: Instant::now(),
            state: Mutex::new(state),
        }
    }

    /// What is heard; none: it cannot be listened.
    pub fn view(&self) -> Option<&View> {
        self.discovery.as_ref().map(Discovery::view)
    }

    /// Waits until there is somebody to connect to, at most so long; whether there is.
    pub fn wait_until_found(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        !self.known().is_empty() || self.hears(until)
    }

    /// Whether a node is heard, at the latest then.
    fn hears(&self, until: Instant) -> bool {
        let discovery = self.discovery.as_ref();
        let listening = discovery.filter(|discovery| discovery.is_listening());
        listening.is_some_and(|discovery| discovery.view().wait(until))
    }

    /// The addresses of names: of each at most once in a while, and not under the lock.
    fn resolved(&self, names: &[String]) -> Vec<SocketAddr> {
        let mut all = Vec::new();
        for name in names {
            let known = self.state.lock().names.get(name).cloned();
            let fresh = known.filter(|(at, _)| at.elapsed() < RESOLVED_FOR);
            if let Some((_, addresses)) = fresh {
                all.extend(addresses);
                continue;
            }
            let addresses: Vec<_> = match name.to_socket_addrs() {
                Ok(addresses) => addresses.collect(),
                Err(error) => {
                    tracing::debug!(name, %error, "the address of a node is not known");
                    Vec::new()
                }
            };
            all.extend(&addresses);
            let entry = (Instant::now(), addresses);
            self.state.lock().names.insert(name.clone(), entry);
        }
        all
    }

    fn has_left(&self, state: &State, address: SocketAddr) -> bool {
        let heard_elsewhere = self.view().is_some_and(|view| view.has_left(address));
        heard_elsewhere && state.stays != Some(address)
    }

    /// All that are known at present, the most promising first.
    fn known(&self) -> Vec<SocketAddr> {
        let heard = self.view().map(View::addresses);
        let (peers, before) = (self.resolved(&self.peers), self.resolved(&self.before));
        let state = self.state.lock();
        let all = (state.good.into_iter())
            .chain(heard.into_iter().flatten())
            .chain(peers)
            .chain(state.seen.addresses(self.cluster))
            .chain(before);
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in all {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        // The one that failed longest ago is tried first, one where nobody can be any more last.
        let now = Instant::now();
        addresses.sort_by_cached_key(|address| {
            let failed = state.failed.get(address).copied();
            let failed = failed.filter(|at| now.saturating_duration_since(*at) < FAILED_FOR);
            (self.has_left(&state, *address), failed)
        });
        addresses
    }
}

impl Targets for Finder {
    fn addresses(&self) -> Vec<SocketAddr> {
        let known = self.known();
        // Who has just begun to listen gives nodes the time to answer.
        let first = match known.is_empty() {
            true => FOUND_WITHIN,
            false => HEARD_WITHIN,
        };
        if self.began.elapsed() >= first {
            return known;
        }
        match self.hears(self.began + first) {
            true => self.known(),
            false => known,
        }
    }

    fn reached(&self, address: SocketAddr, welcome: &Welcome) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let place = Place {
            cluster: Uuid::from_bytes(welcome.cluster),
            address,
            at_s: now.map_or(0, |since| since.as_secs()),
        };
        let heard_elsewhere = self.view().is_some_and(|view| view.has_left(address));
        let seen = {
            let mut state = self.state.lock();
            state.stays = heard_elsewhere.then_some(address);
            state.good = Some(address);
            state.failed.remove(&address);
            state.seen.note(place).then(|| state.seen.clone())
        };
        if let (Some(seen), Some(file)) = (seen, &self.file)
            && let Err(error) = file.store(&seen)
        {
            tracing::warn!(%error, "where nodes were seen cannot be kept");
        }
    }

    fn failed(&self, address: SocketAddr, failure: &Failure) {
        tracing::debug!(%address, %failure, "no node answers there");
        let mut state = self.state.lock();
        if state.good == Some(address) {
            state.good = None;
        }
        state.failed.retain(|_, at| at.elapsed() < FAILED_FOR);
        state.failed.insert(address, Instant::now());
    }

    fn have_left(&self, address: SocketAddr) -> bool {
        self.has_left(&self.state.lock(), address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finder(peers: &[&str], before: &[&str], file: Option<SeenFile>) -> Finder {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let trust = Trust {
            cluster: Some(Uuid::from_bytes([1; 16])),
            key: None,
        };
        Finder::with(
            config::Discovery::None,
            trust,
            owned(peers),
            owned(before),
            file,
        )
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn welcome(cluster: u8) -> Welcome {
        Welcome {
            cluster: [cluster; 16],
            ..Welcome::default()
        }
    }

    #[test]
    fn the_last_good_one_is_first_and_those_that_fail_last() {
        let finder = finder(
            &["10.0.0.1:1", "10.0.0.2:1"],
            &["10.0.0.3:1", "10.0.0.1:1"],
            None,
        );
        let [one, two, three] = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"].map(at);
        assert_eq!(finder.addresses(), [one, two, three]);
        finder.reached(three, &welcome(1));
        assert_eq!(finder.addresses(), [three, one, two]);
        let gone = Failure::Disconnected("gone".to_owned());
        finder.failed(three, &gone);
        assert_eq!(finder.addresses(), [one, two, three]);
        finder.failed(one, &gone);
        assert_eq!(finder.addresses(), [two, three, one]);
        finder.failed(three, &gone);
        finder.reached(one, &welcome(1));
        assert_eq!(finder.addresses(), [one, two, three]);
    }

    #[test]
    fn where_nodes_were_is_known_after_a_restart() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = || Some(SeenFile::new(directory.path().join("nodes.seen")));
        let first = finder(&[], &[], file());
        assert!(!first.wait_until_found(Duration::ZERO));
        first.reached(at("10.0.0.9:1"), &welcome(2));
        first.reached(at("10.0.0.7:1"), &welcome(1));
        let again = finder(&["10.0.0.1:1"], &[], file());
        assert!(again.wait_until_found(Duration::ZERO));
        // Not those of another cluster.
        assert_eq!(again.addresses(), [at("10.0.0.1:1"), at("10.0.0.7:1")]);
        std::fs::write(directory.path().join("nodes.seen"), "damaged").expect("written");
        assert_eq!(
            finder(&["10.0.0.1:1"], &[], file()).addresses(),
            [at("10.0.0.1:1")]
        );
    }

    #[test]
    fn names_are_looked_up_and_those_that_are_none_do_no_harm() {
        let finder = finder(&["no.such.name.invalid:9500", "localhost:9500"], &[], None);
        let addresses = finder.addresses();
        assert!(!addresses.is_empty() && addresses.iter().all(|one| one.ip().is_loopback()));
        assert_eq!(finder.state.lock().names.len(), 2);
    }
}
