//! How many connections each address has: nobody may have all that there are. An IPv6 client has a whole network of
//! addresses, which counts as one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::CONNECTIONS_OF_ONE_MAX;

/// See the module. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection among the others, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    address: IpAddr,
}

impl Crowd {
    /// A place for one more of an address, if it has not too many.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count == CONNECTIONS_OF_ONE_MAX {
            return None;
        }
        *count += 1;
        let crowd = self.clone();
        Some(Place { crowd, address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        match counts.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(counts.remove(&self.address)),
        }
    }
}

/// What counts as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_all_and_places_come_back() {
        let crowd = Crowd::default();
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let enter = |text| crowd.enter(address(text));
        let mut places: Vec<_> = (0..CONNECTIONS_OF_ONE_MAX)
            .map(|_| enter("192.0.2.1").expect("a place"))
            .collect();
        assert!(enter("192.0.2.1").is_none());
        assert!(enter("::ffff:192.0.2.1").is_none());
        assert!(enter("192.0.2.2").is_some());
        drop(places.pop());
        assert!(enter("192.0.2.1").is_some());
        drop(places);
        assert!(crowd.0.lock().expect("a count").is_empty());
    }

    #[test]
    fn a_network_counts_as_one() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
    }
}
