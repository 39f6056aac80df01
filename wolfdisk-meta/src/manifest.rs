//! The `CURRENT` manifest **\[format\]**: the one file that says which files make up the index.
//!
//! It is only ever replaced as a whole ([`replace_file`]), so that the index moves from one generation
//! of files to the next in one step. What it does not name is a leftover and may be removed.
//!
//! Little-endian:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic `WDCURREN` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | length of the whole file in bytes |
//! | 16 | 16 | volume id (UUID) |
//! | 32 | 8 | generation: counts changes of checkpoint file |
//! | 40 | 8 | incarnation: counts starts of the daemon |
//! | 48 | 8 | sequence of the first log segment that is needed; lower ones are leftovers |
//! | 56 | 4 | length N of the checkpoint's file name |
//! | 60 | N | the checkpoint's file name in the same directory, UTF-8 |
//! | 60+N | 4 | CRC32C of all bytes before |

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;
use wolfdisk_common::disk::{Disk, OpenMode, replace_file};
use wolfdisk_common::ids::Incarnation;

/// Name of the manifest in the index's directory.
pub const MANIFEST_NAME: &str = "CURRENT";

const MAGIC: &[u8; 8] = b"WDCURREN";
const FORMAT: u32 = 1;
const FIXED_BYTES: usize = 60;
/// No manifest is longer: the fixed part, a file name and the checksum.
const LENGTH_MAX_BYTES: u64 = 4096;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The volume that the index describes.
    pub volume: Uuid,
    /// Counts changes of the checkpoint file.
    pub generation: u64,
    /// Counts starts; see [`Manifest::begin_incarnation`].
    pub incarnation: Incarnation,
    /// Log segments with a lower sequence are leftovers.
    pub first_segment: u64,
    /// The checkpoint's file name, in the directory of the manifest.
    pub checkpoint: String,
}

/// Why there is no usable manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It could not be read or written.
    #[error("the manifest {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its bytes are not those that were written.
    #[error("the manifest {path} is damaged: {what}; restore it from a copy")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A newer release wrote it.
    #[error(
        "{path} has format {found}, this release reads up to {FORMAT}: install the newer release"
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The directory belongs to another volume.
    #[error(
        "{path} belongs to volume {found}, not {expected}: use the data directory of this volume"
    )]
    OtherVolume {
        /// The file.
        path: PathBuf,
        /// The volume in it.
        found: Uuid,
        /// The volume asked for.
        expected: Uuid,
    },
}

impl Manifest {
    /// Reads the manifest of `directory`; none if there is no such file.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn load(disk: &dyn Disk, directory: &Path) -> Result<Option<Manifest>, ManifestError> {
        let path = directory.join(MANIFEST_NAME);
        let read = || -> io::Result<Vec<u8>> {
            let file = disk.open(&path, OpenMode::Read)?;
            let mut bytes = vec![0; file.len()?.min(LENGTH_MAX_BYTES) as usize];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Manifest::decode(&bytes, &path).map(Some),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ManifestError::Io { path, source }),
        }
    }

    /// Replaces the manifest of `directory`, durably.
    ///
    /// # Errors
    /// `Io`; the old manifest or this one stands then.
    pub fn store(&self, disk: &dyn Disk, directory: &Path) -> Result<(), ManifestError> {
        let path = directory.join(MANIFEST_NAME);
        replace_file(disk, &path, &self.encode())
            .map_err(|source| ManifestError::Io { path, source })
    }

    /// Counts this start. The new incarnation is durable before anybody can use it.
    ///
    /// # Errors
    /// `Io`; the manifest is unchanged then.
    pub fn begin_incarnation(
        &mut self,
        disk: &dyn Disk,
        directory: &Path,
    ) -> Result<Incarnation, ManifestError> {
        let next = Manifest {
            incarnation: Incarnation(self.incarnation.0 + 1),
            ..self.clone()
        };
        next.store(disk, directory)?;
        *self = next;
        Ok(self.incarnation)
    }

    /// The bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let length = FIXED_BYTES + self.checkpoint.len() + 4;
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(length as u32).to_le_bytes());
        bytes.extend_from_slice(self.volume.as_bytes());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.incarnation.0.to_le_bytes());
        bytes.extend_from_slice(&self.first_segment.to_le_bytes());
        bytes.extend_from_slice(&(self.checkpoint.len() as u32).to_le_bytes());
        bytes.extend_from_slice(self.checkpoint.as_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Reads the bytes of the file at `path`, which errors name.
    ///
    /// # Errors
    /// All but `Io` and `OtherVolume`.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Manifest, ManifestError> {
        let damaged = |what| ManifestError::Damaged {
            path: path.to_owned(),
            what,
        };
        let mut rest = bytes;
        if take::<8>(&mut rest) != Some(*MAGIC) {
            return Err(damaged("it does not begin like a manifest"));
        }
        match take(&mut rest).map(u32::from_le_bytes) {
            None => return Err(damaged("it is too short")),
            Some(FORMAT) => {}
            Some(0) => return Err(damaged("it has no format version")),
            Some(found) => {
                return Err(ManifestError::NewerFormat {
                    path: path.to_owned(),
                    found,
                });
            }
        }
        let fields = || -> Option<(Manifest, u32)> {
            let _length = take::<4>(&mut rest)?;
            let volume = Uuid::from_bytes(take(&mut rest)?);
            let generation = u64::from_le_bytes(take(&mut rest)?);
            let incarnation = Incarnation(u64::from_le_bytes(take(&mut rest)?));
            let first_segment = u64::from_le_bytes(take(&mut rest)?);
            let length = u32::from_le_bytes(take(&mut rest)?) as usize;
            let (name, after) = rest.split_at_checked(length)?;
            rest = after;
            let checkpoint = String::from_utf8(name.to_vec()).ok()?;
            let crc = u32::from_le_bytes(take(&mut rest)?);
            let manifest = Manifest {
                volume,
                generation,
                incarnation,
                first_segment,
                checkpoint,
            };
            rest.is_empty().then_some((manifest, crc))
        };
        let mut fields = fields;
        let (manifest, crc) = fields().ok_or_else(|| damaged("its length is wrong"))?;
        let covered = bytes
            .split_last_chunk::<4>()
            .map_or(&[][..], |(covered, _)| covered);
        match crc32c::crc32c(covered) == crc {
            true => Ok(manifest),
            false => Err(damaged("its checksum is wrong")),
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wolfdisk_common::disk::crash::CrashDisk;

    fn manifest() -> Manifest {
        Manifest {
            volume: Uuid::from_u128(7),
            generation: 3,
            incarnation: Incarnation(9),
            first_segment: 5,
            checkpoint: "3.redb".into(),
        }
    }

    #[test]
    fn what_was_stored_is_loaded() {
        let disk = CrashDisk::new();
        assert_eq!(Manifest::load(&disk, Path::new("/")).unwrap(), None);
        let mut stored = manifest();
        stored.store(&disk, Path::new("/")).unwrap();
        assert_eq!(
            Manifest::load(&disk, Path::new("/")).unwrap(),
            Some(stored.clone())
        );
        assert_eq!(
            stored.begin_incarnation(&disk, Path::new("/")).unwrap(),
            Incarnation(10)
        );
        disk.crash(1);
        assert_eq!(Manifest::load(&disk, Path::new("/")).unwrap(), Some(stored));
    }

    #[test]
    fn an_incarnation_is_never_given_twice_whatever_fails() {
        for cut in 1..=6 {
            for seed in 0..32 {
                let disk = CrashDisk::new();
                let mut stored = manifest();
                stored.store(&disk, Path::new("/")).unwrap();
                disk.power_off_at(cut);
                let given = stored.begin_incarnation(&disk, Path::new("/"));
                disk.crash(seed);
                let mut found = Manifest::load(&disk, Path::new("/")).unwrap().unwrap();
                let next = found.begin_incarnation(&disk, Path::new("/")).unwrap();
                assert!(given.is_err() || given.unwrap() < next);
            }
        }
    }

    #[test]
    fn every_flipped_bit_and_every_shorter_length_is_noticed() {
        let good = manifest().encode();
        let path = Path::new("/CURRENT");
        assert_eq!(Manifest::decode(&good, path).unwrap(), manifest());
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&bad, path).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(
                Manifest::decode(&good[..length], path).is_err(),
                "length {length}"
            );
        }
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let mut bytes = manifest().encode();
        bytes[8] = 2;
        let error = Manifest::decode(&bytes, Path::new("/CURRENT")).unwrap_err();
        assert!(error.to_string().contains("format 2"), "{error}");
    }
}
