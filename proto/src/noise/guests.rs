//! Who is connected from other machines, how many may be, and how often somebody was turned away.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use wolfdisk_common::limits::CONNECTIONS_MAX;
use wolfdisk_common::member::Principal;

use super::PublicKey;
use crate::failure::Failure;
use crate::limits::{CONNECTIONS_PER_KEY_MAX, HALF_OPEN_MAX, HALF_OPEN_PER_ADDRESS_MAX};
use crate::server::{OnClose, next_connection};

/// See the module. One for each listener.
#[derive(Debug, Default)]
pub struct Guests {
    seats: Mutex<Seats>,
    accepted: AtomicU64,
    crowded: AtomicU64,
    late: AtomicU64,
    garbled: AtomicU64,
    denied: AtomicU64,
}

#[derive(Debug, Default)]
struct Seats {
    /// In the order in which they came.
    half_open: BTreeMap<u64, HalfOpen>,
    taken: HashMap<u64, Taken>,
}

#[derive(Debug)]
struct HalfOpen {
    source: IpAddr,
    leave: Arc<Notify>,
}

#[derive(Debug)]
struct Taken {
    key: PublicKey,
    address: SocketAddr,
    leave: Arc<Notify>,
}

impl Seats {
    /// The one that has to go, if there is one, so that another from there may come. A handshake takes a few milliseconds, so the
    /// oldest is the least likely to be a good one: whoever floods the node keeps nobody out but at a rate that fills all places within that time.
    fn crowded_out(&self, source: IpAddr) -> Option<u64> {
        let same = || {
            self.half_open
                .iter()
                .filter(|(_, there)| there.source == source)
        };
        if same().count() >= HALF_OPEN_PER_ADDRESS_MAX {
            return same().next().map(|(number, _)| *number);
        }
        let full = self.half_open.len() >= HALF_OPEN_MAX;
        let oldest = full.then(|| self.half_open.keys().next());
        oldest.flatten().copied()
    }
}

impl Guests {
    /// Closes all connections of a static key, at once.
    pub fn expel(&self, public_key: &PublicKey) {
        for taken in self.seats.lock().taken.values() {
            if taken.key == *public_key {
                // Kept for one that is not waiting just now.
                taken.leave.notify_one();
            }
        }
    }

    /// Closes all connections but those of keys that are good.
    pub fn expel_others(&self, is_good: impl Fn(&PublicKey) -> bool) {
        for taken in self.seats.lock().taken.values() {
            if !is_good(&taken.key) {
                taken.leave.notify_one();
            }
        }
    }

    /// Open connections of a static key, and the address of the last.
    pub fn of(&self, public_key: &PublicKey) -> (u32, Option<SocketAddr>) {
        let seats = self.seats.lock();
        let own = seats
            .taken
            .iter()
            .filter(|(_, taken)| taken.key == *public_key);
        let count = own.clone().count() as u32;
        let last = own.max_by_key(|(number, _)| **number);
        (count, last.map(|(_, taken)| taken.address))
    }

    /// Counters by name, for people.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (open, half_open) = {
            let seats = self.seats.lock();
            (seats.taken.len() as u64, seats.half_open.len() as u64)
        };
        vec![
            ("connections_open", open),
            ("handshakes_open", half_open),
            ("connections_accepted", read(&self.accepted)),
            ("connections_over_limit", read(&self.crowded)),
            ("handshakes_late", read(&self.late)),
            ("handshakes_garbled", read(&self.garbled)),
            ("handshakes_denied", read(&self.denied)),
        ]
    }

    /// A place for somebody who has yet to say who it is; none: there are too many connections.
    pub(super) fn seat(self: &Arc<Self>, address: SocketAddr, on_close: OnClose) -> Option<Seat> {
        let mut seats = self.seats.lock();
        let source = address.ip();
        if let Some(oldest) = seats.crowded_out(source)
            && let Some(gone) = seats.half_open.remove(&oldest)
        {
            self.crowded.fetch_add(1, Ordering::Relaxed);
            gone.leave.notify_one();
        }
        if seats.taken.len() + seats.half_open.len() >= CONNECTIONS_MAX {
            self.crowded.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let (number, leave) = (next_connection(), Arc::new(Notify::new()));
        let half_open = HalfOpen {
            source,
            leave: leave.clone(),
        };
        seats.half_open.insert(number, half_open);
        Some(Seat {
            guests: self.clone(),
            number,
            address,
            leave,
            on_close,
        })
    }

    /// A handshake failed.
    pub(super) fn refused(&self, failure: &Failure) {
        let counter = match failure {
            Failure::Denied(_) => &self.denied,
            _ => &self.garbled,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A handshake took too long.
    pub(super) fn late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }
}

/// The place of one connection; given back when it is dropped.
pub(super) struct Seat {
    guests: Arc<Guests>,
    number: u64,
    address: SocketAddr,
    leave: Arc<Notify>,
    on_close: OnClose,
}

impl Seat {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Somebody has proven who it is.
    pub(super) fn taken(&self, principal: &Principal) -> Result<(), Failure> {
        let mut seats = self.guests.seats.lock();
        let key = principal.public_key;
        let own = seats.taken.values().filter(|taken| taken.key == key);
        if own.count() >= CONNECTIONS_PER_KEY_MAX {
            self.guests.crowded.fetch_add(1, Ordering::Relaxed);
            return Err(Failure::Unavailable(format!(
                "{CONNECTIONS_PER_KEY_MAX} connections of this machine are open; close some"
            )));
        }
        if seats.half_open.remove(&self.number).is_none() {
            let text = "too many handshakes are under way";
            return Err(Failure::Unavailable(text.to_owned()));
        }
        let taken = Taken {
            key,
            address: self.address,
            leave: self.leave.clone(),
        };
        seats.taken.insert(self.number, taken);
        self.guests.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Ends when it is to leave.
    pub(super) async fn expelled(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.guests.seats.lock();
        seats.half_open.remove(&self.number);
        seats.taken.remove(&self.number);
        drop(seats);
        (self.on_close)(self.number);
    }
}
