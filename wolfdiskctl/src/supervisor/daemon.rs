//! What to start.

use std::ffi::OsString;
use std::path::PathBuf;

/// A program and its arguments.
#[derive(Clone, Debug)]
pub struct Daemon {
    /// What messages call it.
    pub name: &'static str,
    /// The file.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Whether its ending with success ends the whole: an unmount from outside does.
    pub may_end: bool,
    /// The mount point that is dead once this daemon was killed.
    pub mount: Option<PathBuf>,
    /// User and group that it runs as; `None`: ours.
    pub user: Option<(u32, u32)>,
    /// Where what it says goes; `None`: to our standard error.
    pub log: Option<PathBuf>,
}
