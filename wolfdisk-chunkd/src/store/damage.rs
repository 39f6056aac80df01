//! What is known to be damaged: which records, and which of their bytes.
//!
//! A damaged chunk stays in the catalog: the blocks of it that still match their checksums are served, as
//! everywhere after a check, and the others are refused. It is never taken for a stored copy of what is
//! put: the put's bytes take its place, which heals it. It goes from here when it is healed or freed.
//!
//! The table only spares a second look and tells people. Every read checks for itself, so losing the
//! table (it is kept in the scrub file, [`super::progress`]) costs no safety.

use std::collections::BTreeMap;
use std::ops::Range;

use wolfdisk_common::ids::{ChunkId, SegmentId};

use super::place::Place;

/// A chunk with bytes that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The chunk.
    pub id: ChunkId,
    /// Its length.
    pub length: u32,
    /// The bytes concerned, ascending and apart; whole blocks.
    pub ranges: Vec<Range<u32>>,
}

impl Damage {
    /// Nothing of the chunk can be served.
    pub fn is_total(&self) -> bool {
        matches!(self.ranges.as_slice(), [all] if all.start == 0 && all.end == self.length)
    }

    /// Whether a range touches damaged bytes.
    pub fn touches(&self, offset: u32, length: u32) -> bool {
        let end = offset.saturating_add(length);
        self.ranges
            .iter()
            .any(|range| range.start < end && offset < range.end)
    }

    /// Bytes concerned.
    pub fn bytes(&self) -> u64 {
        self.ranges
            .iter()
            .map(|range| u64::from(range.end - range.start))
            .sum()
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct DamageTable {
    records: BTreeMap<Place, Damage>,
    revision: u64,
}

impl DamageTable {
    /// Counts the changes.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What is damaged of the record at a place.
    pub fn get(&self, place: Place) -> Option<&Damage> {
        self.records.get(&place)
    }

    /// Notes damage; false if it was known just so.
    pub fn insert(&mut self, place: Place, damage: Damage) -> bool {
        let news = self.records.get(&place) != Some(&damage);
        if news {
            self.revision += 1;
            self.records.insert(place, damage);
        }
        news
    }

    /// The record has been freed, healed or moved, or turned out to be intact.
    pub fn remove(&mut self, place: Place) -> bool {
        let known = self.records.remove(&place).is_some();
        self.revision += u64::from(known);
        known
    }

    /// Whether a segment holds a damaged chunk.
    pub fn is_in(&self, segment: SegmentId) -> bool {
        let first = Place { segment, offset: 0 };
        self.records
            .range(first..)
            .next()
            .is_some_and(|(place, _)| place.segment == segment)
    }

    /// All of it, by place.
    pub fn iter(&self) -> impl Iterator<Item = (Place, &Damage)> {
        self.records.iter().map(|(place, damage)| (*place, damage))
    }

    /// Damaged chunks.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing is known to be damaged.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// Blocks that do not match, as ranges of bytes of a payload of `length` bytes.
pub fn ranges_of(blocks: &[usize], block_bytes: usize, length: u32) -> Vec<Range<u32>> {
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for block in blocks {
        let start = u32::try_from(block * block_bytes).unwrap_or(length);
        let end = start.saturating_add(block_bytes as u32).min(length);
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_blocks_are_one_range_and_the_last_is_cut() {
        assert_eq!(
            ranges_of(&[0, 1, 3], 4096, 12_300),
            vec![0..8192, 12_288..12_300]
        );
        let damage = Damage {
            id: ChunkId([0; 32]),
            length: 12_300,
            ranges: ranges_of(&[1], 4096, 12_300),
        };
        assert!(damage.touches(8191, 1) && damage.touches(0, 4097));
        assert!(!damage.touches(0, 4096) && !damage.touches(8192, 4096));
        assert!(!damage.is_total());
        assert_eq!(damage.bytes(), 4096);
    }
}
