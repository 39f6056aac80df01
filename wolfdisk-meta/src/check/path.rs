//! Where an inode is: from its own record and its links upwards, each step confirmed by the name itself.

use bytes::Bytes;
use wolfdisk_common::ids::Ino;

use crate::index::key::{self, Key};
use crate::index::record::{Dirent, Inode};
use crate::index::records::Read;
use crate::index::table::TableError;

/// Directories above one another before it counts as a circle.
const DEPTH_MAX: usize = 4096;

/// The path of an inode from the root of the volume; of one with several names, one of them. None if no path
/// leads to it, as to what front-ends keep for themselves.
///
/// # Errors
/// Storage failed.
pub fn path_of(records: &impl Read, ino: Ino) -> Result<Option<Vec<u8>>, TableError> {
    let mut names: Vec<Bytes> = Vec::new();
    let mut at = ino;
    while at != Ino::ROOT {
        if at == Ino::SYSTEM_ROOT {
            return Ok(None);
        }
        let Some((parent, name)) = place_of(records, at)? else {
            return Ok(None);
        };
        names.push(name);
        at = parent;
        if names.len() > DEPTH_MAX {
            return Ok(None);
        }
    }
    let mut path = Vec::new();
    for name in names.iter().rev() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if path.is_empty() {
        path.push(b'/');
    }
    Ok(Some(path))
}

fn place_of(records: &impl Read, ino: Ino) -> Result<Option<(Ino, Bytes)>, TableError> {
    let Some(inode) = readable::<Inode>(records, &Key::Inode { ino })? else {
        return Ok(None);
    };
    let mut places = vec![(inode.parent, inode.name.clone())];
    if inode.nlink > 1 && !inode.is_directory() {
        let links = match records.keys(&key::links(ino), 1) {
            Err(TableError::Record { .. }) => Vec::new(),
            other => other?,
        };
        places.extend(links.into_iter().filter_map(|key| match key {
            Key::Link { parent, name, .. } => Some((parent, name)),
            _ => None,
        }));
    }
    for (parent, name) in places {
        let key = Key::Dirent {
            parent,
            name: name.clone(),
        };
        let leads_here = readable::<Dirent>(records, &key)?.is_some_and(|dirent| dirent.ino == ino);
        if leads_here {
            return Ok(Some((parent, name)));
        }
    }
    Ok(None)
}

fn readable<T: crate::index::codec::Wire>(
    records: &impl Read,
    key: &Key,
) -> Result<Option<T>, TableError> {
    match records.load(key) {
        Err(TableError::Record { .. }) => Ok(None),
        other => other,
    }
}
