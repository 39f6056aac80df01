//! Reads an export from its beginning to its end, and believes nothing of it unseen: every block by its checksum, all of
//! it by the hash at its end. What it gives is good only when [`Reader::read_next`] has said that there is no more.

use std::io::Read;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use wolfdisk_common::ids::{LogIndex, Term};

use super::format::{
    BLOCK_HEADER_BYTES, BLOCK_MAX_BYTES, END_BYTES, FormatError, HEADER_BYTES, Header, KIND_END,
    KIND_ENTRY, KIND_RECORDS, block_crc, take,
};
use crate::index::KeyBytes;

/// A part of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An entry of the log.
    Entry {
        /// Its place.
        index: LogIndex,
        /// Its term.
        term: Term,
        /// Its payload.
        payload: Bytes,
    },
    /// A record of the index.
    Record {
        /// Under which key.
        key: KeyBytes,
        /// Its value.
        value: Bytes,
    },
}

/// See the module.
pub struct Reader<R> {
    input: R,
    header: Header,
    hash: Sha256,
    /// Bytes read so far.
    at: u64,
    blocks: u64,
    /// Records of the block at hand that were not given yet, and where it began.
    block: Bytes,
    block_at: u64,
    entries: u64,
    next_entry: Option<LogIndex>,
    records: u64,
    last_key: Option<KeyBytes>,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// This is no export that this release can read.
    pub fn new(mut input: R) -> Result<Reader<R>, FormatError> {
        let mut bytes = Vec::new();
        fill(&mut input, &mut bytes, HEADER_BYTES)?;
        let Ok(head) = <&[u8; HEADER_BYTES]>::try_from(&bytes[..]) else {
            return Err(FormatError::Short(bytes.len() as u64));
        };
        Ok(Reader {
            header: Header::decode(head)?,
            input,
            hash: Sha256::new().chain_update(head),
            at: HEADER_BYTES as u64,
            blocks: 0,
            block: Bytes::new(),
            block_at: 0,
            entries: 0,
            next_entry: None,
            records: 0,
            last_key: None,
            ended: false,
        })
    }

    /// What it is of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next part; none: there is no more, and all that was given is what was written.
    ///
    /// # Errors
    /// It is not what was written.
    pub fn read_next(&mut self) -> Result<Option<Item>, FormatError> {
        while !self.ended {
            if !self.block.is_empty() {
                return self.record().map(Some);
            }
            let before = self.hash.clone();
            let (kind, body) = self.block()?;
            match kind {
                KIND_ENTRY if self.records == 0 => return self.entry(&body).map(Some),
                KIND_RECORDS if !body.is_empty() => self.block = body,
                KIND_END => self.end(before, &body)?,
                _ => return Err(self.damaged("a block is of no kind that can be here")),
            }
        }
        Ok(None)
    }

    fn block(&mut self) -> Result<(u8, Bytes), FormatError> {
        self.block_at = self.at;
        let head = self.read(BLOCK_HEADER_BYTES)?;
        let mut rest = &head[..];
        let [kind, zero @ ..] = take::<4>(&mut rest).unwrap_or_default();
        let length = take(&mut rest).map_or(0, u32::from_le_bytes) as usize;
        let number = take(&mut rest).map_or(0, u64::from_le_bytes);
        let crc = take(&mut rest).map_or(0, u32::from_le_bytes);
        if zero != [0; 3] || length > BLOCK_MAX_BYTES || number != self.blocks {
            return Err(self.damaged("the head of a block is none"));
        }
        let body = self.read(length)?;
        let covered = head.split_last_chunk::<4>();
        if covered.map(|(covered, _)| block_crc(covered, &body)) != Some(crc) {
            return Err(self.damaged("the checksum of a block is wrong"));
        }
        self.hash.update(&head);
        self.hash.update(&body);
        self.blocks += 1;
        Ok((kind, body.into()))
    }

    fn entry(&mut self, body: &Bytes) -> Result<Item, FormatError> {
        let mut rest = &body[..];
        let (index, term) = (take(&mut rest), take(&mut rest));
        let (Some(index), Some(term)) = (index, term) else {
            return Err(self.damaged("an entry is too short"));
        };
        let index = LogIndex(u64::from_le_bytes(index));
        let follows = self.next_entry.is_none_or(|next| next == index);
        if !follows || index > self.header.index || index == LogIndex(0) {
            return Err(self.damaged("an entry does not follow the one before"));
        }
        self.entries += 1;
        self.next_entry = Some(LogIndex(index.0.saturating_add(1)));
        Ok(Item::Entry {
            index,
            term: Term(u64::from_le_bytes(term)),
            payload: body.slice(body.len() - rest.len()..),
        })
    }

    fn record(&mut self) -> Result<Item, FormatError> {
        let mut rest = &self.block[..];
        let lengths = (take(&mut rest), take(&mut rest));
        let (Some(key), Some(value)) = lengths else {
            return Err(self.damaged("a record is too short"));
        };
        let (key, value) = (u16::from_le_bytes(key), u32::from_le_bytes(value));
        let begin = self.block.len() - rest.len();
        let middle = begin + usize::from(key);
        let end = middle.saturating_add(value as usize);
        if end > self.block.len() {
            return Err(self.damaged("a record is longer than its block"));
        }
        let found = KeyBytes::new(&self.block.slice(begin..middle));
        let value = self.block.slice(middle..end);
        if self.last_key.as_ref().is_some_and(|last| *last >= found) {
            return Err(self.damaged("a record is not in its place"));
        }
        self.block = self.block.slice(end..);
        self.records += 1;
        self.last_key = Some(found.clone());
        Ok(Item::Record { key: found, value })
    }

    fn end(&mut self, before: Sha256, body: &[u8]) -> Result<(), FormatError> {
        let mut rest = body;
        let counts = take::<16>(&mut rest).unwrap_or_default();
        let counted = [self.entries.to_le_bytes(), self.records.to_le_bytes()].concat();
        let hash = before.chain_update(counts).finalize();
        if body.len() != END_BYTES || counts != *counted || rest != &hash[..] {
            return Err(self.damaged("it is not what was written, as a whole"));
        }
        let last = self.next_entry.map(|next| next.0.saturating_sub(1));
        if last.is_some_and(|last| last != self.header.index.0) {
            return Err(self.damaged("entries of the log are missing"));
        }
        let mut more = Vec::new();
        fill(&mut self.input, &mut more, 1)?;
        if !more.is_empty() {
            self.block_at = self.at;
            return Err(self.damaged("something follows its end"));
        }
        self.ended = true;
        Ok(())
    }

    fn read(&mut self, length: usize) -> Result<Vec<u8>, FormatError> {
        let mut bytes = Vec::new();
        fill(&mut self.input, &mut bytes, length)?;
        self.at += bytes.len() as u64;
        match bytes.len() == length {
            true => Ok(bytes),
            false => Err(FormatError::Short(self.at)),
        }
    }

    fn damaged(&self, what: &'static str) -> FormatError {
        FormatError::Damaged {
            at: self.block_at,
            what,
        }
    }
}

/// Reads so much, or what there is. Takes no more memory than that.
fn fill(input: &mut impl Read, bytes: &mut Vec<u8>, length: usize) -> std::io::Result<()> {
    input.take(length as u64).read_to_end(bytes).map(drop)
}
