//! Packs ranges of the log into chunks: which bytes go where. Pure.

use bytes::Bytes;

use crate::index::UndestagedRange;
use crate::index::op::DestageMove;

/// A chunk to put: its bytes, and the moves into it, whose `chunk` is its position.
#[derive(Debug, Default, PartialEq)]
pub struct Packed {
    /// The content of each chunk.
    pub chunks: Vec<Vec<u8>>,
    /// What goes where.
    pub moves: Vec<DestageMove>,
}

/// Packs ranges with their bytes into chunks of at most `chunk_size`, in the order given. A range that
/// does not fit into what is left of a chunk is split.
pub fn pack(ranges: &[(UndestagedRange, Bytes)], chunk_size: usize) -> Packed {
    let mut packed = Packed::default();
    for (range, bytes) in ranges {
        let mut done = 0;
        while done < bytes.len() {
            let full = packed
                .chunks
                .last()
                .is_none_or(|chunk| chunk.len() >= chunk_size);
            if full {
                packed.chunks.push(Vec::new());
            }
            let chunk = packed.chunks.len() - 1;
            let Some(room) = packed.chunks.last_mut() else {
                break;
            };
            let count = (chunk_size - room.len()).min(bytes.len() - done);
            packed.moves.push(DestageMove {
                ino: range.ino,
                offset: range.offset + done as u64,
                length: count as u64,
                log_index: range.log_index,
                log_offset: range.log_offset + done as u32,
                chunk: chunk as u32,
                chunk_offset: room.len() as u32,
            });
            room.extend_from_slice(bytes.get(done..done + count).unwrap_or_default());
            done += count;
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wolfdisk_common::ids::{Ino, LogIndex};

    proptest! {
        #[test]
        fn every_byte_is_where_its_move_says(
            lengths in proptest::collection::vec(1usize..300, 0..40),
            chunk_size in 1usize..500,
        ) {
            let range = |(number, length): (usize, &usize)| {
                let range = UndestagedRange {
                    ino: Ino(number as u64),
                    offset: 1000,
                    length: *length as u64,
                    log_index: LogIndex(number as u64),
                    log_offset: 7,
                };
                let bytes = (0..*length).map(|at| (at * 31 + number) as u8);
                (range, bytes.collect::<Bytes>())
            };
            let ranges: Vec<_> = lengths.iter().enumerate().map(range).collect();
            let packed = pack(&ranges, chunk_size);
            let total: usize = packed.chunks.iter().map(Vec::len).sum();
            prop_assert_eq!(total, lengths.iter().sum::<usize>());
            prop_assert!(packed.chunks.iter().all(|chunk| chunk.len() <= chunk_size));
            let mut moved = vec![0; ranges.len()];
            for step in &packed.moves {
                let (range, bytes) = &ranges[step.ino.0 as usize];
                let from = (step.log_offset - range.log_offset) as usize;
                prop_assert_eq!(step.offset - range.offset, from as u64);
                let chunk = &packed.chunks[step.chunk as usize];
                let to = step.chunk_offset as usize;
                let length = step.length as usize;
                prop_assert_eq!(&chunk[to..to + length], &bytes[from..from + length]);
                moved[step.ino.0 as usize] += length;
            }
            prop_assert_eq!(moved, lengths);
        }
    }
}
