//! Bytes of a part of a snapshot **\[format\]**. All numbers are little-endian, the checksum is CRC32C.
//!
//! | offset | size | part |
//! |---|---|---|
//! | 0 | 8 | magic `WDSNPART` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | length L of what follows these 76 bytes, at least 1 |
//! | 16 | 16 | id of the snapshot |
//! | 32 | 16 | volume id (UUID) |
//! | 48 | 8 | number of the part, from 0 |
//! | 56 | 8 | what the index takes on disk at the most, with the entries of the log that content rides in |
//! | 64 | 4 | 1: it is the last part, 0: another follows |
//! | 68 | 4 | zero |
//! | 72 | 4 | checksum of bytes 0 to 71 and of what follows |
//! | 76 | L | |
//!
//! What follows, of all parts one behind the other, is an export of the index ([`crate::export::format`]) whose time and
//! incarnation are 0; its end holds the hash of everything. All parts but the last are as long as a part may be.
//!
//! The id is the first half of the SHA-256 of `wolfdisk snapshot` with a zero, the format version u32, the volume id, and
//! index u64, term u64 and version u64 of the checkpoint.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::index::table::Applied;
use crate::limits::SNAPSHOT_PART_BYTES;

/// The newest format.
pub const FORMAT: u32 = 1;
/// Bytes of a part before what it holds.
pub const HEAD_BYTES: usize = 76;
/// What a part holds at the most.
pub const BODY_MAX_BYTES: usize = SNAPSHOT_PART_BYTES - HEAD_BYTES;

const MAGIC: &[u8; 8] = b"WDSNPART";
const CRC_AT: usize = HEAD_BYTES - 4;
const ID_TAG: &[u8] = b"wolfdisk snapshot\0";

/// What a part says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The snapshot's id.
    pub id: [u8; 16],
    /// The volume's.
    pub volume: Uuid,
    /// Its number, from 0.
    pub number: u64,
    /// What the index takes on disk at the most.
    pub room_bytes: u64,
    /// None follows.
    pub is_last: bool,
}

/// Why bytes are not taken for a part.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// They begin like something else.
    #[error("this is no part of a snapshot")]
    Magic,
    /// A newer release wrote it.
    #[error(
        "the part has format {0}, this release reads up to {FORMAT}: install the newer release"
    )]
    Newer(u32),
    /// It is not what was written.
    #[error("the part is damaged: {0}")]
    Damaged(&'static str),
}

/// The id of the snapshot of a checkpoint.
pub fn id_of(volume: Uuid, applied: Applied) -> [u8; 16] {
    let mut hash = Sha256::new_with_prefix(ID_TAG);
    hash.update(FORMAT.to_le_bytes());
    hash.update(volume.as_bytes());
    for number in [applied.index.0, applied.term.0, applied.version.0] {
        hash.update(number.to_le_bytes());
    }
    let whole: [u8; 32] = hash.finalize().into();
    whole.first_chunk().copied().unwrap_or_default()
}

impl Head {
    /// The bytes of the part.
    ///
    /// # Panics
    /// If it holds nothing, or more than a part may.
    pub fn encode(&self, body: &[u8]) -> Bytes {
        assert!(
            (1..=BODY_MAX_BYTES).contains(&body.len()),
            "a part of {} bytes",
            body.len()
        );
        let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(self.volume.as_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.room_bytes.to_le_bytes());
        bytes.extend_from_slice(&u32::from(self.is_last).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes), body);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(body);
        bytes.into()
    }

    /// Reads a part, which is all of `bytes`: what it says of itself, and what it holds.
    ///
    /// # Errors
    /// See [`PartError`].
    pub fn decode(bytes: &[u8]) -> Result<(Head, &[u8]), PartError> {
        let (head, body) = bytes
            .split_first_chunk::<HEAD_BYTES>()
            .ok_or(PartError::Damaged("it is too short"))?;
        let length = Head::length(head)?;
        if length != body.len() {
            return Err(PartError::Damaged("its length is wrong"));
        }
        let (covered, crc) = head.split_at(CRC_AT);
        if crc != crc32c::crc32c_append(crc32c::crc32c(covered), body).to_le_bytes() {
            return Err(PartError::Damaged("its checksum is wrong"));
        }
        let is_last = match (number::<4>(head, 64), number::<4>(head, 68)) {
            (0, 0) => false,
            (1, 0) => true,
            _ => return Err(PartError::Damaged("its head is not one of this format")),
        };
        if !is_last && length != BODY_MAX_BYTES {
            return Err(PartError::Damaged("only the last one may be shorter"));
        }
        let head = Head {
            id: field(head, 16),
            volume: Uuid::from_bytes(field(head, 32)),
            number: number::<8>(head, 48),
            room_bytes: number::<8>(head, 56),
            is_last,
        };
        Ok((head, body))
    }

    /// How much follows the head of a part.
    ///
    /// # Errors
    /// `Magic`, `Newer`, or a length that none has.
    pub fn length(head: &[u8; HEAD_BYTES]) -> Result<usize, PartError> {
        if field::<8>(head, 0) != *MAGIC {
            return Err(PartError::Magic);
        }
        match number::<4>(head, 8) as u32 {
            FORMAT => {}
            0 => return Err(PartError::Damaged("it has no format version")),
            found => return Err(PartError::Newer(found)),
        }
        let length = number::<4>(head, 12) as usize;
        match (1..=BODY_MAX_BYTES).contains(&length) {
            true => Ok(length),
            false => Err(PartError::Damaged("no part is that long")),
        }
    }
}

/// `N` bytes of a head, at a place that it has.
fn field<const N: usize>(head: &[u8; HEAD_BYTES], at: usize) -> [u8; N] {
    let (_, rest) = head.split_at(at);
    rest.first_chunk().copied().unwrap_or([0; N])
}

fn number<const N: usize>(head: &[u8; HEAD_BYTES], at: usize) -> u64 {
    let bytes = field::<N>(head, at);
    let digit = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    bytes.iter().rev().fold(0, digit)
}

#[cfg(test)]
mod tests {
    use wolfdisk_common::ids::{LogIndex, Term, Version};

    use super::*;

    fn head() -> Head {
        Head {
            id: [3; 16],
            volume: Uuid::from_u128(7),
            number: 5,
            room_bytes: 1 << 40,
            is_last: true,
        }
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_is_noticed() {
        let good = head().encode(b"some bytes");
        assert_eq!(Head::decode(&good), Ok((head(), &b"some bytes"[..])));
        for bit in 0..good.len() * 8 {
            let mut bad = good.to_vec();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Head::decode(&bad).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(Head::decode(&good[..length]).is_err(), "length {length}");
        }
        assert!(Head::decode(&[&good[..], &[0]].concat()).is_err());
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let mut bytes = head().encode(b"some bytes").to_vec();
        bytes[8] = 2;
        assert_eq!(Head::decode(&bytes), Err(PartError::Newer(2)));
    }

    #[test]
    fn a_part_that_is_not_the_last_is_full() {
        let middle = Head {
            is_last: false,
            ..head()
        };
        let body = vec![7; BODY_MAX_BYTES];
        let full = middle.encode(&body);
        assert_eq!(full.len(), SNAPSHOT_PART_BYTES);
        assert_eq!(Head::decode(&full), Ok((middle.clone(), &body[..])));
        let short = middle.encode(&body[1..]);
        assert!(matches!(Head::decode(&short), Err(PartError::Damaged(_))));
    }

    #[test]
    fn another_checkpoint_has_another_id() {
        let applied = |index, term, version| Applied {
            index: LogIndex(index),
            term: Term(term),
            version: Version(version),
        };
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let own = id_of(one, applied(5, 2, 3));
        assert_eq!(own, id_of(one, applied(5, 2, 3)));
        for other in [applied(6, 2, 3), applied(5, 3, 3), applied(5, 2, 4)] {
            assert_ne!(own, id_of(one, other));
        }
        assert_ne!(own, id_of(two, applied(5, 2, 3)));
    }
}
