//! Identifiers, each a type of its own so that an inode number is never passed for a session.
//!
//! All of them order and hash by value and print as people write them. None carries meaning beyond
//! identity.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

number!(
    /// An inode number: a counter of 48 bits that is never reused; the upper 16 bits are reserved for
    /// views (snapshots and clones).
    Ino(u64)
);
number!(
    /// The number of mutations the index has applied. Each mutation moves it from N to N + 1.
    Version(u64)
);
number!(
    /// The position of an entry in the replicated log. Entries that are no mutations have one too, so
    /// it runs ahead of [`Version`].
    LogIndex(u64)
);
number!(
    /// A Raft term; 1 on a node that stands alone.
    Term(u64)
);
number!(
    /// One front-end's life: from its opening of a session to its close or expiry.
    SessionId(u64)
);
number!(
    /// The number of a mutation within its session, counted from 1 without gaps.
    Sequence(u64)
);
number!(
    /// The small number by which the index names a node.
    NodeNumber(u32)
);
number!(
    /// Counts the starts of a daemon on one data directory; synced before it is used.
    Incarnation(u64)
);
number!(
    /// The put epoch of one chunk store: every put answer is stamped with it.
    PutEpoch(u64)
);
number!(
    /// A segment file of one chunk store; never reused.
    SegmentId(u32)
);

impl Ino {
    /// The root directory.
    pub const ROOT: Ino = Ino(1);
    /// The largest number of all.
    pub const MAX: Ino = Ino((1 << 48) - 1);
    /// The directory above what front-ends keep for themselves. No name leads to it, so that no mount shows it;
    /// the counter ends before it.
    pub const SYSTEM_ROOT: Ino = Ino::MAX;

    /// It is the top of a tree: no name leads to it.
    pub fn is_root(self) -> bool {
        self == Ino::ROOT || self == Ino::SYSTEM_ROOT
    }
}

/// The identity of a chunk: the hash of its bytes as defined in [`crate::hash`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(pub [u8; 32]);

impl ChunkId {
    /// Reads an id that arrived as bytes.
    ///
    /// # Errors
    /// Gives the length back if it is not 32.
    pub fn from_slice(bytes: &[u8]) -> Result<ChunkId, usize> {
        <[u8; 32]>::try_from(bytes)
            .map(ChunkId)
            .map_err(|_| bytes.len())
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkId({self})")
    }
}
