//! Inodes, names, attributes.

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::name::FileName;

use crate::index::Index;
use crate::index::key::{self, Key};
use crate::index::op::Kind;
use crate::index::record::{Cookie, Dirent, Inode, Usage, Volume, Xattr};
use crate::index::records::{Read, Records};
use crate::index::table::TableError;

/// One name of a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Ask for what follows this one with it.
    pub cookie: u64,
    /// The name.
    pub name: FileName,
    /// What it means.
    pub ino: Ino,
    /// Of what kind that is.
    pub kind: Kind,
}

/// A part of a directory, in the order of cookies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The names.
    pub entries: Vec<Listed>,
    /// Nothing follows.
    pub end: bool,
}

impl<R: Records> Index<R> {
    /// The inode.
    ///
    /// # Errors
    /// Storage failed or holds a damaged record, as everywhere here.
    pub fn inode(&self, ino: Ino) -> Result<Option<Inode>, TableError> {
        match self.recent().inode(ino) {
            Some(inode) => Ok(Some(inode.clone())),
            None => self.records().load(&Key::Inode { ino }),
        }
    }

    /// What a name in a directory means; also none if the directory is none.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Option<(Ino, Inode)>, TableError> {
        let name = Bytes::copy_from_slice(name);
        let Some(dirent) = self
            .records()
            .load::<Dirent>(&Key::Dirent { parent, name })?
        else {
            return Ok(None);
        };
        Ok(self.inode(dirent.ino)?.map(|inode| (dirent.ino, inode)))
    }

    /// Names with a cookie above `after` (0: all), at most `limit`.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn readdir(&self, parent: Ino, after: u64, limit: usize) -> Result<Listing, TableError> {
        let mut listing = Listing {
            entries: Vec::new(),
            end: true,
        };
        self.records()
            .each(&key::cookies(parent, after), |key, record: Cookie| {
                if listing.entries.len() >= limit {
                    listing.end = false;
                    return false;
                }
                if let Key::Cookie { cookie, .. } = key {
                    let Cookie {
                        name, ino, kind, ..
                    } = record;
                    listing.entries.push(Listed {
                        cookie,
                        name,
                        ino,
                        kind,
                    });
                }
                true
            })?;
        Ok(listing)
    }

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn xattr(&self, ino: Ino, name: &[u8]) -> Result<Option<Bytes>, TableError> {
        let name = Bytes::copy_from_slice(name);
        Ok(self
            .records()
            .load::<Xattr>(&Key::Xattr { ino, name })?
            .map(|xattr| xattr.value))
    }

    /// All extended attributes, by name.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn xattrs(&self, ino: Ino) -> Result<Vec<(Bytes, Bytes)>, TableError> {
        let mut found = Vec::new();
        self.records()
            .each(&key::xattrs(ino), |key, record: Xattr| {
                if let Key::Xattr { name, .. } = key {
                    found.push((name, record.value));
                }
                true
            })?;
        Ok(found)
    }

    /// What a project uses.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn usage(&self, project: u32) -> Result<Usage, TableError> {
        Ok(self
            .records()
            .load(&Key::Usage { project })?
            .unwrap_or_default())
    }

    /// The volume's identity.
    ///
    /// # Errors
    /// See [`Index::inode`].
    pub fn volume(&self) -> Result<Option<Volume>, TableError> {
        self.records().load(&Key::Volume)
    }
}
