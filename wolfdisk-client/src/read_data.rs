//! The answer to a read: slices of mapped segments, cached bytes and zeroes, kept alive until dropped.

use std::time::Duration;

use bytes::Bytes;

use crate::cache::node::Reading;
use crate::chunks::reader::ChunkBytes;
use crate::error::{Error, Result};

/// Zeroes that stand for holes.
static ZEROES: [u8; 64 * 1024] = [0; 64 * 1024];

/// Where the file ends, as seen from the range that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// At or beyond the last byte asked for: the answer is whole.
    #[default]
    Beyond,
    /// Within the range or right before it: the answer shows the very end.
    Within,
    /// Before the range: the answer is empty and does not show where.
    Before,
}

impl End {
    /// For a file of `size` bytes and the range `[from, to)`.
    pub(crate) fn of(size: u64, from: u64, to: u64) -> End {
        if size >= to {
            End::Beyond
        } else if size >= from {
            End::Within
        } else {
            End::Before
        }
    }
}

/// Bytes of a file, in order, in one or more parts. Mapped parts hold their mapping: the bytes
/// stay as they are for as long as this value lives. Drop it only after the kernel has its answer:
/// until then the volume counts the read as under way.
#[derive(Debug, Default)]
pub struct ReadData {
    parts: Vec<Part>,
    length: usize,
    ino: u64,
    end: End,
    reading: Option<Reading>,
}

/// Bytes of a file: of a mapping that it holds, of a cache, or zeroes. They stay as they are while it lives.
#[derive(Debug)]
pub struct Piece(Part);

impl Piece {
    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Part::Bytes(bytes) => bytes.len(),
            Part::Chunk(bytes) => bytes.len(),
            Part::Zero(count) => *count,
        }
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the first `at` bytes, gives the others.
    ///
    /// # Panics
    /// There are fewer.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Piece {
        assert!(at <= self.len(), "{at} of {} bytes", self.len());
        Piece(match &mut self.0 {
            Part::Bytes(bytes) => Part::Bytes(bytes.split_off(at)),
            Part::Chunk(bytes) => Part::Chunk(bytes.split_off(at)),
            Part::Zero(count) => {
                let rest = *count - at;
                *count = at;
                Part::Zero(rest)
            }
        })
    }

    /// A page of the mapping that it lies in turned out to be unreadable: what was used of it may be wrong.
    pub fn is_damaged(&self) -> bool {
        matches!(&self.0, Part::Chunk(bytes) if bytes.is_damaged())
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Piece {
        Piece(Part::Bytes(bytes))
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        match &self.0 {
            Part::Bytes(bytes) => bytes,
            Part::Chunk(bytes) => bytes.as_slice(),
            Part::Zero(count) => ZEROES.get(..*count).unwrap_or_default(),
        }
    }
}

#[derive(Clone, Debug)]
enum Part {
    Bytes(Bytes),
    Chunk(ChunkBytes),
    Zero(usize),
}

impl ReadData {
    pub(crate) fn begin(ino: u64, reading: Reading) -> ReadData {
        ReadData {
            parts: Vec::new(),
            length: 0,
            ino,
            end: End::default(),
            reading: Some(reading),
        }
    }

    pub(crate) fn push_bytes(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        self.parts.push(Part::Bytes(bytes));
    }

    pub(crate) fn push_zeroes(&mut self, count: usize) {
        self.length += count;
        self.parts.push(Part::Zero(count));
    }

    pub(crate) fn push_chunk(&mut self, bytes: ChunkBytes) {
        self.length += bytes.len();
        self.parts.push(Part::Chunk(bytes));
    }

    /// Notes where the file ends.
    pub(crate) fn ends(&mut self, end: End) {
        self.end = end;
    }

    /// A cache that takes the place asked for as the end of the file would be wrong: the end is before it,
    /// and no answer has shown where since the cache was last told to forget.
    pub fn misleads(&self) -> bool {
        let known = |reading: &Reading| reading.is_end_known();
        self.end == End::Before && !self.reading.as_ref().is_none_or(known)
    }

    /// Waits until this answer does not mislead any more, at the most `deadline`.
    pub fn wait_for_end(&self, deadline: Duration) {
        if let Some(reading) = self.reading.as_ref().filter(|_| self.misleads()) {
            reading.wait_end_known(deadline);
        }
    }

    /// The kernel has taken the answer.
    pub fn taken(self) {
        if let Some(reading) = self.reading.filter(|_| self.end == End::Within) {
            reading.shown();
        }
    }

    /// Gives the parts up again, keeping the read under way.
    pub(crate) fn restart(&mut self) {
        self.parts.clear();
        self.length = 0;
    }

    /// Bytes in all parts: fewer than asked for only at the end of the file.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Nothing was read: the offset is at or beyond the end.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Gives every part in order. Look at [`ReadData::check`] after the bytes were used.
    pub fn for_each(&self, mut sink: impl FnMut(&[u8])) {
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => sink(bytes),
                Part::Chunk(bytes) => sink(bytes.as_slice()),
                &Part::Zero(mut count) => {
                    while count > 0 {
                        let now = count.min(ZEROES.len());
                        sink(ZEROES.get(..now).unwrap_or_default());
                        count -= now;
                    }
                }
            }
        }
    }

    /// Whether every page that was used could really be read.
    ///
    /// # Errors
    /// `Damaged` if a page of a mapping turned out to be unreadable.
    pub fn check(&self) -> Result<()> {
        let damaged = |part: &Part| matches!(part, Part::Chunk(bytes) if bytes.is_damaged());
        if self.parts.iter().any(damaged) {
            return Err(Error::Damaged {
                ino: self.ino,
                offset: 0,
            });
        }
        Ok(())
    }

    /// The parts in order, to be handed on without a copy. Look at [`Piece::is_damaged`] after the bytes of one were
    /// used. The kernel's cache of the file must not be told of them: the read no longer counts as under way.
    pub fn into_pieces(self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            let Part::Zero(mut count) = part else {
                pieces.push(Piece(part));
                continue;
            };
            while count > 0 {
                let now = count.min(ZEROES.len());
                pieces.push(Piece(Part::Zero(now)));
                count -= now;
            }
        }
        pieces
    }

    /// All bytes as one slice: without a copy if there is one part, else copied to `scratch`.
    ///
    /// # Errors
    /// `Damaged` if a page of a mapping turned out to be unreadable while it was copied.
    pub fn contiguous<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        match self.parts.as_slice() {
            [] => Ok(&[]),
            [Part::Bytes(bytes)] => Ok(bytes),
            [Part::Chunk(bytes)] => Ok(bytes.as_slice()),
            [Part::Zero(count)] if *count <= ZEROES.len() => {
                Ok(ZEROES.get(..*count).unwrap_or_default())
            }
            _ => {
                scratch.clear();
                scratch.reserve(self.length);
                self.for_each(|part| scratch.extend_from_slice(part));
                self.check()?;
                Ok(scratch)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_what_was_read_and_can_be_split() {
        let mut data = ReadData::default();
        data.push_bytes(Bytes::from_static(b"begin"));
        data.push_zeroes(ZEROES.len() + 3);
        data.push_chunk(ChunkBytes::Owned(Bytes::from_static(b"chunk")));
        let length = data.len();
        let mut pieces = data.into_pieces();
        let lengths: Vec<usize> = pieces.iter().map(Piece::len).collect();
        assert_eq!(lengths, [5, ZEROES.len(), 3, 5]);
        assert_eq!(lengths.iter().sum::<usize>(), length);
        for (place, (kept, rest)) in [(0, ("be", "gin")), (3, ("ch", "unk"))] {
            let cut = pieces[place].split_off(2);
            assert_eq!(pieces[place].as_ref(), kept.as_bytes());
            assert_eq!(cut.as_ref(), rest.as_bytes());
        }
        let zeroes = pieces[1].split_off(ZEROES.len() - 1);
        assert_eq!(zeroes.as_ref(), [0]);
        assert_eq!(pieces[1].len(), ZEROES.len() - 1);
        assert!(pieces.iter().all(|piece| !piece.is_damaged()));
    }
}
