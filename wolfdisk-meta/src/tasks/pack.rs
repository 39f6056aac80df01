//! Packs ranges into chunks: which bytes go where. Pure.

use bytes::Bytes;

/// A part of a range and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The position of the range among those that were packed.
    pub range: usize,
    /// Where the part begins in it.
    pub skipped: usize,
    /// Bytes of the part.
    pub length: usize,
    /// The position of the chunk.
    pub chunk: u32,
    /// Where in that chunk.
    pub chunk_offset: u32,
}

/// Chunks to put, and what goes where.
#[derive(Debug, Default, PartialEq)]
pub struct Packed {
    /// The content of each chunk.
    pub chunks: Vec<Vec<u8>>,
    /// In the order of the ranges.
    pub pieces: Vec<Piece>,
}

/// Packs the bytes of ranges into chunks of at most `chunk_size`, in the order given. A range that does not
/// fit into what is left of a chunk is split.
pub fn pack<'a>(ranges: impl IntoIterator<Item = &'a Bytes>, chunk_size: usize) -> Packed {
    let mut packed = Packed::default();
    for (range, bytes) in ranges.into_iter().enumerate() {
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
            packed.pieces.push(Piece {
                range,
                skipped: done,
                length: count,
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

    proptest! {
        #[test]
        fn every_byte_is_where_its_piece_says(
            lengths in proptest::collection::vec(1usize..300, 0..40),
            chunk_size in 1usize..500,
        ) {
            let range = |(number, length): (usize, &usize)| {
                (0..*length).map(|at| (at * 31 + number) as u8).collect::<Bytes>()
            };
            let ranges: Vec<Bytes> = lengths.iter().enumerate().map(range).collect();
            let packed = pack(&ranges, chunk_size);
            let total: usize = packed.chunks.iter().map(Vec::len).sum();
            prop_assert_eq!(total, lengths.iter().sum::<usize>());
            prop_assert!(packed.chunks.iter().all(|chunk| chunk.len() <= chunk_size));
            let mut moved = vec![0; ranges.len()];
            for piece in &packed.pieces {
                let bytes = &ranges[piece.range];
                prop_assert_eq!(piece.skipped, moved[piece.range]);
                let chunk = &packed.chunks[piece.chunk as usize];
                let (from, to) = (piece.skipped, piece.chunk_offset as usize);
                let length = piece.length;
                prop_assert_eq!(&chunk[to..to + length], &bytes[from..from + length]);
                moved[piece.range] += length;
            }
            prop_assert_eq!(moved, lengths);
        }
    }
}
