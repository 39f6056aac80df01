//! What is computed over a chunk's bytes once, when they come in: block checksums, leaf hashes, the id.
//!
//! Pieces of a chunk (whole leaves, but for the last) are digested on different threads and joined.

use wolfdisk_common::hash;
use wolfdisk_common::ids::ChunkId;
use wolfdisk_common::limits::{BLOCK_SIZE_BYTES, LEAF_SIZE_BYTES};

/// The checksums and hashes of a run of leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PieceDigest {
    length: usize,
    block_crcs: Vec<u32>,
    leaf_hashes: Vec<[u8; 32]>,
}

/// Everything that a record keeps about a whole chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Bytes of the chunk.
    pub length: u32,
    /// Its name.
    pub id: ChunkId,
    /// CRC32C of each block.
    pub block_crcs: Vec<u32>,
    /// SHA-256 of each leaf.
    pub leaf_hashes: Vec<[u8; 32]>,
}

impl PieceDigest {
    /// Adds one leaf; all but the last of a chunk are whole.
    pub fn add_leaf(&mut self, leaf: &[u8]) {
        debug_assert!(self.length.is_multiple_of(LEAF_SIZE_BYTES) && leaf.len() <= LEAF_SIZE_BYTES);
        self.length += leaf.len();
        self.block_crcs
            .extend(leaf.chunks(BLOCK_SIZE_BYTES).map(crc32c::crc32c));
        self.leaf_hashes.push(hash::leaf_hash(leaf));
    }

    /// Of a run of leaves.
    pub fn of(bytes: &[u8]) -> PieceDigest {
        let mut digest = PieceDigest::default();
        bytes
            .chunks(LEAF_SIZE_BYTES)
            .for_each(|leaf| digest.add_leaf(leaf));
        digest
    }
}

impl Digest {
    /// Of a whole chunk, on this thread.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::join([PieceDigest::of(bytes)])
    }

    /// Of a chunk whose pieces were digested, in order.
    pub fn join(pieces: impl IntoIterator<Item = PieceDigest>) -> Digest {
        let mut whole = PieceDigest::default();
        for piece in pieces {
            whole.length += piece.length;
            whole.block_crcs.extend(piece.block_crcs);
            whole.leaf_hashes.extend(piece.leaf_hashes);
        }
        let PieceDigest {
            length,
            block_crcs,
            leaf_hashes,
        } = whole;
        let id = hash::chunk_id_of_leaves(length, &leaf_hashes);
        Digest {
            length: length as u32,
            id,
            block_crcs,
            leaf_hashes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_digest_of_the_whole() {
        let bytes: Vec<u8> = (0..3 * LEAF_SIZE_BYTES + 777)
            .map(|at| (at % 253) as u8)
            .collect();
        let pieces = bytes.chunks(2 * LEAF_SIZE_BYTES).map(PieceDigest::of);
        let joined = Digest::join(pieces);
        assert_eq!(joined, Digest::of(&bytes));
        assert_eq!(joined.id, hash::chunk_id(&bytes));
        assert_eq!(
            joined.block_crcs.len(),
            bytes.len().div_ceil(BLOCK_SIZE_BYTES)
        );
    }
}
