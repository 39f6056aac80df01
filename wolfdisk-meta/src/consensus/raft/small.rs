//! The vote and the committed entry, in files of their own beside the manifest **\[format\]**.
//!
//! | offset | size | the file `VOTE` |
//! |---|---|---|
//! | 0 | 8 | magic `WDRAVOTE` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | 1: a majority has granted it, 0: not |
//! | 16 | 8 | term, with the leader as in the log |
//! | 24 | 4 | CRC32C of all bytes before |
//!
//! It is replaced as a whole, durably, before anybody is told of a vote.
//!
//! | offset | size | the file `COMMITTED` |
//! |---|---|---|
//! | 0 | 8 | magic `WDRACOMM` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | zero |
//! | 16 | 8 | term of the entry |
//! | 24 | 8 | index of the entry |
//! | 32 | 4 | CRC32C of all bytes before |
//!
//! It is written over and not synced, so a power cut may leave an older one, or one that is torn: then it is as if there
//! were none, and what is committed is learnt from the others.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wolfdisk_common::disk::{Disk, DiskFile, OpenMode, replace_file};
use wolfdisk_common::ids::{LogIndex, Term};

use super::{NoSuchTerm, Vote, leader_of, term_of};
use crate::consensus::ReplicationError;

/// The file of the vote, in the directory of the index.
pub const VOTE_NAME: &str = "VOTE";
/// The file of the committed entry, beside it.
pub const COMMITTED_NAME: &str = "COMMITTED";

const VOTE_MAGIC: &[u8; 8] = b"WDRAVOTE";
const COMMITTED_MAGIC: &[u8; 8] = b"WDRACOMM";
const FORMAT: u32 = 1;
const VOTE_BYTES: usize = 28;
const COMMITTED_BYTES: usize = 36;

/// What this node has promised last, and where it is kept.
pub(super) struct VoteFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    vote: Option<Vote>,
}

impl VoteFile {
    /// Reads the file in `directory`, if there is one. It is durable then: who wrote it may have been killed before its
    /// name was.
    ///
    /// # Errors
    /// `Damaged`, `NewerFormat`, `Io`.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path) -> Result<VoteFile, ReplicationError> {
        let path = directory.join(VOTE_NAME);
        let bytes = read::<{ VOTE_BYTES + 1 }>(&*disk, &path)?;
        let vote = match bytes {
            Some(bytes) => {
                let vote = decode_vote(&bytes, &path)?;
                let kept = replace_file(&*disk, &path, &bytes);
                kept.map_err(|source| ReplicationError::Io {
                    path: path.clone(),
                    source,
                })?;
                Some(vote)
            }
            None => None,
        };
        Ok(VoteFile { disk, path, vote })
    }

    /// The last one.
    pub fn vote(&self) -> Option<Vote> {
        self.vote
    }

    /// Keeps another, durably.
    ///
    /// # Errors
    /// What the system says, or that there is no room for such a term: the old one stands.
    pub fn set(&mut self, vote: Vote) -> io::Result<()> {
        let bytes = encode_vote(&vote).map_err(io::Error::other)?;
        replace_file(&*self.disk, &self.path, &bytes)?;
        self.vote = Some(vote);
        Ok(())
    }
}

/// The last entry that is known to be committed, and where it is kept.
pub(super) struct CommittedFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Option<Arc<dyn DiskFile>>,
    committed: Option<(LogIndex, Term)>,
}

impl CommittedFile {
    /// Reads the file in `directory`, if there is one.
    ///
    /// # Errors
    /// `NewerFormat`, `Io`.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path) -> Result<CommittedFile, ReplicationError> {
        let path = directory.join(COMMITTED_NAME);
        let bytes = read::<COMMITTED_BYTES>(&*disk, &path)?;
        let committed = match bytes.map(|bytes| decode_committed(&bytes, &path)) {
            Some(Ok(committed)) => Some(committed),
            Some(Err(ReplicationError::Damaged { .. })) | None => None,
            Some(Err(error)) => return Err(error),
        };
        Ok(CommittedFile {
            disk,
            path,
            file: None,
            committed,
        })
    }

    /// The last one.
    pub fn committed(&self) -> Option<(LogIndex, Term)> {
        self.committed
    }

    /// Keeps another. A power cut may lose it.
    ///
    /// # Errors
    /// What the system says.
    pub fn set(&mut self, index: LogIndex, term: Term) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => match self.disk.open(&self.path, OpenMode::ReadWrite) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.disk.open(&self.path, OpenMode::CreateNew)?
                }
                opened => opened?,
            },
        };
        file.write_at(&encode_committed(index, term), 0)?;
        self.file = Some(file);
        self.committed = Some((index, term));
        Ok(())
    }
}

/// The content of a small file, up to `N` bytes of it; none: there is no such file.
fn read<const N: usize>(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, ReplicationError> {
    let mut bytes = vec![0; N];
    let file = disk.open(path, OpenMode::Read);
    match file.and_then(|file| file.read_at(&mut bytes, 0)) {
        Ok(length) => {
            bytes.truncate(length);
            Ok(Some(bytes))
        }
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReplicationError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The bytes of `VOTE`.
///
/// # Errors
/// There is no room for such a term.
pub fn encode_vote(vote: &Vote) -> Result<Vec<u8>, NoSuchTerm> {
    let term = term_of(&vote.leader_id)?;
    let mut bytes = head(VOTE_MAGIC, u32::from(vote.committed));
    bytes.extend_from_slice(&term.0.to_le_bytes());
    Ok(sealed(bytes))
}

/// Reads the bytes of `VOTE` at `path`, which errors name.
///
/// # Errors
/// `Damaged`, `NewerFormat`.
pub fn decode_vote(bytes: &[u8], path: &Path) -> Result<Vote, ReplicationError> {
    let (flag, [term]) = opened::<VOTE_BYTES, 1>(bytes, VOTE_MAGIC, path)?;
    match flag {
        0 | 1 => Ok(Vote {
            leader_id: leader_of(Term(term)),
            committed: flag == 1,
        }),
        _ => Err(damaged(path, "a vote is granted or it is not")),
    }
}

/// The bytes of `COMMITTED`.
pub fn encode_committed(index: LogIndex, term: Term) -> Vec<u8> {
    let mut bytes = head(COMMITTED_MAGIC, 0);
    bytes.extend_from_slice(&term.0.to_le_bytes());
    bytes.extend_from_slice(&index.0.to_le_bytes());
    sealed(bytes)
}

/// Reads the bytes of `COMMITTED` at `path`, which errors name.
///
/// # Errors
/// `Damaged`, `NewerFormat`.
pub fn decode_committed(bytes: &[u8], path: &Path) -> Result<(LogIndex, Term), ReplicationError> {
    match opened::<COMMITTED_BYTES, 2>(bytes, COMMITTED_MAGIC, path)? {
        (0, [term, index]) => Ok((LogIndex(index), Term(term))),
        _ => Err(damaged(path, "what must be zero is not")),
    }
}

fn head(magic: &[u8; 8], flag: u32) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&flag.to_le_bytes());
    bytes
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// The flag and the numbers of a small file of `N` bytes.
fn opened<const N: usize, const NUMBERS: usize>(
    bytes: &[u8],
    magic: &[u8; 8],
    path: &Path,
) -> Result<(u32, [u64; NUMBERS]), ReplicationError> {
    let whole = <&[u8; N]>::try_from(bytes).ok();
    let parts = whole.and_then(|bytes| bytes.split_last_chunk::<4>());
    let (covered, crc) = parts.ok_or_else(|| damaged(path, "its length is wrong"))?;
    let rest = covered
        .strip_prefix(magic)
        .ok_or_else(|| damaged(path, "it does not begin as it should"))?;
    if crc32c::crc32c(covered).to_le_bytes() != *crc {
        return Err(damaged(path, "its checksum is wrong"));
    }
    let (small, numbers) = rest.split_at_checked(8).unwrap_or_default();
    let small = small.as_chunks::<4>().0.iter();
    let mut small = small.map(|bytes| u32::from_le_bytes(*bytes));
    let (format, flag) = (small.next(), small.next());
    if let Some(found) = format.filter(|format| *format != FORMAT) {
        return Err(ReplicationError::NewerFormat {
            path: path.to_owned(),
            found,
            known: FORMAT,
        });
    }
    let numbers = numbers.as_chunks::<8>().0.iter();
    let numbers: Vec<_> = numbers.map(|bytes| u64::from_le_bytes(*bytes)).collect();
    match (flag, <[u64; NUMBERS]>::try_from(numbers)) {
        (Some(flag), Ok(numbers)) => Ok((flag, numbers)),
        _ => Err(damaged(path, "its length is wrong")),
    }
}

fn damaged(path: &Path, what: &str) -> ReplicationError {
    ReplicationError::Damaged {
        path: path.to_owned(),
        offset: 0,
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use wolfdisk_common::disk::crash::{CrashDisk, Operation};
    use wolfdisk_common::ids::NodeNumber;

    use super::super::{Leader, TERM_MAX, Voter};
    use super::*;

    fn vote(term: u64, number: u32, committed: bool) -> Vote {
        let leader_id = Leader {
            term,
            node_id: Voter(NodeNumber(number)),
        };
        Vote {
            leader_id,
            committed,
        }
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_is_noticed() {
        let path = Path::new("/file");
        let good = encode_vote(&vote(7, 3, true)).expect("there is room");
        assert_eq!(decode_vote(&good, path).expect("good"), vote(7, 3, true));
        let other = encode_committed(LogIndex(9), Term(8));
        let found = decode_committed(&other, path).expect("good");
        assert_eq!(found, (LogIndex(9), Term(8)));
        for (good, reads) in [
            (
                good,
                (|bytes, path| decode_vote(bytes, path).is_ok()) as fn(&[u8], &Path) -> bool,
            ),
            (other, |bytes, path| decode_committed(bytes, path).is_ok()),
        ] {
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(!reads(&bad, path), "bit {bit}");
            }
            for length in 0..good.len() {
                assert!(!reads(&good[..length], path), "length {length}");
            }
            let longer = [&good[..], &[0]].concat();
            assert!(!reads(&longer, path));
        }
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let mut bytes = encode_vote(&vote(7, 3, true)).expect("there is room");
        bytes[8] = 2;
        bytes.truncate(VOTE_BYTES - 4);
        let error = decode_vote(&sealed(bytes), Path::new("/VOTE")).expect_err("refused");
        assert!(error.to_string().contains("format 2"), "{error}");
    }

    #[test]
    fn a_vote_survives_and_is_never_half_of_another() {
        let directory = Path::new("/");
        for cut in 1..8 {
            for seed in 0..16 {
                let disk = CrashDisk::new();
                let open = || VoteFile::open(Arc::new(disk.clone()), directory).expect("opened");
                let mut file = open();
                assert_eq!(file.vote(), None);
                file.set(vote(3, 1, false)).expect("kept");
                disk.power_off_at(cut);
                let kept = file.set(vote(4, 2, true)).is_ok();
                disk.crash(seed);
                let found = open().vote();
                let new = found == Some(vote(4, 2, true));
                assert!(
                    new || !kept && found == Some(vote(3, 1, false)),
                    "{found:?}"
                );
            }
        }
        let disk = CrashDisk::new();
        let mut file = VoteFile::open(Arc::new(disk), directory).expect("opened");
        file.set(vote(TERM_MAX + 1, 1, false)).expect_err("no room");
        assert_eq!(file.vote(), None);
    }

    #[test]
    fn a_vote_that_was_read_once_is_never_forgotten() {
        let directory = Path::new("/");
        for seed in 0..16 {
            let disk = CrashDisk::new();
            let open = || VoteFile::open(Arc::new(disk.clone()), directory).expect("opened");
            let mut file = open();
            file.set(vote(3, 1, false)).expect("kept");
            disk.fail_at(Some(Operation::SyncDir), 1, libc::EIO);
            file.set(vote(4, 2, false))
                .expect_err("its name is not durable");
            assert_eq!(open().vote(), Some(vote(4, 2, false)));
            disk.crash(seed);
            assert_eq!(open().vote(), Some(vote(4, 2, false)));
        }
    }

    #[test]
    fn what_is_committed_survives_a_kill_and_a_power_cut_makes_nothing_up() {
        let directory = Path::new("/");
        for seed in 0..32 {
            let disk = CrashDisk::new();
            let open = || CommittedFile::open(Arc::new(disk.clone()), directory).expect("opened");
            let mut file = open();
            for index in 1..=5 {
                file.set(LogIndex(index), Term(index * 7)).expect("kept");
            }
            drop(file);
            assert_eq!(open().committed(), Some((LogIndex(5), Term(35))));
            disk.crash(seed);
            if let Some((index, term)) = open().committed() {
                assert_eq!(term.0, index.0 * 7);
            }
        }
    }
}
