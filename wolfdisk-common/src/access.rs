//! How a daemon opens its data: to serve it, or to have it inspected by a tool while nothing runs.
//!
//! A daemon that is inspected takes the same lock, answers at a socket that only its starter knows, and does
//! nothing by itself. Unless repairs are wanted it works over a [`ShadowDisk`]: it finds what a start would
//! find and changes no byte.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::Disk;
use crate::disk::real::RealDisk;
use crate::disk::shadow::ShadowDisk;
use crate::paths::Paths;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// As always.
    Serve,
    /// For a check.
    Inspect {
        /// Where the socket is to be.
        sockets: PathBuf,
        /// Whether anything may be changed.
        repair: bool,
    },
}

impl Access {
    /// The disk to work on.
    pub fn disk(&self) -> Arc<dyn Disk> {
        let real = Arc::new(RealDisk);
        match self {
            Access::Serve | Access::Inspect { repair: true, .. } => real,
            Access::Inspect { repair: false, .. } => Arc::new(ShadowDisk::over(real)),
        }
    }

    /// Where things are.
    pub fn paths(&self, paths: Paths) -> Paths {
        match self {
            Access::Serve => paths,
            Access::Inspect { sockets, .. } => paths.with_sockets_in(sockets.clone()),
        }
    }

    /// Whether the daemon looks after its data by itself.
    pub fn serves(&self) -> bool {
        *self == Access::Serve
    }
}
