//! The content hash of a chunk **\[format\]**.
//!
//! The id of a chunk of at most 64 KiB is the SHA-256 of its bytes. The id of a larger one is the
//! SHA-256 of [`TREE_TAG`], the length (u64, little-endian) and the SHA-256 of each 64 KiB leaf in
//! order: leaves are hashed in parallel, and a range can be verified with the leaf hashes alone.
//! SHA-256 is FIPS 180-4. Two different chunks share an id only if SHA-256 itself collides: the inputs
//! of the tree form begin with the tag, and a flat chunk that began with it would hash other bytes.

use sha2::{Digest, Sha256};

use crate::ids::ChunkId;
use crate::limits::LEAF_SIZE_BYTES;

/// Separates the tree form from the flat form.
pub const TREE_TAG: &[u8] = b"wolfdisk chunk tree v1\0";

/// SHA-256 of one leaf (or of any bytes).
pub fn leaf_hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The chunk id for bytes whose leaf hashes are known, in order.
///
/// `length_bytes` decides the form: for at most one leaf the id is that leaf's hash.
pub fn chunk_id_of_leaves(length_bytes: usize, leaves: &[[u8; 32]]) -> ChunkId {
    if length_bytes <= LEAF_SIZE_BYTES {
        return ChunkId(leaves.first().copied().unwrap_or_else(|| leaf_hash(&[])));
    }
    let mut hasher = Sha256::new();
    hasher.update(TREE_TAG);
    hasher.update((length_bytes as u64).to_le_bytes());
    leaves.iter().for_each(|leaf| hasher.update(leaf));
    ChunkId(hasher.finalize().into())
}

/// The chunk id of `bytes`, hashed on the calling thread.
pub fn chunk_id(bytes: &[u8]) -> ChunkId {
    let leaves: Vec<_> = bytes.chunks(LEAF_SIZE_BYTES).map(leaf_hash).collect();
    chunk_id_of_leaves(bytes.len(), &leaves)
}

/// Whether `data`, from the beginning of leaf number `first` on, is what the chunk `id` of `length_bytes` holds there:
/// whole leaves, but for the last of the chunk. `leaves` are the hashes of all leaves of the chunk, after one another, which
/// the id proves; none are needed for a chunk of one leaf.
pub fn proves(id: &ChunkId, length_bytes: usize, leaves: &[u8], first: usize, data: &[u8]) -> bool {
    let end = first.saturating_mul(LEAF_SIZE_BYTES) + data.len();
    let whole = data.len().is_multiple_of(LEAF_SIZE_BYTES) || end == length_bytes;
    if !whole || end > length_bytes {
        return false;
    }
    let mut hashes = data.chunks(LEAF_SIZE_BYTES).map(leaf_hash);
    if length_bytes <= LEAF_SIZE_BYTES {
        return hashes.next().is_some_and(|hash| hash == id.0);
    }
    let (leaves, rest) = leaves.as_chunks::<32>();
    let is_root = rest.is_empty()
        && leaves.len() == length_bytes.div_ceil(LEAF_SIZE_BYTES)
        && chunk_id_of_leaves(length_bytes, leaves) == *id;
    let own = leaves.iter().skip(first);
    is_root && own.zip(hashes).all(|(leaf, hash)| *leaf == hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_prove_a_range_of_a_chunk_and_no_other_bytes() {
        let bytes: Vec<u8> = (0..3 * LEAF_SIZE_BYTES + 9)
            .map(|at| (at % 251) as u8)
            .collect();
        let leaves: Vec<_> = bytes.chunks(LEAF_SIZE_BYTES).map(leaf_hash).collect();
        let (id, hashes) = (chunk_id(&bytes), leaves.as_flattened());
        let right = |first: usize, data: &[u8]| proves(&id, bytes.len(), hashes, first, data);
        let from = |leaf: usize| &bytes[leaf * LEAF_SIZE_BYTES..];
        assert!(right(0, &bytes) && right(1, from(1)) && right(3, from(3)));
        assert!(right(1, &from(1)[..LEAF_SIZE_BYTES]));
        assert!(!right(1, from(2)), "of another place");
        assert!(
            !right(1, &from(1)[..LEAF_SIZE_BYTES + 1]),
            "a part of a leaf"
        );
        assert!(!proves(&id, bytes.len() - 1, hashes, 0, &bytes));
        assert!(!proves(&id, bytes.len(), &hashes[32..], 0, &bytes));
        let mut wrong = bytes.clone();
        wrong[LEAF_SIZE_BYTES] ^= 1;
        assert!(!right(0, &wrong));
        let small = chunk_id(b"abc");
        assert!(proves(&small, 3, &[], 0, b"abc") && !proves(&small, 3, &[], 0, b"abd"));
        assert!(!proves(&small, 2, &[], 0, b"abc") && !proves(&small, 3, &[], 0, b""));
    }

    #[test]
    fn a_small_chunk_is_named_by_its_plain_sha256() {
        // The SHA-256 of "abc", from FIPS 180-4.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(chunk_id(b"abc").to_string(), expected);
    }

    #[test]
    fn the_forms_meet_at_one_leaf_and_differ_above() {
        let leaf = vec![7u8; LEAF_SIZE_BYTES];
        assert_eq!(chunk_id(&leaf).0, leaf_hash(&leaf));
        let more = vec![7u8; LEAF_SIZE_BYTES + 1];
        assert_ne!(chunk_id(&more).0, leaf_hash(&more));
        assert_ne!(chunk_id(&more), chunk_id(&leaf));
    }
}
