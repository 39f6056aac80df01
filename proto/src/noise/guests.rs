//! Who is connected from other machines, how many may be, and how often somebody was turned away.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use wolfdisk_common::limits::CONNECTIONS_MAX;
use wolfdisk_common::member::Principal;

use super::PublicKey;
use super::limits::{CONNECTIONS_PER_KEY_MAX, HALF_OPEN_MAX, HALF_OPEN_PER_ADDRESS_MAX};
use crate::failure::Failure;
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
    taken: HashMap<u64, Taken>,
    half_open: HashMap<IpAddr, usize>,
    half_open_in_all: usize,
}

#[derive(Debug)]
struct Taken {
    key: PublicKey,
    address: SocketAddr,
    leave: Arc<Notify>,
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
        let open = self.seats.lock().taken.len() as u64;
        vec![
            ("connections_open", open),
            ("connections_accepted", read(&self.accepted)),
            ("connections_over_limit", read(&self.crowded)),
            ("handshakes_late", read(&self.late)),
            ("handshakes_garbled", read(&self.garbled)),
            ("handshakes_denied", read(&self.denied)),
        ]
    }

    /// A place for somebody who has yet to say who it is; none: there are too many.
    pub(super) fn seat(self: &Arc<Self>, address: SocketAddr, on_close: OnClose) -> Option<Seat> {
        let mut seats = self.seats.lock();
        let source = address.ip();
        let same = seats.half_open.get(&source).copied().unwrap_or_default();
        let open = seats.taken.len() + seats.half_open_in_all;
        let full = seats.half_open_in_all >= HALF_OPEN_MAX || open >= CONNECTIONS_MAX;
        if full || same >= HALF_OPEN_PER_ADDRESS_MAX {
            self.crowded.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        seats.half_open_in_all += 1;
        seats.half_open.insert(source, same + 1);
        Some(Seat {
            guests: self.clone(),
            number: next_connection(),
            address,
            taken: None,
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

    fn leave_half_open(seats: &mut Seats, source: IpAddr) {
        seats.half_open_in_all = seats.half_open_in_all.saturating_sub(1);
        let left = seats.half_open.get(&source).copied().unwrap_or_default();
        match left {
            0 | 1 => seats.half_open.remove(&source),
            more => seats.half_open.insert(source, more - 1),
        };
    }
}

/// The place of one connection; given back when it is dropped.
pub(super) struct Seat {
    guests: Arc<Guests>,
    number: u64,
    address: SocketAddr,
    taken: Option<Arc<Notify>>,
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
    pub(super) fn taken(&mut self, principal: &Principal) -> Result<(), Failure> {
        let mut seats = self.guests.seats.lock();
        let key = principal.public_key;
        let own = seats.taken.values().filter(|taken| taken.key == key);
        if own.count() >= CONNECTIONS_PER_KEY_MAX {
            self.guests.crowded.fetch_add(1, Ordering::Relaxed);
            return Err(Failure::Unavailable(format!(
                "{CONNECTIONS_PER_KEY_MAX} connections of this machine are open; close some"
            )));
        }
        Guests::leave_half_open(&mut seats, self.address.ip());
        let leave = Arc::new(Notify::new());
        let taken = Taken {
            key,
            address: self.address,
            leave: leave.clone(),
        };
        seats.taken.insert(self.number, taken);
        self.taken = Some(leave);
        self.guests.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Ends when it is to leave.
    pub(super) fn expelled(&self) -> impl Future<Output = ()> + use<> {
        let leave = self.taken.clone();
        async move {
            match leave {
                Some(leave) => leave.notified().await,
                None => std::future::pending().await,
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.guests.seats.lock();
        match self.taken {
            Some(_) => {
                seats.taken.remove(&self.number);
            }
            None => Guests::leave_half_open(&mut seats, self.address.ip()),
        }
        drop(seats);
        (self.on_close)(self.number);
    }
}
