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
