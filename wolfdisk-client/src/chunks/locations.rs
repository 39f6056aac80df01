//! Where chunks lie in segments, as far as known: bounded, and dropped with the segment.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use wolfdisk_common::ids::{ChunkId, SegmentId};

use crate::limits;

/// The place of a chunk's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: SegmentId,
    pub(crate) record_offset: u64,
    pub(crate) payload_offset: u64,
    pub(crate) length: u32,
}

/// See the module. What was learned first is forgotten first: asking again costs one call.
#[derive(Debug, Default)]
pub(crate) struct Locations {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    places: HashMap<ChunkId, Place>,
    order: VecDeque<ChunkId>,
}

impl Locations {
    /// The place of a chunk.
    pub(crate) fn get(&self, id: &ChunkId) -> Option<Place> {
        self.known.lock().places.get(id).copied()
    }

    /// Keeps a place.
    pub(crate) fn learn(&self, id: ChunkId, place: Place) {
        let mut known = self.known.lock();
        if known.places.insert(id, place).is_none() {
            known.order.push_back(id);
        }
        while known.order.len() > limits::LOCATIONS_MAX {
            if let Some(oldest) = known.order.pop_front() {
                known.places.remove(&oldest);
            }
        }
    }

    /// Forgets a place that turned out to be wrong.
    pub(crate) fn forget(&self, id: &ChunkId) {
        let mut known = self.known.lock();
        known.places.remove(id);
        known.order.retain(|other| other != id);
    }

    /// Forgets everything in a segment.
    pub(crate) fn forget_segment(&self, segment: SegmentId) {
        let mut known = self.known.lock();
        let Known { places, order } = &mut *known;
        places.retain(|_, place| place.segment != segment);
        order.retain(|id| places.contains_key(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_and_forgets_by_segment() {
        let locations = Locations::default();
        let id = |number: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            ChunkId(bytes)
        };
        for number in 0..limits::LOCATIONS_MAX + 10 {
            let segment = SegmentId(number as u32 % 2);
            locations.learn(
                id(number),
                Place {
                    segment,
                    record_offset: 64,
                    payload_offset: 200,
                    length: 1,
                },
            );
        }
        assert_eq!(locations.get(&id(9)), None);
        assert!(locations.get(&id(10)).is_some());
        locations.forget_segment(SegmentId(0));
        assert_eq!(locations.get(&id(12)), None);
        assert!(locations.get(&id(11)).is_some());
    }
}
