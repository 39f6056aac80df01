//! The answer to a read: slices of mapped segments, cached bytes and zeroes, kept alive until dropped.

use bytes::Bytes;

use crate::error::Result;

/// Zeroes that stand for holes.
static ZEROES: [u8; 64 * 1024] = [0; 64 * 1024];

/// Bytes of a file, in order, in one or more parts. Mapped parts hold their mapping: the bytes
/// stay as they are for as long as this value lives.
#[derive(Clone, Debug, Default)]
pub struct ReadData {
    parts: Vec<Part>,
    length: usize,
}

#[derive(Clone, Debug)]
enum Part {
    Bytes(Bytes),
    Zero(usize),
}

impl ReadData {
    /// Bytes in all parts: fewer than asked for only at the end of the file.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Nothing was read: the offset is at or beyond the end.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Gives every part in order.
    pub fn for_each(&self, mut sink: impl FnMut(&[u8])) {
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => sink(bytes),
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

    /// All bytes as one slice: without a copy if there is one part, else copied to `scratch`.
    ///
    /// # Errors
    /// `Damaged` if a page of a mapping turned out to be unreadable while it was copied.
    pub fn contiguous<'a>(&'a self, scratch: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        match self.parts.as_slice() {
            [] => Ok(&[]),
            [Part::Bytes(bytes)] => Ok(bytes),
            [Part::Zero(count)] if *count <= ZEROES.len() => {
                Ok(ZEROES.get(..*count).unwrap_or_default())
            }
            _ => {
                scratch.clear();
                scratch.reserve(self.length);
                self.for_each(|part| scratch.extend_from_slice(part));
                Ok(scratch)
            }
        }
    }
}
