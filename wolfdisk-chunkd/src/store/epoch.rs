//! The epoch file **\[format\]**: incarnation and put epoch, synced before either is used.
//!
//! Both only ever grow. The file holds the same record twice, 4 KiB apart, so that a bad sector does not
//! cost the store; it is replaced as a whole. Integers are little-endian.
//!
//! ```text
//! file   := record at 0 | record at 4096
//! record := magic "WDEPOCH\0" | format u32 = 1 | zero u32 | volume id 16 | incarnation u64 |
//!           put epoch u64 | zero 12 | CRC32C of the 60 bytes before, u32
//! ```

use std::io;
use std::path::{Path, PathBuf};

use wolfdisk_common::disk::{Disk, OpenMode, replace_file};

use super::error::StoreError;

const MAGIC: [u8; 8] = *b"WDEPOCH\0";
const FORMAT: u32 = 1;
const RECORD_BYTES: usize = 64;
const COPY_OFFSET: usize = 4096;

/// The two counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epochs {
    /// Starts of the daemon on this data directory.
    pub incarnation: u64,
    /// Every put answer is stamped with it; receipts up to a swept one are void.
    pub put_epoch: u64,
}

impl Epochs {
    /// Before the first start.
    pub const ZERO: Epochs = Epochs {
        incarnation: 0,
        put_epoch: 0,
    };

    /// What a start makes of what the last one left.
    pub fn next_start(self) -> Epochs {
        Epochs {
            incarnation: self.incarnation + 1,
            put_epoch: self.put_epoch + 1,
        }
    }
}

/// Where the file lies.
pub fn path(dir: &Path) -> PathBuf {
    dir.join("epoch")
}

/// Reads the file; none if it does not exist.
///
/// # Errors
/// `NoEpoch` if both copies are damaged, `NewerFormat`, `ForeignVolume`, or what the system says.
pub fn load(disk: &dyn Disk, dir: &Path, volume: [u8; 16]) -> Result<Option<Epochs>, StoreError> {
    let path = path(dir);
    let file = match disk.open(&path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io(&path)(error)),
    };
    let mut best: Option<Epochs> = None;
    for offset in [0, COPY_OFFSET] {
        let mut bytes = [0; RECORD_BYTES];
        if file.read_exact_at(&mut bytes, offset as u64).is_err() {
            continue;
        }
        let Some(record) = parse(&bytes) else {
            continue;
        };
        if record.format != FORMAT {
            return Err(StoreError::NewerFormat {
                path,
                found: record.format,
            });
        }
        if record.volume != volume {
            return Err(StoreError::ForeignVolume { path });
        }
        best = Some(record.epochs);
    }
    best.map(Some).ok_or(StoreError::NoEpoch { path })
}

/// Replaces the file; durable when it returns.
///
/// # Errors
/// What the system says. The daemon must end: which of the two states is durable is unknown.
pub fn store(
    disk: &dyn Disk,
    dir: &Path,
    volume: [u8; 16],
    epochs: Epochs,
) -> Result<(), StoreError> {
    let record = encode(volume, epochs);
    let mut bytes = record.to_vec();
    bytes.resize(COPY_OFFSET, 0);
    bytes.extend_from_slice(&record);
    let path = path(dir);
    replace_file(disk, &path, &bytes).map_err(StoreError::sync(&path))
}

struct Record {
    format: u32,
    volume: [u8; 16],
    epochs: Epochs,
}

fn encode(volume: [u8; 16], epochs: Epochs) -> [u8; RECORD_BYTES] {
    let mut bytes = Vec::with_capacity(RECORD_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&volume);
    bytes.extend_from_slice(&epochs.incarnation.to_le_bytes());
    bytes.extend_from_slice(&epochs.put_epoch.to_le_bytes());
    bytes.extend_from_slice(&[0; 12]);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes.as_slice().try_into().unwrap_or([0; RECORD_BYTES])
}

fn parse(bytes: &[u8; RECORD_BYTES]) -> Option<Record> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if u32::from_le_bytes(*crc) != crc32c::crc32c(body) {
        return None;
    }
    let (magic, rest) = body.split_first_chunk::<8>()?;
    let (format, rest) = rest.split_first_chunk::<4>()?;
    let (_, rest) = rest.split_first_chunk::<4>()?;
    let (volume, rest) = rest.split_first_chunk::<16>()?;
    let (incarnation, rest) = rest.split_first_chunk::<8>()?;
    let (put_epoch, _) = rest.split_first_chunk::<8>()?;
    (*magic == MAGIC).then(|| Record {
        format: u32::from_le_bytes(*format),
        volume: *volume,
        epochs: Epochs {
            incarnation: u64::from_le_bytes(*incarnation),
            put_epoch: u64::from_le_bytes(*put_epoch),
        },
    })
}

#[cfg(test)]
mod tests {
    use wolfdisk_common::disk::crash::CrashDisk;

    use super::*;

    const VOLUME: [u8; 16] = [3; 16];

    #[test]
    fn one_damaged_copy_is_survived_two_are_refused() {
        let disk = CrashDisk::new();
        let dir = Path::new("/c");
        disk.create_dir_all(dir).expect("a directory");
        assert_eq!(load(&disk, dir, VOLUME).expect("none yet"), None);
        let epochs = Epochs {
            incarnation: 4,
            put_epoch: 9,
        };
        store(&disk, dir, VOLUME, epochs).expect("stored");
        let flip = |bit: usize| {
            let change = |bytes: &mut Vec<u8>| bytes[bit / 8] ^= 1 << (bit % 8);
            disk.corrupt(&path(dir), change).expect("a file");
        };
        for bit in 0..RECORD_BYTES * 8 {
            flip(bit);
            assert_eq!(load(&disk, dir, VOLUME).expect("the copy"), Some(epochs));
            flip(COPY_OFFSET * 8 + bit);
            assert!(matches!(
                load(&disk, dir, VOLUME),
                Err(StoreError::NoEpoch { .. })
            ));
            flip(COPY_OFFSET * 8 + bit);
            flip(bit);
        }
        assert!(matches!(
            load(&disk, dir, [4; 16]),
            Err(StoreError::ForeignVolume { .. })
        ));
    }
}
