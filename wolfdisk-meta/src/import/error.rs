//! Why an index was not imported.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::consensus::ReplicationError;
use crate::export::format::FormatError;
use crate::export::whole::WholeError;
use crate::index::codec::DecodeError;
use crate::index::table::TableError;
use crate::manifest::ManifestError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is none, or damaged.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It is of another cluster.
    #[error(
        "the export is of cluster {found}, and this data directory is of cluster {expected}: import it where the copies of \
         that cluster's identity.toml, cluster.key and format are"
    )]
    OtherVolume {
        /// The cluster in it.
        found: Uuid,
        /// The directory's.
        expected: Uuid,
    },
    /// A record cannot be read.
    #[error(
        "the export holds a record that this release cannot read (key {key:02x?}): {source}; import it with the release that \
         wrote it"
    )]
    Record {
        /// Its key.
        key: Vec<u8>,
        /// What is wrong.
        source: DecodeError,
    },
    /// It is whole, but not all of an index.
    #[error("the export is not of a whole index: {0}")]
    Incomplete(&'static str),
    /// Nothing is left to go on with.
    #[error("the index has no {0} left to go on with after an import")]
    NoNumbers(&'static str),
    /// There is one already.
    #[error("{} holds an index; with --replace it is kept aside, under another name", .0.display())]
    Exists(PathBuf),
    /// The old one and the new one cannot change places.
    #[error("{} and {} cannot be exchanged in one step, which this file system may not be able to", .old.display(), .new.display())]
    Exchange {
        /// What is there.
        old: PathBuf,
        /// What is to be.
        new: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Files.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The new checkpoint.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The new log.
    #[error(transparent)]
    Log(#[from] ReplicationError),
    /// The new manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

impl From<WholeError> for ImportError {
    fn from(error: WholeError) -> ImportError {
        match error {
            WholeError::Record { key, source } => ImportError::Record { key, source },
            WholeError::Incomplete(what) => ImportError::Incomplete(what),
        }
    }
}

/// For `map_err`: names the file.
pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> ImportError + '_ {
    |source| ImportError::Io {
        path: path.to_owned(),
        source,
    }
}
