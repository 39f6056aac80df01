//! Objects, by the key that leads to them below a directory: what is on the way, what they must be, what is kept of
//! them, and their removal. How they come to be is in [`super::publish`].

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, SessionId};
use wolfdisk_common::object_key::ObjectKey;

use super::fail::{Done, Fail, require};
use super::{names, remove as names_gone};
use crate::index::codec::DecodeError;
use crate::index::key::Key;
use crate::index::op::{Answer, Effect, Expected, Kind, Op, Openers, RemoveObject};
use crate::index::record::{Dirent, Inode, NewInode, ObjectRecord};
use crate::index::records::{Records, damaged};
use crate::index::tx::Tx;

/// Only the daemons' own front-ends look into it.
const SYSTEM_ROOT_PERMISSIONS: u32 = 0o700;

/// The way to a key, as far as it leads.
pub(crate) struct Way {
    /// The directories that are there, from the root of the keys down; never empty.
    pub directories: Vec<(Ino, Inode)>,
    /// Something that is no directory stands in the way.
    pub blocked: bool,
    /// What the key's name means in the last directory, if all of them are there.
    pub target: Option<(Dirent, Inode)>,
}

/// Follows a key.
pub(crate) fn walk<R: Records>(tx: &Tx<'_, R>, root: Ino, key: &ObjectKey) -> Done<Way> {
    let mut at = root;
    let mut way = Way {
        directories: vec![(root, names::directory(tx, root)?)],
        blocked: false,
        target: None,
    };
    for name in key.parents() {
        match names::find(tx, at, name)? {
            None => return Ok(way),
            Some(dirent) if dirent.kind == Kind::Directory => {
                at = dirent.ino;
                way.directories.push((at, tx.inode(at)?));
            }
            Some(_) => {
                way.blocked = true;
                return Ok(way);
            }
        }
    }
    if let Some(dirent) = names::find(tx, at, key.name())? {
        let inode = tx.inode(dirent.ino)?;
        way.target = Some((dirent, inode));
    }
    Ok(way)
}

/// The error for an inode whose field `s3` cannot be read.
fn unreadable(ino: Ino, error: DecodeError) -> Fail {
    Fail::Table(damaged(&Key::Inode { ino }.encode(), error))
}

/// What is kept of an inode as an object.
fn object_of(ino: Ino, inode: &Inode) -> Done<ObjectRecord> {
    inode.object().map_err(|error| unreadable(ino, error))
}

impl Way {
    /// Whether what the key leads to is an object.
    pub(crate) fn is_object(&self, key: &ObjectKey) -> Done<bool> {
        match &self.target {
            None => Ok(false),
            Some((dirent, inode)) => inode
                .is_object(key.is_marker())
                .map_err(|error| unreadable(dirent.ino, error)),
        }
    }

    /// Refuses the change if what the key leads to is not what it must be.
    pub(crate) fn expect(&self, key: &ObjectKey, expected: Expected) -> Done {
        let is_object = self.is_object(key)?;
        let holds = match (expected, &self.target) {
            (Expected::Anything, _) => true,
            (Expected::Absent, _) => !is_object,
            (Expected::Exactly { .. }, None) => false,
            (Expected::Exactly { ino, stamp }, Some((dirent, inode))) => {
                is_object && dirent.ino == ino && inode.stamp == stamp
            }
        };
        require(holds, libc::ECANCELED)
    }
}

/// Who may have `ino` open.
pub(crate) fn openers_of(ino: Ino, openers: &[Openers]) -> &[SessionId] {
    let of = openers.iter().find(|openers| openers.ino == ino);
    of.map_or(&[], |openers| &openers.sessions)
}

/// `Op::MakeSystemRoot`.
pub(crate) fn make_system_root<R: Records>(tx: &mut Tx<'_, R>) -> Done<Answer> {
    let ino = Ino::SYSTEM_ROOT;
    if tx.find_inode(ino)?.is_none() {
        let new = NewInode {
            kind: Kind::Directory,
            permissions: SYSTEM_ROOT_PERMISSIONS,
            uid: 0,
            gid: 0,
            rdev: 0,
            symlink: Bytes::new(),
            parent: ino,
            name: Bytes::new(),
            project: 0,
        };
        let mut inode = Inode::new(new, tx.version(), tx.time);
        tx.use_more(inode.project, 0, 1)?;
        tx.store_inode(ino, &mut inode);
    }
    Ok(Answer {
        inodes: vec![ino],
        ..Answer::default()
    })
}

/// `Op::SetObject`.
pub(crate) fn set<R: Records>(tx: &mut Tx<'_, R>, op: &Op) -> Done<Answer> {
    let Op::SetObject {
        ino,
        expected_stamp,
        s3,
        silent,
    } = op
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    let ino = *ino;
    let mut inode = names::existing(tx, ino)?;
    require(inode.nlink > 0, libc::ENOENT)?;
    require(
        matches!(inode.kind, Kind::File | Kind::Directory),
        libc::EINVAL,
    )?;
    // A directory may come to be a key by it, which is no silent change.
    require(!silent || inode.kind == Kind::File, libc::EINVAL)?;
    let same = expected_stamp.is_none_or(|stamp| stamp == inode.stamp);
    require(same, libc::ECANCELED)?;
    match s3 {
        Some(value) => inode.describe(Some(value.clone())),
        None => {
            let implied = object_of(ino, &inode)?.implied;
            inode.set_object(&ObjectRecord {
                implied,
                ..ObjectRecord::default()
            });
        }
    }
    if !silent {
        inode.ctime = tx.time;
        tx.effect(Effect::Attr { ino });
    }
    tx.store_inode(ino, &mut inode);
    Ok(Answer {
        inodes: vec![ino],
        ..Answer::default()
    })
}

/// `Op::RemoveObject`: `ENOENT` if there is none.
pub(crate) fn remove<R: Records>(tx: &mut Tx<'_, R>, remove: &RemoveObject) -> Done<Answer> {
    let key = &remove.key;
    let mut way = walk(tx, remove.root, key)?;
    way.expect(key, remove.expected)?;
    require(way.is_object(key)?, libc::ENOENT)?;
    let Some((dirent, mut victim)) = way.target.take() else {
        return Err(Fail::Errno(libc::ENOENT));
    };
    let ino = dirent.ino;
    if victim.is_directory() && victim.entries > 0 {
        // Other keys need it.
        victim.set_object(&ObjectRecord {
            implied: true,
            ..ObjectRecord::default()
        });
        victim.ctime = tx.time;
        tx.store_inode(ino, &mut victim);
        tx.effect(Effect::Attr { ino });
        return Ok(Answer {
            inodes: vec![ino],
            ..Answer::default()
        });
    }
    let mut answer = Answer {
        inodes: vec![ino],
        ..Answer::default()
    };
    answer.removed = take_out(tx, way, remove, (dirent, victim), &mut answer.inodes)?;
    Ok(answer)
}

/// Takes the object out of its directory, and that out of its own if it is implied and empty now, and so on.
fn take_out<R: Records>(
    tx: &mut Tx<'_, R>,
    mut way: Way,
    remove: &RemoveObject,
    (mut dirent, mut victim): (Dirent, Inode),
    changed: &mut Vec<Ino>,
) -> Done<bool> {
    let mut last_link = None;
    let mut names = remove.key.names().collect::<Vec<_>>();
    while let (Some((parent, mut directory)), Some(name)) = (way.directories.pop(), names.pop()) {
        changed.push(parent);
        let place = names_gone::Place {
            parent,
            name,
            directory: &mut directory,
        };
        let holders = openers_of(dirent.ino, &remove.openers);
        let gone = names_gone::taken_out(tx, place, &dirent, &mut victim, holders)?;
        last_link.get_or_insert(gone);
        let stays = directory.entries > 0 || !object_of(parent, &directory)?.implied;
        let above = way.directories.last().map(|(ino, _)| *ino);
        let (Some(above), Some(own), false) = (above, names.last(), stays) else {
            tx.store_inode(parent, &mut directory);
            tx.effect(Effect::Attr { ino: parent });
            break;
        };
        dirent = names::find(tx, above, own)?.ok_or(Fail::Errno(libc::ENOENT))?;
        victim = directory;
    }
    Ok(last_link.unwrap_or_default())
}
