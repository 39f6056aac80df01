//! Which directory a bucket is: the one of its name right below the root, else the folder that its name is mapped to.
//!
//! A directory comes first, so that an ordinary bucket costs what it did; one that a mount makes hides a map of its name
//! until it goes. The way to a folder is gone name by name, and no symbolic link is followed.

use bytes::Bytes;
use wolfdisk_client::{Attr, FileKind, KeyEntry, ListKeys, Lookup, Volume};
use wolfdisk_common::bucket_map::{self, FolderPath};
use wolfdisk_common::ids::Ino;

use super::Store;
use crate::bucket::BucketName;
use crate::error::{Failure, Result};
use crate::limits::{BUCKET_MAP_LIFETIME, LIST_MAX};
use crate::recent::Recent;

/// What names are mapped to, as the index said a moment ago.
#[derive(Debug)]
pub struct Maps(Recent<Option<FolderPath>>);

impl Default for Maps {
    fn default() -> Maps {
        Maps(Recent::new(BUCKET_MAP_LIFETIME))
    }
}

/// How a bucket came to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is a directory right below the root.
    Directory,
    /// It is a folder that the name is mapped to.
    Mapped,
}

/// A bucket that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its directory.
    pub ino: Ino,
    /// Which it is.
    pub kind: Kind,
}

/// A mapped one that is there.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// Its name.
    pub name: BucketName,
    /// Its folder.
    pub attr: Attr,
}

impl Store {
    /// The directory of a bucket.
    ///
    /// # Errors
    /// There is none.
    pub async fn bucket(&self, name: &str) -> Result<Ino> {
        Ok(self.find_bucket(name).await?.ino)
    }

    /// The same, and which kind of bucket it is.
    ///
    /// # Errors
    /// As [`Store::bucket`].
    pub async fn find_bucket(&self, name: &str) -> Result<Found> {
        let name = BucketName::parse(name).ok_or(Failure::NoSuchBucket)?;
        let own = name.clone();
        let directory = self
            .run(move |volume| below(volume, volume.root(), own.as_str().as_bytes()))
            .await?;
        if let Some(attr) = directory {
            let (ino, kind) = (attr.ino, Kind::Directory);
            return Ok(Found { ino, kind });
        }
        let path = self.map_of(&name).await?.ok_or(Failure::NoSuchBucket)?;
        let folder = self.run(move |volume| follow(volume, &path)).await?;
        let ino = folder.ok_or(Failure::NoSuchBucket)?.ino;
        let kind = Kind::Mapped;
        Ok(Found { ino, kind })
    }

    /// Whether a name is mapped, be its folder there or not.
    ///
    /// # Errors
    /// The index does not answer.
    pub async fn is_mapped(&self, name: &BucketName) -> Result<bool> {
        let found = self.find(Ino::SYSTEM_ROOT, bucket_map::place(name)?).await;
        Ok(found?.is_some())
    }

    async fn map_of(&self, name: &BucketName) -> Result<Option<FolderPath>> {
        let place = bucket_map::place(name)?;
        let ask = || async {
            let found = self.find(Ino::SYSTEM_ROOT, place).await?;
            let record = found.map(|object| object.s3.unwrap_or_default());
            Ok(record.map(|bytes| FolderPath::decode(&bytes)).transpose()?)
        };
        self.maps.0.get(name.as_str(), ask).await
    }
}

/// The directory of a name in another.
fn below(volume: &Volume, parent: Ino, name: &[u8]) -> Result<Option<Attr>> {
    match volume.lookup(parent, name) {
        Ok(Lookup::Found(entry)) if entry.attr.kind == FileKind::Directory => Ok(Some(entry.attr)),
        Ok(Lookup::Found(_) | Lookup::Missing { .. }) => Ok(None),
        // The directory above went meanwhile.
        Err(error) if matches!(error.errno(), libc::ENOENT | libc::ENOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The folder at a path, if every name on the way is a directory.
fn follow(volume: &Volume, path: &FolderPath) -> Result<Option<Attr>> {
    let (mut parent, mut found) = (volume.root(), None);
    for name in path.names() {
        found = below(volume, parent, name.as_bytes())?;
        match &found {
            Some(attr) => parent = attr.ino,
            None => return Ok(None),
        }
    }
    Ok(found)
}

/// All mapped buckets whose folders are there.
///
/// # Errors
/// What the volume gave.
pub fn mapped_buckets(volume: &Volume) -> Result<Vec<Mapped>> {
    let (mut found, mut after) = (Vec::new(), Bytes::new());
    loop {
        let request = ListKeys {
            prefix: Bytes::from_static(bucket_map::PREFIX.as_bytes()),
            after,
            delimiter: false,
            max: LIST_MAX,
        };
        let page = match volume.list_keys(Ino::SYSTEM_ROOT, &request) {
            // Nothing was ever kept.
            Err(error) if error.errno() == libc::ENOENT => return Ok(found),
            page => page?,
        };
        for entry in page.entries {
            let KeyEntry::Object { key, object } = entry else {
                continue;
            };
            let Some(name) = bucket_map::bucket_at(&key) else {
                continue;
            };
            let record = object.s3.unwrap_or_default();
            let folder = match FolderPath::decode(&record) {
                Ok(path) => follow(volume, &path)?,
                Err(error) => {
                    tracing::warn!(bucket = %name, %error, "a bucket's folder is not known");
                    None
                }
            };
            found.extend(folder.map(|attr| Mapped { name, attr }));
        }
        if !page.more {
            return Ok(found);
        }
        after = page.last;
    }
}
