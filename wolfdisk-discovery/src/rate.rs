//! How many datagrams are looked at: so many of each address, so many of all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

use crate::limits::{SOURCE_RATE, SOURCES_MAX, TOTAL_RATE};

/// What has been used up of a second's worth; it drains as time passes.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    used: f64,
    at: Duration,
}

impl Bucket {
    fn take(&mut self, now: Duration, rate: u32) -> bool {
        self.drain(now, rate);
        let free = self.used + 1.0 <= f64::from(rate);
        if free {
            self.used += 1.0;
        }
        free
    }

    fn drain(&mut self, now: Duration, rate: u32) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.used = (self.used - passed * f64::from(rate)).max(0.0);
        self.at = now.max(self.at);
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Rates {
    total: Bucket,
    sources: HashMap<IpAddr, Bucket>,
    others: Bucket,
}

/// Which limit a datagram exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// That of its address.
    Source,
    /// That of all.
    Total,
}

impl Rates {
    /// Whether a datagram of an address is looked at.
    ///
    /// # Errors
    /// It is not.
    pub fn take(&mut self, now: Duration, source: IpAddr) -> Result<(), Excess> {
        if !self.sources.contains_key(&source) && self.sources.len() >= SOURCES_MAX {
            self.sources.retain(|_, bucket| {
                bucket.drain(now, SOURCE_RATE);
                bucket.used > 0.0
            });
        }
        let room = self.sources.len() < SOURCES_MAX;
        let bucket = match self.sources.entry(source) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) if room => place.insert(Bucket::default()),
            Entry::Vacant(_) => &mut self.others,
        };
        if !bucket.take(now, SOURCE_RATE) {
            return Err(Excess::Source);
        }
        match self.total.take(now, TOTAL_RATE) {
            true => Ok(()),
            false => Err(Excess::Total),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(number))
    }

    #[test]
    fn a_flood_of_one_address_leaves_the_others_alone() {
        let mut rates = Rates::default();
        let now = Duration::from_secs(5);
        let taken = (0..1000).filter(|_| rates.take(now, address(1)).is_ok());
        assert_eq!(taken.count(), SOURCE_RATE as usize);
        assert_eq!(rates.take(now, address(2)), Ok(()));
        let later = now + Duration::from_millis(100);
        assert_eq!(rates.take(later, address(1)), Ok(()));
    }

    #[test]
    fn a_flood_of_all_addresses_is_bounded_and_so_is_what_is_known_of_them() {
        let mut rates = Rates::default();
        let now = Duration::from_secs(5);
        let taken = (0..100_000).filter(|number| rates.take(now, address(*number)).is_ok());
        assert!(taken.count() <= TOTAL_RATE as usize);
        assert!(rates.sources.len() <= SOURCES_MAX);
        let later = now + Duration::from_secs(2);
        assert_eq!(rates.take(later, address(7_000_000)), Ok(()));
        assert!(rates.sources.len() <= 2);
    }
}
