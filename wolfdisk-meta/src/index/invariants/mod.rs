//! What always holds between the records, whatever was applied. Everything is counted again from the
//! inodes, names and extents, and compared with what the records say.
//!
//! It reads the whole state and holds a summary of it in memory: for tests and for checking a volume
//! by hand, not for a running daemon.

mod census;
mod rules;

use wolfdisk_common::ids::{ChunkId, Ino, SessionId};

use super::records::Read;
use super::table::TableError;
use census::Census;

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Breach {
    #[error("inode {ino}: {what} is {found}, counted {counted}")]
    Inode {
        ino: Ino,
        what: &'static str,
        found: u64,
        counted: u64,
    },
    #[error("inode {ino}: {what}")]
    Shape { ino: Ino, what: &'static str },
    #[error("name {name:?} in directory {parent}: {what}")]
    Name {
        parent: Ino,
        name: Vec<u8>,
        what: &'static str,
    },
    #[error("chunk {id}: {what} is {found}, counted {counted}")]
    Chunk {
        id: ChunkId,
        what: &'static str,
        found: u64,
        counted: u64,
    },
    #[error("project {project}: {what} is {found}, counted {counted}")]
    Usage {
        project: u32,
        what: &'static str,
        found: u64,
        counted: u64,
    },
    #[error("session {session}: {what}")]
    Session {
        session: SessionId,
        what: &'static str,
    },
    #[error("the counter of {what} is {found}, counted {counted}")]
    Counter {
        what: &'static str,
        found: u64,
        counted: u64,
    },
}

/// Everything that does not hold; nothing if all is well.
///
/// # Errors
/// Storage failed or holds a damaged record.
pub fn check(records: &impl Read) -> Result<Vec<Breach>, TableError> {
    let census = Census::take(records)?;
    let mut breaches = Vec::new();
    rules::names(&census, &mut breaches);
    rules::inodes(&census, &mut breaches);
    rules::content(&census, &mut breaches);
    rules::usage(&census, &mut breaches);
    rules::sessions(&census, &mut breaches);
    Ok(breaches)
}
