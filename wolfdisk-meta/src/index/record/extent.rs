//! A piece of a file's content: `stamp, length, source`. The key holds where it ends.
//!
//! The source is one of: 1 chunk (`id, chunk_length, offset`), 2 log (`log_index, offset`, the offset in
//! the entry's payload), 3 inline (`bytes`, at most 512), 4 zero (allocated, reads as zeroes). What no
//! extent covers is a hole.

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, LogIndex, Version};

use crate::index::codec::{wire_enum, wire_struct};

/// Where the bytes of an extent are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the module says it")]
pub enum ExtentSource {
    Chunk {
        id: ChunkId,
        chunk_length: u32,
        offset: u32,
    },
    Log {
        log_index: LogIndex,
        offset: u32,
    },
    Inline {
        bytes: Bytes,
    },
    Zero,
}

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtentRecord {
    /// The version that wrote this.
    pub stamp: Version,
    /// Bytes covered.
    pub length: u64,
    /// Where they are.
    pub source: ExtentSource,
}

wire_enum!(ExtentSource {
    1 => Chunk { id, chunk_length, offset },
    2 => Log { log_index, offset },
    3 => Inline { bytes },
    4 => Zero,
});
wire_struct!(ExtentRecord {
    stamp,
    length,
    source
});
