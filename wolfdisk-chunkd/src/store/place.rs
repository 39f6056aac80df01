//! Where a record is, and the order of appends.
//!
//! Segment numbers grow and each segment is only appended to, by one stream. So (segment, offset) orders
//! all appends ever made, and one u64 names a position in that order.

use wolfdisk_common::ids::SegmentId;
use wolfdisk_common::segment::RECORD_ALIGN_BYTES;

/// The start of a record, as the catalog keeps it: 32 bits of segment, 25 of offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The segment; numbers begin at 1.
    pub segment: SegmentId,
    /// A multiple of 8 below 256 MiB.
    pub offset: u64,
}

/// A position in the order of appends: everything before it comes earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

impl Position {
    /// The position of `offset` in `segment`.
    pub fn new(segment: SegmentId, offset: u64) -> Position {
        debug_assert!(offset <= u64::from(u32::MAX));
        Position(u64::from(segment.0) << 32 | offset)
    }

    /// The segment that holds it.
    pub fn segment(self) -> SegmentId {
        SegmentId((self.0 >> 32) as u32)
    }

    /// The offset in [`Position::segment`].
    pub fn offset(self) -> u64 {
        self.0 & u64::from(u32::MAX)
    }

    /// How much of `segment` lies before this position, given the segment's end.
    pub fn offset_in(self, segment: SegmentId, end: u64) -> u64 {
        match segment.cmp(&self.segment()) {
            std::cmp::Ordering::Less => end,
            std::cmp::Ordering::Equal => self.offset().min(end),
            std::cmp::Ordering::Greater => 0,
        }
    }
}

impl Place {
    /// The position of the record's first byte.
    pub fn position(self) -> Position {
        Position::new(self.segment, self.offset)
    }

    /// The offset in units of record alignment.
    pub(crate) fn unit(self) -> u64 {
        self.offset / RECORD_ALIGN_BYTES
    }
}
