//! Verified ranges of chunks on other machines: bounded, what was not used for longest goes first. A range is fetched
//! once at a time, whoever wants it. What is fetched ahead takes half of the room at the most until it is used.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use wolfdisk_common::ids::ChunkId;
use wolfdisk_proto::Failure;

use crate::error::Result;
use crate::limits;

/// A range of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Range {
    pub(crate) id: ChunkId,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Range {
    pub(crate) fn len(&self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }
}

/// What a fetch gave, for all who wait for it.
type Flight = Arc<OnceLock<Result<Bytes>>>;

#[derive(Debug)]
enum Slot {
    /// It will be fetched ahead.
    Wanted,
    /// It is being fetched; `ahead`: before anybody asked for it.
    Fetching { flight: Flight, ahead: bool },
    /// It is here; `ahead`: nobody has asked for it yet.
    Ready {
        bytes: Bytes,
        used: u64,
        ahead: bool,
    },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Ranges {
    state: Mutex<State>,
    changed: Condvar,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    slots: HashMap<Range, Slot>,
    /// What is ready, by when it was used.
    order: BTreeMap<u64, Range>,
    now: u64,
    /// Of what is ready.
    bytes: usize,
    /// Of what is wanted, fetched or ready and was not asked for yet.
    ahead_bytes: usize,
    wanted: usize,
}

impl Ranges {
    /// At most `max_bytes` of them, beside what readers hold.
    pub(crate) fn new(max_bytes: usize) -> Ranges {
        Ranges {
            state: Mutex::default(),
            changed: Condvar::new(),
            max_bytes,
        }
    }

    /// It is here or on its way.
    pub(crate) fn knows(&self, range: &Range) -> bool {
        self.state.lock().slots.contains_key(range)
    }

    /// Bytes that are kept, and how many there may be.
    pub(crate) fn kept(&self) -> (usize, usize) {
        (self.state.lock().bytes, self.max_bytes)
    }

    /// How much may be fetched ahead.
    pub(crate) fn ahead_max(&self) -> usize {
        self.max_bytes / 2
    }

    /// Notes that a range is to be fetched ahead, with [`Ranges::fetch_ahead`]; false if it is known, or there is too
    /// much of that already.
    pub(crate) fn want(&self, range: Range) -> bool {
        let mut state = self.state.lock();
        if state.slots.contains_key(&range)
            || state.wanted >= limits::READ_AHEAD_RANGES
            || state.ahead_bytes + range.len() > self.ahead_max()
        {
            return false;
        }
        state.ahead_bytes += range.len();
        state.wanted += 1;
        state.slots.insert(range, Slot::Wanted);
        true
    }

    /// Fetches a range that is wanted, unless somebody who needs it does or did.
    pub(crate) fn fetch_ahead(
        &self,
        range: Range,
        fetch: impl FnOnce() -> Result<Bytes>,
    ) -> Result<()> {
        let flight = {
            let mut state = self.state.lock();
            match state.slots.get_mut(&range) {
                Some(slot @ Slot::Wanted) => {
                    let flight = Flight::default();
                    *slot = Slot::Fetching {
                        flight: flight.clone(),
                        ahead: true,
                    };
                    state.wanted -= 1;
                    flight
                }
                _ => return Ok(()),
            }
        };
        self.land(range, &flight, fetch()).map(|_| ())
    }

    /// A range; fetches it if it is not here, or waits for whoever does.
    pub(crate) fn get(&self, range: Range, fetch: impl FnOnce() -> Result<Bytes>) -> Result<Bytes> {
        let until = Instant::now() + limits::CALL_DEADLINE * 2;
        let mut state = self.state.lock();
        let theirs = match state.ask(&range) {
            Asked::Here(bytes) => return Ok(bytes),
            Asked::Ours(flight) => {
                drop(state);
                return self.land(range, &flight, fetch());
            }
            Asked::Theirs(flight) => flight,
        };
        loop {
            if let Some(result) = theirs.get() {
                return result.clone();
            }
            if self.changed.wait_until(&mut state, until).timed_out() {
                return Err(Failure::Deadline("a chunk is being read".to_owned()).into());
            }
        }
    }

    /// Keeps what was fetched, and tells those who wait.
    fn land(&self, range: Range, flight: &Flight, result: Result<Bytes>) -> Result<Bytes> {
        let mut state = self.state.lock();
        state.land(range, &result);
        while state.bytes > self.max_bytes {
            state.drop_oldest();
        }
        // Nobody else sets it.
        let result = flight.get_or_init(|| result).clone();
        drop(state);
        self.changed.notify_all();
        result
    }
}

/// What somebody who needs a range has to do.
enum Asked {
    Here(Bytes),
    /// Fetch it.
    Ours(Flight),
    /// Wait for it.
    Theirs(Flight),
}

impl State {
    fn ask(&mut self, range: &Range) -> Asked {
        self.now += 1;
        let now = self.now;
        let length = range.len();
        let flight = Flight::default();
        let ours = || Slot::Fetching {
            flight: flight.clone(),
            ahead: false,
        };
        match self.slots.get_mut(range) {
            None => {
                self.slots.insert(*range, ours());
                Asked::Ours(flight)
            }
            Some(slot @ Slot::Wanted) => {
                *slot = ours();
                self.wanted -= 1;
                self.ahead_bytes -= length;
                Asked::Ours(flight)
            }
            Some(Slot::Fetching { flight, ahead }) => {
                if std::mem::take(ahead) {
                    self.ahead_bytes -= length;
                }
                Asked::Theirs(flight.clone())
            }
            Some(Slot::Ready { bytes, used, ahead }) => {
                if std::mem::take(ahead) {
                    self.ahead_bytes -= length;
                }
                self.order.remove(used);
                *used = now;
                self.order.insert(now, *range);
                Asked::Here(bytes.clone())
            }
        }
    }

    fn land(&mut self, range: Range, result: &Result<Bytes>) {
        let slot = self.slots.remove(&range);
        let ahead = matches!(slot, Some(Slot::Fetching { ahead: true, .. }));
        match result {
            Ok(bytes) => {
                self.now += 1;
                let used = self.now;
                self.bytes += range.len();
                self.order.insert(used, range);
                let bytes = bytes.clone();
                self.slots.insert(range, Slot::Ready { bytes, used, ahead });
            }
            Err(_) if ahead => self.ahead_bytes -= range.len(),
            Err(_) => {}
        }
    }

    fn drop_oldest(&mut self) {
        let Some((_, range)) = self.order.pop_first() else {
            return;
        };
        if let Some(Slot::Ready { ahead, .. }) = self.slots.remove(&range) {
            self.bytes -= range.len();
            if ahead {
                self.ahead_bytes -= range.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::Error;

    fn range(start: u32) -> Range {
        Range {
            id: ChunkId([1; 32]),
            start: start * 100,
            end: start * 100 + 100,
        }
    }

    fn bytes() -> Result<Bytes> {
        Ok(Bytes::from_static(&[7; 100]))
    }

    fn never() -> Result<Bytes> {
        panic!("it is here")
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let ranges = Ranges::new(300);
        (0..3).for_each(|at| drop(ranges.get(range(at), bytes).expect("bytes")));
        ranges.get(range(0), never).expect("here");
        ranges.get(range(3), bytes).expect("bytes");
        assert!(ranges.knows(&range(0)) && !ranges.knows(&range(1)) && ranges.knows(&range(2)));
        assert_eq!(ranges.kept(), (300, 300));
        // One that does not fit is given all the same.
        let small = Ranges::new(10);
        assert_eq!(small.get(range(0), bytes).expect("bytes").len(), 100);
        assert_eq!(small.kept(), (0, 10));
    }

    #[test]
    fn one_fetches_for_all() {
        let ranges = Ranges::new(1000);
        let (fetches, started) = (AtomicUsize::new(0), Barrier::new(2));
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                ranges.get(range(0), || {
                    fetches.fetch_add(1, Ordering::SeqCst);
                    started.wait();
                    bytes()
                })
            });
            while !ranges.knows(&range(0)) {
                std::thread::yield_now();
            }
            let second = scope.spawn(|| ranges.get(range(0), never));
            started.wait();
            assert!(first.join().expect("ended").is_ok() && second.join().expect("ended").is_ok());
        });
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_failure_is_told_and_not_kept() {
        let ranges = Ranges::new(1000);
        let failed = ranges.get(range(0), || Err(Error::Malformed("played")));
        assert!(failed.is_err() && !ranges.knows(&range(0)));
        assert!(ranges.want(range(1)));
        let failed = ranges.fetch_ahead(range(1), || Err(Error::Malformed("played")));
        assert!(failed.is_err() && !ranges.knows(&range(1)));
        assert_eq!(ranges.state.lock().ahead_bytes, 0);
        assert!(ranges.get(range(0), bytes).is_ok());
    }

    #[test]
    fn what_is_fetched_ahead_takes_half_of_the_room_until_it_is_used() {
        let ranges = Ranges::new(600);
        assert!((0..3).all(|at| ranges.want(range(at))));
        assert!(!ranges.want(range(3)), "half");
        assert!(!ranges.want(range(0)), "known");
        ranges.fetch_ahead(range(0), bytes).expect("bytes");
        assert!(!ranges.want(range(3)), "not used yet");
        ranges.get(range(0), never).expect("here");
        assert!(ranges.want(range(3)));
        // Whoever needs one that waits does not wait for its turn.
        ranges.get(range(1), bytes).expect("bytes");
        ranges.fetch_ahead(range(1), never).expect("done already");
        assert_eq!(ranges.state.lock().ahead_bytes, 200);
    }
}
