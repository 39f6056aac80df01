//! What can be found wrong.

use wolfdisk_common::ids::{ChunkId, Ino, SessionId};

use super::plan::FixId;

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
    #[error(
        "name {:?} in directory {parent}: {what}",
        String::from_utf8_lossy(name)
    )]
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
    #[error("member {number}: {what}")]
    Member { number: u64, what: &'static str },
    #[error("the counter of {what} is {found}, counted {counted}")]
    Counter {
        what: &'static str,
        found: u64,
        counted: u64,
    },
    #[error("a record cannot be read: {what} (key {key:02x?})")]
    Record { key: Vec<u8>, what: String },
}

impl Breach {
    /// Harmless: the content is right, and stored in more pieces than it needs.
    pub(super) const UNTIDY: &str = "extents that go on are apart";

    /// Nobody needs to be told.
    pub fn is_harmless(&self) -> bool {
        matches!(self, Breach::Shape { what, .. } if *what == Breach::UNTIDY)
    }

    /// The inode that it is about, if it is about one.
    pub fn ino(&self) -> Option<Ino> {
        match self {
            Breach::Inode { ino, .. } | Breach::Shape { ino, .. } => Some(*ino),
            Breach::Name { parent, .. } => Some(*parent),
            _ => None,
        }
    }
}

/// A breach, and what would put it right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What does not hold.
    pub breach: Breach,
    /// The part of the plan that puts it right; none: nothing does without guessing.
    pub fix: Option<FixId>,
}
