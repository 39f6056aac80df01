//! The catalog: which record holds a chunk, in 16 bytes a chunk.
//!
//! Open addressing with linear probing. The home slot is proportional to the first 8 bytes of the id, so
//! the table is nearly sorted and can be listed in order from anywhere. Ids are SHA-256, so prefixes are
//! spread evenly; two chunks may share a prefix, and who looks up compares the full id in the record.
//!
//! ```text
//! slot := prefix u64 (the id's first 8 bytes, big-endian) | word u64
//! word := segment 32 bits | offset / 8, 25 bits | stamp 7 bits ; zero: the slot is empty
//! ```
//!
//! The stamp counts put epochs from a base that the owner keeps; [`Catalog::rebase`] moves it. Stamps that
//! fall below the new base become the base: a chunk that looks younger is freed later, never sooner.

use wolfdisk_common::ids::{ChunkId, SegmentId};
use wolfdisk_common::segment::RECORD_ALIGN_BYTES;

use super::place::Place;
use crate::limits;

/// The largest stamp.
pub const STAMP_MAX: u8 = 127;
const STAMP_BITS: u32 = 7;

/// One chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The first 8 bytes of the id.
    pub prefix: u64,
    /// Its record.
    pub place: Place,
    /// The epoch of its last put, counted from the base.
    pub stamp: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    prefix: u64,
    word: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Catalog {
    slots: Vec<Slot>,
    used: usize,
}

/// The part of an id that the catalog keeps.
pub fn prefix(id: &ChunkId) -> u64 {
    id.0.first_chunk::<8>()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl Slot {
    fn new(entry: Entry) -> Slot {
        let place = u64::from(entry.place.segment.0) << 32 | entry.place.unit() << STAMP_BITS;
        Slot {
            prefix: entry.prefix,
            word: place | u64::from(entry.stamp.min(STAMP_MAX)),
        }
    }

    fn is_empty(self) -> bool {
        self.word == 0
    }

    fn entry(self) -> Entry {
        Entry {
            prefix: self.prefix,
            place: self.place(),
            stamp: (self.word as u8) & STAMP_MAX,
        }
    }

    fn place(self) -> Place {
        Place {
            segment: SegmentId((self.word >> 32) as u32),
            offset: ((self.word & u64::from(u32::MAX)) >> STAMP_BITS) * RECORD_ALIGN_BYTES,
        }
    }
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog::for_chunks(0)
    }
}

impl Catalog {
    /// An empty catalog with room for `chunks`.
    pub fn for_chunks(chunks: usize) -> Catalog {
        let slots = (chunks + chunks / 2).max(limits::CATALOG_SLOTS_MIN);
        Catalog {
            slots: vec![Slot::default(); slots],
            used: 0,
        }
    }

    /// Chunks in it.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether no chunk is in it.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// All chunks, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        self.slots
            .iter()
            .filter(|slot| !slot.is_empty())
            .map(|slot| slot.entry())
    }

    /// The chunks whose id begins with `prefix`.
    pub fn candidates(&self, prefix: u64) -> impl Iterator<Item = Entry> + '_ {
        self.probe(prefix)
            .filter(move |(_, slot)| slot.prefix == prefix)
            .map(|(_, slot)| slot.entry())
    }

    /// Adds a chunk. The owner has made sure that the chunk is not in it yet.
    pub fn insert(&mut self, entry: Entry) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        self.place_in_table(Slot::new(entry));
    }

    /// Removes the chunk at `place`; none if it is not there.
    pub fn remove(&mut self, prefix: u64, place: Place) -> Option<Entry> {
        let (index, slot) = self.find(prefix, place)?;
        self.close_gap(index);
        self.used -= 1;
        Some(slot.entry())
    }

    /// Moves a chunk's record from one place to another and keeps its stamp; false if it is not there.
    pub fn relocate(&mut self, prefix: u64, from: Place, to: Place) -> bool {
        let Some((index, slot)) = self.find(prefix, from) else {
            return false;
        };
        self.set(
            index,
            Slot::new(Entry {
                place: to,
                ..slot.entry()
            }),
        );
        true
    }

    /// Stamps the chunk at `place`; false if it is not there.
    pub fn stamp(&mut self, prefix: u64, place: Place, stamp: u8) -> bool {
        let Some((index, slot)) = self.find(prefix, place) else {
            return false;
        };
        self.set(
            index,
            Slot::new(Entry {
                stamp,
                ..slot.entry()
            }),
        );
        true
    }

    /// Moves the base of all stamps up by `by`.
    pub fn rebase(&mut self, by: u64) {
        let by = u8::try_from(by).unwrap_or(STAMP_MAX);
        for slot in self.slots.iter_mut().filter(|slot| !slot.is_empty()) {
            let entry = slot.entry();
            *slot = Slot::new(Entry {
                stamp: entry.stamp.saturating_sub(by),
                ..entry
            });
        }
    }

    /// At least `max` chunks, if there are so many, with a prefix of `from` or more: the smallest ones,
    /// sorted, all of an equal prefix together. And whether it is certain that these are all.
    pub fn list(&self, from: u64, max: usize) -> (Vec<Entry>, bool) {
        let mut entries = Vec::new();
        let mut start = self.home(from);
        while start < self.slots.len() {
            let end = (start + (2 * max).max(64)).min(self.slots.len());
            self.homes_in(start..end, &mut entries);
            entries.retain(|entry| entry.prefix >= from);
            start = end;
            if entries.len() > max {
                break;
            }
        }
        entries.sort_unstable();
        let mut all = start >= self.slots.len();
        if let Some(last) = max.checked_sub(1).and_then(|last| entries.get(last)) {
            let prefix = last.prefix;
            let keep = entries.partition_point(|entry| entry.prefix <= prefix);
            all &= keep == entries.len();
            entries.truncate(keep);
        }
        (entries, all)
    }

    /// Adds the entries whose home slot is in `homes` to `into`: they lie there or after, up to the first
    /// empty slot.
    fn homes_in(&self, homes: std::ops::Range<usize>, into: &mut Vec<Entry>) {
        for step in 0..self.slots.len() {
            let index = (homes.start + step) % self.slots.len();
            let slot = self.at(index);
            let beyond = homes.start + step >= homes.end;
            if slot.is_empty() {
                if beyond {
                    break;
                }
            } else if homes.contains(&self.home(slot.prefix)) {
                into.push(slot.entry());
            }
        }
    }

    fn home(&self, prefix: u64) -> usize {
        ((u128::from(prefix) * self.slots.len() as u128) >> 64) as usize
    }

    fn at(&self, index: usize) -> Slot {
        self.slots.get(index).copied().unwrap_or_default()
    }

    fn set(&mut self, index: usize, slot: Slot) {
        if let Some(room) = self.slots.get_mut(index) {
            *room = slot;
        }
    }

    fn probe(&self, prefix: u64) -> impl Iterator<Item = (usize, Slot)> + '_ {
        let home = self.home(prefix);
        let count = self.slots.len();
        (0..count)
            .map(move |step| (home + step) % count)
            .map(|index| (index, self.at(index)))
            .take_while(|(_, slot)| !slot.is_empty())
    }

    fn find(&self, prefix: u64, place: Place) -> Option<(usize, Slot)> {
        self.probe(prefix)
            .find(|(_, slot)| slot.prefix == prefix && slot.place() == place)
    }

    fn place_in_table(&mut self, slot: Slot) {
        let index = self.probe(slot.prefix).count();
        let index = (self.home(slot.prefix) + index) % self.slots.len();
        self.set(index, slot);
        self.used += 1;
    }

    /// Empties a slot and moves back those after it that had to make way, so that probing finds them
    /// (Knuth, The Art of Computer Programming 3, 6.4, algorithm R).
    fn close_gap(&mut self, mut gap: usize) {
        let count = self.slots.len();
        let mut next = gap;
        loop {
            next = (next + 1) % count;
            let slot = self.at(next);
            if slot.is_empty() {
                break;
            }
            let home = self.home(slot.prefix);
            let from_home = (next + count - home) % count;
            let from_gap = (next + count - gap) % count;
            if from_home >= from_gap {
                self.set(gap, slot);
                gap = next;
            }
        }
        self.set(gap, Slot::default());
    }

    fn grow(&mut self) {
        let larger = Catalog::for_chunks(self.slots.len());
        let old = std::mem::replace(self, larger);
        old.slots
            .into_iter()
            .filter(|slot| !slot.is_empty())
            .for_each(|slot| self.place_in_table(slot));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn place(number: u32) -> Place {
        Place {
            segment: SegmentId(1 + number % 5),
            offset: u64::from(number) * 8,
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64),
        Remove(u64),
        Stamp(u64, u8),
        Relocate(u64),
        Rebase(u8),
    }

    fn prefixes() -> impl Strategy<Value = u64> {
        // Crowded at both ends, so that runs meet and wrap around.
        prop_oneof![
            (0u64..40).prop_map(|low| low << 50),
            (0u64..40).prop_map(|low| u64::MAX - (low << 40)),
            any::<u64>()
        ]
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => prefixes().prop_map(Step::Insert),
            3 => prefixes().prop_map(Step::Remove),
            1 => (prefixes(), 0..=STAMP_MAX).prop_map(|(prefix, stamp)| Step::Stamp(prefix, stamp)),
            1 => prefixes().prop_map(Step::Relocate),
            1 => (0u8..10).prop_map(Step::Rebase),
        ];
        proptest::collection::vec(step, 0..3000)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
        #[test]
        fn it_behaves_like_a_map(steps in steps(), from in prefixes(), max in 1usize..50) {
            let mut catalog = Catalog::default();
            let mut model: BTreeMap<u64, (Place, u8)> = BTreeMap::new();
            for (number, step) in (1u32..).zip(steps) {
                match step {
                    Step::Insert(prefix) => {
                        model.entry(prefix).or_insert_with(|| {
                            catalog.insert(Entry { prefix, place: place(number), stamp: 3 });
                            (place(number), 3)
                        });
                    }
                    Step::Remove(prefix) => {
                        let known = model.remove(&prefix);
                        let at = known.map_or(place(1), |(place, _)| place);
                        let removed = catalog.remove(prefix, at);
                        prop_assert_eq!(removed.map(|entry| (entry.place, entry.stamp)), known);
                    }
                    Step::Stamp(prefix, stamp) => {
                        if let Some((at, old)) = model.get_mut(&prefix) {
                            *old = stamp;
                            prop_assert!(catalog.stamp(prefix, *at, stamp));
                        }
                    }
                    Step::Relocate(prefix) => {
                        if let Some((at, _)) = model.get_mut(&prefix) {
                            prop_assert!(catalog.relocate(prefix, *at, place(number)));
                            *at = place(number);
                        }
                    }
                    Step::Rebase(by) => {
                        catalog.rebase(by.into());
                        model.values_mut().for_each(|(_, stamp)| *stamp = stamp.saturating_sub(by));
                    }
                }
            }
            prop_assert_eq!(catalog.len(), model.len());
            for (prefix, (at, stamp)) in &model {
                let found: Vec<_> = catalog.candidates(*prefix).collect();
                prop_assert_eq!(found, vec![Entry { prefix: *prefix, place: *at, stamp: *stamp }]);
            }
            let (listed, all) = catalog.list(from, max);
            let expected: Vec<u64> = model.range(from..).map(|(prefix, _)| *prefix).take(max).collect();
            prop_assert_eq!(all, model.range(from..).count() <= max);
            let listed: Vec<u64> = listed.iter().map(|entry| entry.prefix).collect();
            prop_assert_eq!(listed, expected);
        }
    }

    #[test]
    fn chunks_with_one_prefix_live_side_by_side() {
        let mut catalog = Catalog::default();
        let entries: Vec<_> = (1..9)
            .map(|number| Entry {
                prefix: 77,
                place: place(number),
                stamp: 0,
            })
            .collect();
        entries.iter().for_each(|entry| catalog.insert(*entry));
        assert_eq!(catalog.candidates(77).count(), 8);
        let mut sorted = entries.clone();
        sorted.sort_unstable();
        assert_eq!(catalog.list(0, 3).0, sorted);
        assert_eq!(catalog.list(0, 8), (sorted, true));
        assert!(catalog.remove(77, place(3)).is_some());
        assert_eq!(catalog.candidates(77).count(), 7);
    }
}
