//! Extent maths: cutting and joining pieces of content. Pure; knows nothing of keys or versions.

use bytes::Bytes;

use super::record::ExtentSource;

/// A piece of content: `[start, start + length)` of the file is `source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Offset in the file.
    pub start: u64,
    /// Bytes; never 0.
    pub length: u64,
    /// Where they are.
    pub source: ExtentSource,
}

impl Extent {
    /// The first offset after it.
    pub fn end(&self) -> u64 {
        self.start + self.length
    }

    /// The part of it within `[from, to)`, if any.
    pub fn part(&self, from: u64, to: u64) -> Option<Extent> {
        let (from, to) = (from.max(self.start), to.min(self.end()));
        if from >= to {
            return None;
        }
        let source = self.source.skip(from - self.start, to - from);
        Some(Extent {
            start: from,
            length: to - from,
            source,
        })
    }

    /// The same bytes at another place.
    pub fn moved(self, start: u64) -> Extent {
        Extent { start, ..self }
    }

    /// This and `next` as one, if `next` goes on where this ends, in the file and at its source.
    pub fn joined(&self, next: &Extent) -> Option<Extent> {
        if self.end() != next.start {
            return None;
        }
        let source = self.source.joined(self.length, &next.source)?;
        Some(Extent {
            start: self.start,
            length: self.length + next.length,
            source,
        })
    }
}

impl ExtentSource {
    /// The source `by` bytes further on, for `length` bytes.
    fn skip(&self, by: u64, length: u64) -> ExtentSource {
        match self {
            // The offsets fit: `by` is within an extent that lies within its chunk or entry.
            ExtentSource::Chunk {
                id,
                chunk_length,
                offset,
            } => ExtentSource::Chunk {
                id: *id,
                chunk_length: *chunk_length,
                offset: *offset + by as u32,
            },
            ExtentSource::Log { log_index, offset } => ExtentSource::Log {
                log_index: *log_index,
                offset: *offset + by as u32,
            },
            ExtentSource::Inline { bytes } => ExtentSource::Inline {
                bytes: bytes.slice(by as usize..(by + length) as usize),
            },
            ExtentSource::Zero => ExtentSource::Zero,
        }
    }

    /// One source for `length` bytes of this and then `next`, if there is one.
    fn joined(&self, length: u64, next: &ExtentSource) -> Option<ExtentSource> {
        use ExtentSource::{Chunk, Inline, Log, Zero};
        let follows = |offset: u32, next: u32| u64::from(offset) + length == u64::from(next);
        match (self, next) {
            (
                Chunk { id, offset, .. },
                Chunk {
                    id: other,
                    offset: then,
                    ..
                },
            ) if id == other && follows(*offset, *then) => Some(self.clone()),
            (
                Log { log_index, offset },
                Log {
                    log_index: other,
                    offset: then,
                },
            ) if log_index == other && follows(*offset, *then) => Some(self.clone()),
            (Inline { bytes }, Inline { bytes: more })
                if bytes.len() + more.len() <= wolfdisk_common::limits::INLINE_DATA_MAX_BYTES =>
            {
                Some(Inline {
                    bytes: Bytes::from([bytes.as_ref(), more.as_ref()].concat()),
                })
            }
            (Zero, Zero) => Some(Zero),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wolfdisk_common::ids::{ChunkId, LogIndex};

    fn sources() -> impl Strategy<Value = Extent> {
        (0u64..1000, 1u64..400, 0u8..4).prop_map(|(start, length, kind)| {
            let source = match kind {
                0 => ExtentSource::Chunk {
                    id: ChunkId([1; 32]),
                    chunk_length: 9999,
                    offset: 7,
                },
                1 => ExtentSource::Log {
                    log_index: LogIndex(3),
                    offset: 11,
                },
                2 => ExtentSource::Inline {
                    bytes: vec![5; length as usize].into(),
                },
                _ => ExtentSource::Zero,
            };
            Extent {
                start,
                length,
                source,
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_cut_joins_to_what_it_was(extent in sources(), at in 0u64..400) {
            let middle = extent.start + at;
            let parts = (extent.part(0, middle), extent.part(middle, u64::MAX));
            match parts {
                (Some(left), Some(right)) => {
                    prop_assert_eq!(left.length + right.length, extent.length);
                    prop_assert_eq!(left.joined(&right), Some(extent));
                }
                (Some(one), None) | (None, Some(one)) => prop_assert_eq!(one, extent),
                (None, None) => prop_assert!(false, "an extent vanished"),
            }
        }

        #[test]
        fn what_does_not_touch_does_not_join(extent in sources(), gap in 1u64..9) {
            let next = extent.clone().moved(extent.end() + gap);
            prop_assert_eq!(extent.joined(&next), None);
        }
    }
}
