//! Remembers over a start that this node is among others, in the file `others` **\[format\]**, which is there or not. Until
//! wolfdisk-meta has said who they are, what is not here may be with them: whoever reads it waits, and is not told that it is
//! missing.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wolfdisk_common::disk::{Disk, OpenMode, replace_file};

const NAME: &str = "others";
/// For people; what it says is not read.
const CONTENT: &[u8] = b"this node is among others\n";

/// See the module.
pub struct Mark {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Mark {
    /// In the directory of the chunks.
    pub fn new(disk: Arc<dyn Disk>, dir: &Path) -> Mark {
        Mark {
            disk,
            path: dir.join(NAME),
        }
    }

    /// Whether the node is among others.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn is_set(&self) -> io::Result<bool> {
        match self.disk.open(&self.path, OpenMode::Read) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Remembers it. One that a power cut takes away or brings back costs a wait, or an error for a moment.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn set(&self, among_others: bool) -> io::Result<()> {
        match among_others {
            true => replace_file(&*self.disk, &self.path, CONTENT),
            false => match self.disk.remove(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
        }
    }
}
