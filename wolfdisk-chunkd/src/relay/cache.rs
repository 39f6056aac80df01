//! Verified ranges of other nodes' chunks: bounded, what was not used for longest goes first. A range is fetched once at a
//! time, whoever wants it. In memory only, and no copy of anything: the store does not know of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use wolfdisk_common::ids::ChunkId;
use wolfdisk_common::limits::LEAF_SIZE_BYTES;
use wolfdisk_proto::failure::Failure;

use crate::limits;

const LEAF: u32 = LEAF_SIZE_BYTES as u32;

/// A range of a chunk: a leaf or a window of several, aligned. Its end may lie behind the chunk's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Range {
    pub(super) id: ChunkId,
    pub(super) start: u32,
    pub(super) length: u32,
}

impl Range {
    fn around(id: ChunkId, at: u32, length: u32) -> Range {
        let start = at - at % length;
        Range { id, start, length }
    }

    /// The range of the same length behind it, if there can be one.
    pub(super) fn next(self) -> Option<Range> {
        let start = self.start.checked_add(self.length)?;
        Some(Range { start, ..self })
    }

    pub(super) fn is_window(self) -> bool {
        self.length == limits::RELAY_FETCH_BYTES
    }
}

/// What of a range there is, verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) start: u32,
    pub(super) data: Bytes,
    /// Of all leaves of the chunk; none of a chunk of one.
    pub(super) leaves: Bytes,
    /// Bytes of the chunk.
    pub(super) chunk: u32,
}

impl Part {
    /// What it takes in memory.
    fn size(&self) -> usize {
        self.data.len() + self.leaves.len() + limits::RELAY_PART_BYTES
    }
}

/// What a fetch gave, for all who wait for it; none yet.
pub(super) type Landed = Option<Result<Arc<Part>, Failure>>;

/// What somebody who needs a range has to do.
pub(super) enum Asked {
    Here(Arc<Part>),
    /// Fetch it, and tell those who wait by [`Cache::land`].
    Ours(watch::Sender<Landed>),
    /// Wait for whoever does.
    Theirs(watch::Receiver<Landed>),
}

enum Slot {
    Fetching(watch::Receiver<Landed>),
    Ready { part: Arc<Part>, used: u64 },
}

/// See the module.
pub(super) struct Cache {
    state: Mutex<State>,
    max_bytes: usize,
}

#[derive(Default)]
struct State {
    slots: HashMap<Range, Slot>,
    /// What is ready, by when it was used.
    order: BTreeMap<u64, Range>,
    now: u64,
    bytes: usize,
}

impl Cache {
    /// At most `max_bytes`, beside what readers hold.
    pub(super) fn new(max_bytes: usize) -> Cache {
        Cache {
            state: Mutex::default(),
            max_bytes,
        }
    }

    /// Bytes that are kept, and how many there may be.
    pub(super) fn kept(&self) -> (usize, usize) {
        (self.state.lock().bytes, self.max_bytes)
    }

    /// The range that is fetched for what is read from `at` to `end`: leaves for one who jumps about, a window for one who
    /// wants much or reads on.
    pub(super) fn range_at(&self, id: ChunkId, at: u32, end: u32) -> Range {
        let window = Range::around(id, at, limits::RELAY_FETCH_BYTES);
        let leaf = Range::around(id, at, LEAF);
        let much = end.saturating_sub(leaf.start) > 2 * LEAF;
        let state = self.state.lock();
        let knows = |range: &Range| state.slots.contains_key(range);
        if much || knows(&window) || (!knows(&leaf) && state.reads_on(&leaf, &window)) {
            return window;
        }
        leaf
    }

    /// Whether what comes behind a window is wanted soon: it is read from its beginning on, or the one before was.
    pub(super) fn reads_on(&self, window: &Range) -> bool {
        let before = window.start.checked_sub(window.length);
        before.is_none_or(|start| {
            let range = Range { start, ..*window };
            self.state.lock().slots.contains_key(&range)
        })
    }

    /// Looks for a range. Whoever is to fetch it must, or drop what it was given.
    pub(super) fn ask(&self, range: Range) -> Asked {
        let mut state = self.state.lock();
        state.now += 1;
        let State {
            slots, order, now, ..
        } = &mut *state;
        match slots.get_mut(&range) {
            Some(Slot::Ready { part, used }) => {
                order.remove(used);
                *used = *now;
                order.insert(*now, range);
                Asked::Here(part.clone())
            }
            Some(Slot::Fetching(flight)) if flight.has_changed().is_ok() => {
                Asked::Theirs(flight.clone())
            }
            // Nobody does, or whoever did is gone.
            _ => {
                let (sender, flight) = watch::channel(None);
                slots.insert(range, Slot::Fetching(flight));
                Asked::Ours(sender)
            }
        }
    }

    /// Keeps what was fetched, and tells those who wait. A failure is told and not kept.
    pub(super) fn land(
        &self,
        range: Range,
        flight: &watch::Sender<Landed>,
        result: Result<Arc<Part>, Failure>,
    ) {
        let mut state = self.state.lock();
        state.slots.remove(&range);
        if let Ok(part) = &result {
            state.now += 1;
            let used = state.now;
            state.bytes += part.size();
            state.order.insert(used, range);
            let part = part.clone();
            state.slots.insert(range, Slot::Ready { part, used });
        }
        while state.bytes > self.max_bytes && state.drop_oldest() {}
        drop(state);
        flight.send_replace(Some(result));
    }
}

impl State {
    /// Whether what comes before a leaf is here or on its way.
    fn reads_on(&self, leaf: &Range, window: &Range) -> bool {
        let before = |range: &Range| {
            let start = range.start.checked_sub(range.length)?;
            Some(Range { start, ..*range })
        };
        let knows = |range: Range| self.slots.contains_key(&range);
        before(leaf).is_some_and(knows)
            || (leaf.start == window.start && before(window).is_some_and(knows))
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((_, range)) = self.order.pop_first() else {
            return false;
        };
        if let Some(Slot::Ready { part, .. }) = self.slots.remove(&range) {
            self.bytes -= part.size();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u32 = limits::RELAY_FETCH_BYTES;
    const ID: ChunkId = ChunkId([1; 32]);

    fn leaf(number: u32) -> Range {
        Range::around(ID, number * LEAF, LEAF)
    }

    fn part(range: Range) -> Arc<Part> {
        Arc::new(Part {
            start: range.start,
            data: vec![7; range.length as usize].into(),
            leaves: Bytes::new(),
            chunk: 4 * WINDOW,
        })
    }

    fn fetch(cache: &Cache, range: Range) {
        match cache.ask(range) {
            Asked::Ours(flight) => cache.land(range, &flight, Ok(part(range))),
            _ => panic!("{range:?} is known"),
        }
    }

    fn is_here(cache: &Cache, range: Range) -> bool {
        matches!(cache.ask(range), Asked::Here(_))
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_the_bound_holds() {
        let one = part(leaf(0)).size();
        let cache = Cache::new(3 * one);
        (0..3).for_each(|number| fetch(&cache, leaf(number)));
        assert!(is_here(&cache, leaf(0)));
        fetch(&cache, leaf(3));
        assert_eq!(cache.kept(), (3 * one, 3 * one));
        assert!(is_here(&cache, leaf(0)) && is_here(&cache, leaf(2)) && is_here(&cache, leaf(3)));
        assert!(!is_here(&cache, leaf(1)));
        // One that does not fit is given all the same, and not kept.
        let small = Cache::new(10);
        fetch(&small, leaf(0));
        assert_eq!(small.kept(), (0, 10));
    }

    #[test]
    fn one_fetches_for_all_and_one_that_is_gone_holds_up_nobody() {
        let cache = Cache::new(1 << 20);
        let Asked::Ours(first) = cache.ask(leaf(0)) else {
            panic!("nobody fetches it");
        };
        let Asked::Theirs(second) = cache.ask(leaf(0)) else {
            panic!("it is being fetched");
        };
        cache.land(leaf(0), &first, Ok(part(leaf(0))));
        assert!(matches!(&*second.borrow(), Some(Ok(part)) if part.start == 0));
        let gone = cache.ask(leaf(1));
        drop(gone);
        let Asked::Ours(flight) = cache.ask(leaf(1)) else {
            panic!("whoever fetched it is gone");
        };
        let failure = Failure::Errno(libc::ENOENT);
        cache.land(leaf(1), &flight, Err(failure));
        fetch(&cache, leaf(1));
    }

    #[test]
    fn who_jumps_about_gets_leaves_and_who_reads_on_windows() {
        let cache = Cache::new(64 << 20);
        let window = |at| Range::around(ID, at, WINDOW);
        assert_eq!(cache.range_at(ID, 5 * LEAF + 7, 5 * LEAF + 9), leaf(5));
        assert_eq!(cache.range_at(ID, 0, 3 * LEAF), window(0));
        fetch(&cache, leaf(5));
        assert_eq!(
            cache.range_at(ID, 5 * LEAF, 5 * LEAF + 1),
            leaf(5),
            "it is here"
        );
        assert_eq!(cache.range_at(ID, 6 * LEAF, 6 * LEAF + 1), window(0));
        fetch(&cache, window(0));
        assert_eq!(cache.range_at(ID, 5 * LEAF, 5 * LEAF + 1), window(0));
        assert_eq!(cache.range_at(ID, WINDOW, WINDOW + 1), window(WINDOW));
        assert_eq!(
            cache.range_at(ID, WINDOW + LEAF, WINDOW + LEAF + 1),
            leaf(17)
        );
        assert!(cache.reads_on(&window(0)) && cache.reads_on(&window(WINDOW)));
        assert!(!cache.reads_on(&window(2 * WINDOW)));
    }
}
