//! What is known of a file's content: where the bytes of each range are. Gaps are unknown, not zero.

use std::collections::BTreeMap;

use bytes::Bytes;
use wolfdisk_common::ids::ChunkId;

/// Beyond the end of every file.
pub(crate) const FOREVER: u64 = i64::MAX as u64;

/// Where the bytes of a range are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Here.
    Data(Bytes),
    /// In a chunk, from `offset` of it on.
    Chunk { id: ChunkId, offset: u32 },
    /// Nowhere: zeroes. `allocated` ones count as data for `st_blocks` and as a hole for reading.
    Hole { allocated: bool },
}

impl Source {
    /// The same `skip` bytes further on, `length` bytes long.
    fn part(&self, skip: u64, length: u64) -> Source {
        match self {
            Source::Data(bytes) => {
                Source::Data(bytes.slice(skip as usize..(skip + length) as usize))
            }
            Source::Chunk { id, offset } => Source::Chunk {
                id: *id,
                offset: offset + skip as u32,
            },
            Source::Hole { allocated } => Source::Hole {
                allocated: *allocated,
            },
        }
    }
}

/// A range and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) source: Source,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct PieceMap {
    pieces: BTreeMap<u64, (u64, Source)>,
    data_bytes: usize,
}

impl PieceMap {
    /// A file without content: everything is a hole.
    pub(crate) fn empty_file() -> PieceMap {
        let mut map = PieceMap::default();
        map.set(Piece {
            offset: 0,
            length: FOREVER,
            source: Source::Hole { allocated: false },
        });
        map
    }

    /// Bytes held by data pieces.
    pub(crate) fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// Number of pieces.
    pub(crate) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Nothing is known any more.
    pub(crate) fn clear(&mut self) {
        *self = PieceMap::default();
    }

    /// Forgets where data pieces are held in memory.
    pub(crate) fn drop_data(&mut self) {
        self.pieces
            .retain(|_, (_, source)| !matches!(source, Source::Data(_)));
        self.data_bytes = 0;
    }

    /// Sets what is known of a range, over what was.
    pub(crate) fn set(&mut self, piece: Piece) {
        if piece.length == 0 {
            return;
        }
        self.cut(piece.offset, piece.offset + piece.length);
        if let Source::Data(bytes) = &piece.source {
            self.data_bytes += bytes.len();
        }
        self.pieces
            .insert(piece.offset, (piece.length, piece.source));
    }

    /// Makes everything from `size` on a hole, as truncation does.
    pub(crate) fn truncate(&mut self, size: u64) {
        let length = FOREVER.saturating_sub(size);
        self.set(Piece {
            offset: size,
            length,
            source: Source::Hole { allocated: false },
        });
    }

    /// Forgets `[from, to)`.
    fn cut(&mut self, from: u64, to: u64) {
        let first = self
            .pieces
            .range(..from)
            .next_back()
            .map_or(from, |(&start, _)| start);
        let hit: Vec<u64> = self
            .pieces
            .range(first..to)
            .map(|(&start, _)| start)
            .collect();
        for start in hit {
            let Some((length, _)) = self.pieces.get(&start) else {
                continue;
            };
            let end = start + length;
            if end <= from {
                continue;
            }
            let Some((_, source)) = self.pieces.remove(&start) else {
                continue;
            };
            self.forget_bytes(&source);
            if start < from {
                self.keep(start, from - start, source.part(0, from - start));
            }
            if end > to {
                self.keep(to, end - to, source.part(to - start, end - to));
            }
        }
    }

    fn keep(&mut self, offset: u64, length: u64, source: Source) {
        if let Source::Data(bytes) = &source {
            self.data_bytes += bytes.len();
        }
        self.pieces.insert(offset, (length, source));
    }

    fn forget_bytes(&mut self, source: &Source) {
        if let Source::Data(bytes) = source {
            self.data_bytes -= bytes.len();
        }
    }

    /// The pieces of `[from, to)`, cut to it, up to the first gap; with the offset of the gap, which is
    /// `to` if there is none.
    pub(crate) fn walk(&self, from: u64, to: u64) -> (Vec<Piece>, u64) {
        let mut found = Vec::new();
        let mut at = from;
        let first = self
            .pieces
            .range(..=from)
            .next_back()
            .map_or(from, |(&start, _)| start);
        for (&start, (length, source)) in self.pieces.range(first..to) {
            let end = start + length;
            if end <= at {
                continue;
            }
            if start > at {
                break;
            }
            let length = end.min(to) - at;
            found.push(Piece {
                offset: at,
                length,
                source: source.part(at - start, length),
            });
            at += length;
            if at >= to {
                break;
            }
        }
        (found, at)
    }

    /// All known pieces that touch `[from, to)`, cut to it, gaps skipped.
    pub(crate) fn known(&self, from: u64, to: u64) -> Vec<Piece> {
        let mut found = Vec::new();
        let mut at = from;
        while at < to {
            let (mut pieces, gap) = self.walk(at, to);
            found.append(&mut pieces);
            let next = if gap < to {
                self.pieces.range(gap..to).next()
            } else {
                None
            };
            at = next.map_or(to, |(&next, _)| next);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Byte {
        Unknown,
        Zero,
        Data(u8),
        Chunk(u32),
    }

    fn expand(pieces: &[Piece], model: &mut [Byte]) {
        for piece in pieces {
            for index in 0..piece.length as usize {
                let at = piece.offset as usize + index;
                if at >= model.len() {
                    continue;
                }
                model[at] = match &piece.source {
                    Source::Data(bytes) => Byte::Data(bytes[index]),
                    Source::Chunk { offset, .. } => Byte::Chunk(offset + index as u32),
                    Source::Hole { .. } => Byte::Zero,
                };
            }
        }
    }

    fn piece() -> impl Strategy<Value = Piece> {
        (0u64..200, 1u64..60, 0u8..4, any::<u8>()).prop_map(|(offset, length, kind, value)| {
            let source = match kind {
                0 => Source::Data((0..length).map(|at| value.wrapping_add(at as u8)).collect()),
                1 | 2 => Source::Chunk {
                    id: ChunkId([1; 32]),
                    offset: u32::from(value),
                },
                _ => Source::Hole { allocated: false },
            };
            Piece {
                offset,
                length,
                source,
            }
        })
    }

    proptest! {
        #[test]
        fn it_is_an_array(
            pieces in prop::collection::vec((piece(), prop::option::weighted(0.1, 0u64..250)), 1..30),
            from in 0u64..250,
            length in 0u64..100,
        ) {
            let mut map = PieceMap::default();
            let mut model = vec![Byte::Unknown; 300];
            for (piece, truncate) in pieces {
                expand(std::slice::from_ref(&piece), &mut model);
                map.set(piece);
                if let Some(size) = truncate {
                    map.truncate(size);
                    model[size as usize..].fill(Byte::Zero);
                }
                let mut seen = vec![Byte::Unknown; 300];
                expand(&map.known(0, 300), &mut seen);
                prop_assert_eq!(&seen, &model);
                let data = model.iter().filter(|byte| matches!(byte, Byte::Data(_))).count();
                prop_assert_eq!(map.data_bytes(), data);
            }
            let to = from + length;
            let (found, gap) = map.walk(from, to);
            let mut seen = vec![Byte::Unknown; 300];
            expand(&found, &mut seen);
            for at in from..gap {
                prop_assert_eq!(seen.get(at as usize), model.get(at as usize));
            }
            prop_assert!(gap == to || (gap as usize) >= 300 || model[gap as usize] == Byte::Unknown);
        }
    }

    #[test]
    fn a_new_file_is_a_hole_that_writes_fill() {
        let mut map = PieceMap::empty_file();
        map.set(Piece {
            offset: 10,
            length: 3,
            source: Source::Data(Bytes::from_static(b"abc")),
        });
        let (found, gap) = map.walk(0, 100);
        assert_eq!((found.len(), gap), (3, 100));
        map.drop_data();
        assert_eq!(map.walk(0, 100).1, 10);
    }
}
