//! Objects by their keys.

use wolfdisk_common::ids::{Ino, SessionId};
use wolfdisk_common::name::FileName;
use wolfdisk_common::object_key::ObjectKey;

use crate::index::Index;
use crate::index::codec::DecodeError;
use crate::index::key::Key;
use crate::index::op::Kind;
use crate::index::record::{Dirent, Inode, ObjectRecord, Orphan};
use crate::index::records::{Read, Records, damaged};
use crate::index::table::TableError;

/// A name on the way to a key, and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The directory.
    pub parent: Ino,
    /// The name in it.
    pub name: FileName,
    /// What it means.
    pub found: Option<(Ino, Kind)>,
}

impl<R: Records> Index<R> {
    /// The names on the way to a key, as far as they lead: the last is the key's own, or one that is missing or means
    /// no directory.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn way(&self, root: Ino, key: &ObjectKey) -> Result<Vec<Step>, TableError> {
        let mut steps = Vec::with_capacity(key.parents().len() + 1);
        let mut parent = root;
        for name in key.names() {
            let found = self.records().load::<Dirent>(&Key::Dirent {
                parent,
                name: bytes::Bytes::copy_from_slice(name.as_bytes()),
            })?;
            let found = found.map(|dirent| (dirent.ino, dirent.kind));
            steps.push(Step {
                parent,
                name: name.clone(),
                found,
            });
            match found {
                Some((ino, Kind::Directory)) => parent = ino,
                Some(_) | None => break,
            }
        }
        Ok(steps)
    }

    /// The object at a key below `root`, if there is one.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn object(&self, root: Ino, key: &ObjectKey) -> Result<Option<(Ino, Inode)>, TableError> {
        let steps = self.way(root, key)?;
        let whole = steps.len() == key.parents().len() + 1;
        let Some((ino, _)) = steps.last().and_then(|step| step.found).filter(|_| whole) else {
            return Ok(None);
        };
        let Some(inode) = self.inode(ino)? else {
            return Ok(None);
        };
        let is_object = inode.is_object(key.is_marker());
        let is_object = is_object.map_err(|error| unreadable(ino, error))?;
        Ok(is_object.then_some((ino, inode)))
    }

    /// What is kept of an inode as an object.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn object_record(&self, ino: Ino, inode: &Inode) -> Result<ObjectRecord, TableError> {
        inode.object().map_err(|error| unreadable(ino, error))
    }

    /// Whether an inode without links is there because the session holds it.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn is_held(&self, ino: Ino, session: SessionId) -> Result<bool, TableError> {
        let held = self.records().load::<Orphan>(&Key::Orphan { ino, session });
        Ok(held?.is_some())
    }
}

/// The error for an inode whose field `s3` cannot be read.
pub(super) fn unreadable(ino: Ino, error: DecodeError) -> TableError {
    damaged(&Key::Inode { ino }.encode(), error)
}
