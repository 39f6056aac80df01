//! `SEEK_DATA` and `SEEK_HOLE` in whole blocks: a block with any data in it is data.
//!
//! Extents begin and end at any byte. Local file systems know whole blocks only, and programs rely on it:
//! QEMU, when it bypasses the page cache, ends if a hole begins inside of one.

use crate::error::Result;
use crate::limits::HOLE_BLOCK_BYTES;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Data,
    Hole,
}

fn down(offset: u64) -> u64 {
    offset - offset % HOLE_BLOCK_BYTES
}

fn up(offset: u64) -> u64 {
    offset
        .checked_next_multiple_of(HOLE_BLOCK_BYTES)
        .unwrap_or(u64::MAX)
}

/// The first offset from `offset` on, below `size`, that is in a block with data. `next` gives the first
/// byte from an offset on that is (in) what is wanted, none if there is none before the end.
pub(crate) fn data(
    offset: u64,
    mut next: impl FnMut(u64, Wanted) -> Result<Option<u64>>,
) -> Result<Option<u64>> {
    let found = next(down(offset), Wanted::Data)?;
    Ok(found.map(|at| down(at).max(offset)))
}

/// The first offset from `offset` on that is in a block without data, or `size`, since every file ends
/// with a hole.
pub(crate) fn hole(
    offset: u64,
    size: u64,
    mut next: impl FnMut(u64, Wanted) -> Result<Option<u64>>,
) -> Result<u64> {
    let mut block = down(offset);
    while block < size {
        match next(block, Wanted::Data)? {
            Some(at) if down(at) == block => {
                block = next(at, Wanted::Hole)?.map_or(size, up);
            }
            _ => return Ok(block.max(offset)),
        }
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: usize = HOLE_BLOCK_BYTES as usize;

    fn next(bytes: &[bool]) -> impl FnMut(u64, Wanted) -> Result<Option<u64>> + '_ {
        |from, wanted| {
            let found = bytes.iter().enumerate().skip(from as usize);
            let mut found = found.filter(|(_, data)| **data == (wanted == Wanted::Data));
            Ok(found.next().map(|(at, _)| at as u64))
        }
    }

    /// Whether the block around `at` has data, by looking at each byte.
    fn is_data(bytes: &[bool], at: usize) -> bool {
        let start = at / BLOCK * BLOCK;
        bytes[start..bytes.len().min(start + BLOCK)].contains(&true)
    }

    proptest! {
        #[test]
        fn blocks_are_data_or_hole_as_a_whole(
            size in 1..6 * BLOCK,
            ranges in prop::collection::vec((0..6 * BLOCK, 1..2 * BLOCK), 0..5),
            offset in 0..6 * BLOCK,
        ) {
            let mut bytes = vec![false; size];
            for (start, length) in ranges {
                let end = size.min(start + length);
                bytes[start.min(end)..end].fill(true);
            }
            let offset = offset % size;
            let expected = (offset..size).find(|at| is_data(&bytes, *at));
            let found = data(offset as u64, next(&bytes)).expect("no error");
            prop_assert_eq!(found, expected.map(|at| at as u64));
            let expected = (offset..size).find(|at| !is_data(&bytes, *at)).unwrap_or(size);
            let found = hole(offset as u64, size as u64, next(&bytes)).expect("no error");
            prop_assert_eq!(found, expected as u64);
        }
    }
}
