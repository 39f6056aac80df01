//! Taking entries back **\[format\]**: what a leader has proposed and no majority has is replaced by what another
//! leader proposed.
//!
//! The entries may be durable, so zeroing them could leave, after a crash, a hole with believable records behind it, and
//! that is damage. So it is declared first, in a file that is there until all of them are gone, and what a crash
//! interrupts is carried out when the log is opened.
//!
//! | offset | size | the file `cut` |
//! |---|---|---|
//! | 0 | 8 | magic `WDLOGCUT` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 16 | log id |
//! | 28 | 8 | sequence of the segment that the first of them stands in |
//! | 36 | 8 | where in its file |
//! | 44 | 4 | CRC32C of all bytes before |

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;
use wolfdisk_common::disk::{Disk, DiskFile, OpenMode, replace_file};

use super::at;
use super::format::{SEGMENT_HEADER_BYTES, field};
use super::spare::zero;
use crate::consensus::ReplicationError;

/// The file's name, beside the segments.
const NAME: &str = "cut";
const MAGIC: &[u8; 8] = b"WDLOGCUT";
const FORMAT: u32 = 1;
const BYTES: usize = 48;
const CRC_AT: usize = 44;

/// Where the log ends from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The log it is about.
    pub log_id: Uuid,
    /// The segment that becomes the last.
    pub sequence: u64,
    /// Its end, in its file.
    pub offset: u64,
}

impl Cut {
    /// Makes it durable: from now on the entries are gone.
    ///
    /// # Errors
    /// `Io`; whether it is declared is unknown then.
    pub(super) fn declare(self, disk: &dyn Disk, directory: &Path) -> Result<(), ReplicationError> {
        let path = directory.join(NAME);
        replace_file(disk, &path, &self.encode()).map_err(at(&path))
    }

    /// What was declared and not carried out.
    ///
    /// # Errors
    /// `Damaged`, `NewerFormat`, `Io`.
    pub(super) fn declared(
        disk: &dyn Disk,
        directory: &Path,
    ) -> Result<Option<Cut>, ReplicationError> {
        let path = directory.join(NAME);
        // One byte more shows a file that is too long.
        let mut bytes = [0; BYTES + 1];
        let file = disk.open(&path, OpenMode::Read);
        match file.and_then(|file| file.read_at(&mut bytes, 0)) {
            Ok(length) => Cut::decode(bytes.split_at(length).0, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Removes the segments `after`, the oldest first in the list, zeroes the `rest` (file, path, length) of what becomes
    /// the last one, and forgets the declaration when all that is durable.
    ///
    /// # Errors
    /// `Io`, or `Damaged` if it cannot be about this file; it is carried out when the log is opened again.
    pub(super) fn carry_out(
        self,
        disk: &dyn Disk,
        directory: &Path,
        rest: (&dyn DiskFile, &Path, u64),
        after: &[PathBuf],
    ) -> Result<(), ReplicationError> {
        let (file, path, length) = rest;
        if !(SEGMENT_HEADER_BYTES as u64..=length).contains(&self.offset) {
            return Err(damaged(
                &directory.join(NAME),
                "it names no place in the log",
            ));
        }
        for later in after.iter().rev() {
            disk.remove(later).map_err(at(later))?;
        }
        if !after.is_empty() {
            disk.sync_dir(directory).map_err(at(directory))?;
        }
        zero(file, self.offset, length).map_err(at(path))?;
        let declared = directory.join(NAME);
        disk.remove(&declared).map_err(at(&declared))?;
        disk.sync_dir(directory).map_err(at(directory))
    }

    /// It names another log, or a segment that is not there.
    pub(super) fn is_of_another(self, directory: &Path) -> ReplicationError {
        let path = directory.join(NAME);
        damaged(&path, "it is about another log than the one beside it")
    }

    /// The file's bytes.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(self.log_id.as_bytes());
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the bytes of the file at `path`, which errors name.
    ///
    /// # Errors
    /// `Damaged`, `NewerFormat`.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Cut, ReplicationError> {
        let damaged = |what| damaged(path, what);
        let bytes: &[u8; BYTES] = bytes
            .try_into()
            .map_err(|_| damaged("its length is wrong"))?;
        if field::<8>(bytes, 0) != *MAGIC {
            return Err(damaged("it does not begin like the end of a log"));
        }
        let (covered, crc) = bytes.split_at(CRC_AT);
        if crc32c::crc32c(covered).to_le_bytes() != crc {
            return Err(damaged("its checksum is wrong"));
        }
        match u32::from_le_bytes(field(bytes, 8)) {
            FORMAT => Ok(Cut {
                log_id: Uuid::from_bytes(field(bytes, 12)),
                sequence: u64::from_le_bytes(field(bytes, 28)),
                offset: u64::from_le_bytes(field(bytes, 36)),
            }),
            found => Err(ReplicationError::NewerFormat {
                path: path.to_owned(),
                found,
                known: FORMAT,
            }),
        }
    }
}

fn damaged(path: &Path, what: &str) -> ReplicationError {
    ReplicationError::Damaged {
        path: path.to_owned(),
        offset: 0,
        what: what.to_owned(),
    }
}
