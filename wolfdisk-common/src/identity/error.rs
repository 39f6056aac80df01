//! What is wrong with a data directory, and what to do about it.

use std::io;
use std::path::PathBuf;

use super::FORMAT;
use crate::lock::LockError;
use crate::node_id::NodeId;

/// Why a data directory cannot be initialised or used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Nothing is there yet.
    #[error("{0} is not initialised; run: wolfdiskctl init -d {0}", dir.display())]
    NotInitialised {
        /// The data directory.
        dir: PathBuf,
    },
    /// It is to be that of a client, and has not joined.
    #[error(
        "{0} has joined no cluster; get a token on a node (wolfdiskctl join-token) and run here: wolfdiskctl init --join TOKEN -d {0}",
        dir.display()
    )]
    NotJoined {
        /// The data directory.
        dir: PathBuf,
    },
    /// It belongs to a member of a cluster.
    #[error(
        "{0} has joined a cluster already, as {name}; mount it: wolfdiskctl up -d {0}, or choose another directory",
        dir.display()
    )]
    AlreadyJoined {
        /// The data directory.
        dir: PathBuf,
        /// Whose it is.
        name: String,
    },
    /// It already holds a node.
    #[error("{} is already initialised, as node {node}", dir.display())]
    AlreadyInitialised {
        /// The data directory.
        dir: PathBuf,
        /// Whose it is.
        node: String,
    },
    /// It holds files of somebody else.
    #[error("{} is not empty (it holds {name:?}); choose an empty or a new directory", dir.display())]
    NotEmpty {
        /// The data directory.
        dir: PathBuf,
        /// One of the names.
        name: String,
    },
    /// A newer release wrote it.
    #[error(
        "{} has data format {found}, this release reads up to {FORMAT}; install the newer release again",
        dir.display()
    )]
    NewerFormat {
        /// The data directory.
        dir: PathBuf,
        /// The format it has.
        found: u32,
    },
    /// A file does not hold what it should.
    #[error("{} is damaged: {what}; restore it from a backup", file.display())]
    Damaged {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The configured name is another.
    #[error("node.id is {configured} in the configuration, but {} belongs to node {stored}", dir.display())]
    OtherNode {
        /// The data directory.
        dir: PathBuf,
        /// What the configuration says.
        configured: NodeId,
        /// What the directory says.
        stored: NodeId,
    },
    /// It holds the key of a cluster, put there or left by an attempt to join, and nothing else.
    #[error(
        "{} is the key of a cluster, and nothing else is there; to join that cluster: wolfdiskctl init --key-file {} -d {}; \
         to found another one, take the key away first",
        key.display(),
        key.display(),
        dir.display()
    )]
    KeyAlone {
        /// The key.
        key: PathBuf,
        /// The data directory.
        dir: PathBuf,
    },
    /// Others than the owner can read the key.
    #[error("{0} is readable by others than its owner (mode {mode:03o}); run: chmod 600 {0}", file.display())]
    KeyExposed {
        /// The key file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process initialises or runs it just now.
    #[error(transparent)]
    Busy(#[from] LockError),
    /// The system refused.
    #[error("cannot {verb} {}", path.display())]
    Io {
        /// `read`, `write`, ..
        verb: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl IdentityError {
    /// Whether the command or the configuration is at fault, rather than the system or the data.
    pub fn is_usage(&self) -> bool {
        match self {
            IdentityError::NotInitialised { .. }
            | IdentityError::NotJoined { .. }
            | IdentityError::AlreadyJoined { .. }
            | IdentityError::AlreadyInitialised { .. }
            | IdentityError::NotEmpty { .. }
            | IdentityError::OtherNode { .. }
            | IdentityError::KeyAlone { .. }
            | IdentityError::KeyExposed { .. } => true,
            IdentityError::NewerFormat { .. }
            | IdentityError::Damaged { .. }
            | IdentityError::Busy(_)
            | IdentityError::Io { .. } => false,
        }
    }

    /// Whether it is that this user may not look.
    pub fn is_permission(&self) -> bool {
        matches!(self, IdentityError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}
