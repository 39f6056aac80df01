//! Walks through the records of a segment file, past damage.
//!
//! Records follow each other; where the next one is not, the search goes on in steps of 8 bytes for a
//! header that names this very segment and offset. A payload may hold bytes that look like such a record,
//! so what is found by searching counts only if its bytes hash to its id: then it is what it says,
//! wherever it came from.

use std::io;

use wolfdisk_common::segment::{
    RECORD_ALIGN_BYTES, RECORD_HEADER_BYTES, RECORD_MAGIC, RecordHeader,
};

use super::segment::{RecordFault, Segment};

/// Read at once; records of small chunks lie close together.
const WINDOW_BYTES: usize = 64 * 1024;

/// What lies at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// An intact record.
    Record(RecordHeader),
    /// Bytes that are no intact record.
    Gap {
        /// Where they begin.
        from: u64,
        /// Where they end.
        to: u64,
    },
}

/// See the module.
pub struct Scanner<'a> {
    segment: &'a Segment,
    offset: u64,
    end: u64,
    verify_from: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Scanner<'a> {
    /// Walks from the record at `from` to `end`. Records that end after `verify_from` are verified with
    /// their payload, the others by their header.
    pub fn new(segment: &'a Segment, from: u64, end: u64, verify_from: u64) -> Scanner<'a> {
        Scanner {
            segment,
            offset: from,
            end,
            verify_from,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// What comes next; none at the end.
    ///
    /// # Errors
    /// What the system says.
    pub fn advance(&mut self) -> io::Result<Option<Found>> {
        if self.offset >= self.end {
            return Ok(None);
        }
        if let Some(header) = self.intact(false)? {
            self.offset = header.end();
            return Ok(Some(Found::Record(header)));
        }
        let from = self.offset;
        while self.offset < self.end {
            self.offset += RECORD_ALIGN_BYTES;
            if self.intact(true)?.is_some() {
                break;
            }
        }
        self.offset = self.offset.min(self.end);
        Ok(Some(Found::Gap {
            from,
            to: self.offset,
        }))
    }

    fn intact(&mut self, searching: bool) -> io::Result<Option<RecordHeader>> {
        let Some(header) = self.header()? else {
            return Ok(None);
        };
        if !searching && header.end() <= self.verify_from {
            return Ok(Some(header));
        }
        match self.segment.read_verified(&header) {
            Ok(_) => Ok(Some(header)),
            Err(RecordFault::Damaged) => Ok(None),
            Err(RecordFault::Io(error)) => Err(error),
        }
    }

    fn header(&mut self) -> io::Result<Option<RecordHeader>> {
        if self.offset + RECORD_HEADER_BYTES as u64 > self.end {
            return Ok(None);
        }
        self.fill()?;
        let at = (self.offset - self.window_at) as usize;
        let bytes = self.window.get(at..).unwrap_or_default();
        if !bytes.starts_with(&RECORD_MAGIC) {
            return Ok(None);
        }
        let Ok(header) = RecordHeader::parse(bytes) else {
            return Ok(None);
        };
        let own = header.segment == self.segment.id && header.record_offset == self.offset;
        let whole = header.payload_offset + u64::from(header.length) <= self.end;
        Ok((own && whole).then_some(header))
    }

    /// Makes the window hold a header's worth of bytes at the offset, if the file does.
    fn fill(&mut self) -> io::Result<()> {
        let window_end = self.window_at + self.window.len() as u64;
        let wanted = (self.offset + RECORD_HEADER_BYTES as u64).min(self.end);
        if self.offset >= self.window_at && wanted <= window_end {
            return Ok(());
        }
        let count = (self.end - self.offset).min(WINDOW_BYTES as u64) as usize;
        self.window.resize(count, 0);
        let read = self.segment.file.read_at(&mut self.window, self.offset)?;
        self.window.truncate(read);
        self.window_at = self.offset;
        Ok(())
    }
}
