//! Writes an export, piece by piece: what is finished is taken away before there is more.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use wolfdisk_common::ids::{LogIndex, Term};

use super::format::{
    Header, KIND_END, KIND_ENTRY, KIND_RECORDS, RECORD_HEAD_BYTES, RECORDS_BYTES, block_crc,
    block_head,
};

/// See the module. Entries come before records.
pub struct Writer {
    hash: Sha256,
    /// Finished and not taken yet.
    out: Vec<u8>,
    /// Records of the block that is not finished.
    block: Vec<u8>,
    blocks: u64,
    entries: u64,
    records: u64,
}

impl Writer {
    /// Begins with the header.
    pub fn new(header: &Header) -> Writer {
        let mut writer = Writer {
            hash: Sha256::new(),
            out: Vec::new(),
            block: Vec::new(),
            blocks: 0,
            entries: 0,
            records: 0,
        };
        writer.put(&header.encode());
        writer
    }

    /// Adds an entry of the log.
    pub fn entry(&mut self, index: LogIndex, term: Term, payload: &[u8]) {
        self.entries += 1;
        let body = [
            &index.0.to_le_bytes()[..],
            &term.0.to_le_bytes()[..],
            payload,
        ]
        .concat();
        self.put_block(KIND_ENTRY, &body);
    }

    /// Adds a record.
    pub fn record(&mut self, key: &[u8], value: &[u8]) {
        self.records += 1;
        self.block
            .reserve(RECORD_HEAD_BYTES + key.len() + value.len());
        let lengths = (
            (key.len() as u16).to_le_bytes(),
            (value.len() as u32).to_le_bytes(),
        );
        self.block.extend_from_slice(&lengths.0);
        self.block.extend_from_slice(&lengths.1);
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value);
        if self.block.len() >= RECORDS_BYTES {
            self.end_records();
        }
    }

    /// Records so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Writes the end.
    pub fn finish(&mut self) {
        self.end_records();
        let counts = [self.entries.to_le_bytes(), self.records.to_le_bytes()].concat();
        // Of everything before this block, and of the counts.
        let hash = self.hash.clone().chain_update(&counts).finalize();
        let body = [&counts[..], &hash[..]].concat();
        self.put_block(KIND_END, &body);
    }

    /// What is finished, in bytes.
    pub fn finished_bytes(&self) -> usize {
        self.out.len()
    }

    /// Takes what is finished.
    pub fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.out))
    }

    fn end_records(&mut self) {
        if !self.block.is_empty() {
            let block = std::mem::take(&mut self.block);
            self.put_block(KIND_RECORDS, &block);
        }
    }

    fn put_block(&mut self, kind: u8, body: &[u8]) {
        let head = block_head(kind, body.len(), self.blocks);
        self.blocks += 1;
        let crc = block_crc(&head, body);
        self.put(&head);
        self.put(&crc.to_le_bytes());
        self.put(body);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.out.extend_from_slice(bytes);
    }
}
