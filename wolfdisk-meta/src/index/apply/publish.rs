//! How objects come to be: a file without a name, and content that gets the name a key gives it, with the directories
//! that are missing on the way, in one mutation.

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, SessionId};
use wolfdisk_common::limits::LINK_MAX;
use wolfdisk_common::name::FileName;

use super::fail::{Done, Fail, require};
use super::objects::{self, Way};
use super::{content, create, names, orphans, remove, write};
use crate::index::key::Key;
use crate::index::op::{
    Answer, Effect, Kind, Op, Publish, PublishContent, WritePiece, WriteSource,
};
use crate::index::record::{Inode, NewInode, ObjectRecord, Orphan};
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;

/// `Op::Stage`.
pub(crate) fn stage<R: Records>(
    tx: &mut Tx<'_, R>,
    op: &Op,
    session: Option<SessionId>,
) -> Done<Answer> {
    let (
        &Op::Stage {
            root,
            permissions,
            uid,
            gid,
        },
        Some(session),
    ) = (op, session)
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    let directory = names::directory(tx, root)?;
    let ino = create::next_ino(tx)?;
    let new = NewInode {
        kind: Kind::File,
        permissions,
        uid,
        gid,
        rdev: 0,
        symlink: Bytes::new(),
        parent: root,
        name: Bytes::new(),
        project: directory.project,
    };
    let mut inode = Inode::new(new, tx.version(), tx.time);
    inode.nlink = 0;
    tx.use_more(inode.project, 0, 1)?;
    orphans::orphaned(tx, ino, &mut inode, &[session])?;
    Ok(Answer {
        inodes: vec![ino],
        ..Answer::default()
    })
}

/// `Op::Publish`. The answer names the object, the directory in which a name has changed, and what was replaced.
pub(crate) fn publish<R: Records>(
    tx: &mut Tx<'_, R>,
    publish: &Publish,
    session: Option<SessionId>,
    payload: &Bytes,
) -> Done<Answer> {
    let key = &publish.key;
    let mut way = objects::walk(tx, publish.root, key)?;
    require(!way.blocked, libc::ENOTDIR)?;
    way.expect(key, publish.expected)?;
    let is_directory = matches!(publish.content, PublishContent::Directory);
    require(is_directory == key.is_marker(), libc::EINVAL)?;
    let there = way.target.as_ref().map(|(_, inode)| inode.is_directory());
    match (is_directory, there) {
        (true, Some(true)) => return mark(tx, way, publish),
        (true, Some(false)) => return Err(Fail::Errno(libc::ENOTDIR)),
        (false, Some(true)) => return Err(Fail::Errno(libc::EISDIR)),
        (_, None) | (false, Some(false)) => {}
    }
    let found = way.directories.len();
    let changed = way.directories.last().map(|(ino, _)| *ino);
    let missing = key.parents().get(found - 1..).unwrap_or_default();
    for name in missing {
        add_directory(tx, &mut way, name, publish, true)?;
    }
    let mut answer = Answer::default();
    if is_directory {
        let ino = add_directory(tx, &mut way, key.name(), publish, false)?;
        answer.inodes.push(ino);
        if let Some((ino, mut inode)) = way.directories.pop() {
            inode.describe(Some(publish.s3.clone()));
            inode.mtime = content::time_of(tx, publish.mtime);
            tx.store_inode(ino, &mut inode);
        }
        answer.inodes.extend(changed);
        return Ok(answer);
    }
    let victim = way.target.as_ref().map(|(dirent, _)| dirent.ino);
    let (ino, removed) = put(tx, way, publish, session, payload)?;
    answer.removed = removed;
    answer.inodes.push(ino);
    answer.inodes.extend(changed);
    answer.inodes.extend(victim);
    Ok(answer)
}

/// What the key means is a directory that is there: it becomes an object.
fn mark<R: Records>(tx: &mut Tx<'_, R>, way: Way, publish: &Publish) -> Done<Answer> {
    let (dirent, mut inode) = way.target.ok_or(Fail::Errno(libc::ENOENT))?;
    let ino = dirent.ino;
    inode.describe(Some(publish.s3.clone()));
    inode.ctime = tx.time;
    tx.store_inode(ino, &mut inode);
    tx.effect(Effect::Attr { ino });
    Ok(Answer {
        inodes: vec![ino],
        ..Answer::default()
    })
}

/// Makes a directory in the last one of the way and goes on there. It is written with what comes to be in it; with
/// `implied` as one that is there for that alone.
fn add_directory<R: Records>(
    tx: &mut Tx<'_, R>,
    way: &mut Way,
    name: &FileName,
    publish: &Publish,
    implied: bool,
) -> Done<Ino> {
    let (parent, directory) = way
        .directories
        .last_mut()
        .ok_or(Fail::Errno(libc::EINVAL))?;
    require(directory.nlink < LINK_MAX, libc::EMLINK)?;
    let new = NewInode {
        kind: Kind::Directory,
        permissions: publish.directory_permissions,
        uid: publish.uid,
        gid: publish.gid,
        rdev: 0,
        symlink: Bytes::new(),
        parent: *parent,
        name: names::bytes_of(name),
        project: directory.project,
    };
    let (ino, mut inode) = create::new_inode(tx, directory, new, 0)?;
    if implied {
        inode.set_object(&ObjectRecord {
            implied: true,
            ..ObjectRecord::default()
        });
    }
    names::add(tx, *parent, directory, name, ino, Kind::Directory)?;
    directory.nlink += 1;
    tx.store_inode(*parent, directory);
    tx.effect(Effect::Attr { ino: *parent });
    way.directories.push((ino, inode));
    Ok(ino)
}

/// Puts a file at the key's name in the last directory; true if what was there has lost its last link.
fn put<R: Records>(
    tx: &mut Tx<'_, R>,
    mut way: Way,
    publish: &Publish,
    session: Option<SessionId>,
    payload: &Bytes,
) -> Done<(Ino, bool)> {
    let (parent, mut directory) = way.directories.pop().ok_or(Fail::Errno(libc::EINVAL))?;
    let name = publish.key.name();
    let (ino, mut inode) = match &publish.content {
        PublishContent::Data { data } => {
            new_file(tx, (parent, &directory), publish, data, payload)?
        }
        PublishContent::Staged { ino } => {
            let inode = staged(tx, *ino, (parent, &directory), publish, session)?;
            (*ino, inode)
        }
        PublishContent::Directory => return Err(Fail::Errno(libc::EINVAL)),
    };
    inode.describe(Some(publish.s3.clone()));
    inode.mtime = content::time_of(tx, publish.mtime);
    tx.store_inode(ino, &mut inode);
    let removed = match way.target {
        None => {
            names::add(tx, parent, &mut directory, name, ino, Kind::File)?;
            false
        }
        Some((dirent, mut victim)) => {
            let place = remove::Place {
                parent,
                name,
                directory: &mut directory,
            };
            let holders = objects::openers_of(dirent.ino, &publish.openers);
            let new = (ino, Kind::File);
            remove::replaced(tx, place, new, &dirent, &mut victim, holders)?
        }
    };
    tx.store_inode(parent, &mut directory);
    tx.effect(Effect::Attr { ino: parent });
    Ok((ino, removed))
}

/// A new file of these bytes.
fn new_file<R: Records>(
    tx: &mut Tx<'_, R>,
    (parent, directory): (Ino, &Inode),
    publish: &Publish,
    data: &Bytes,
    payload: &Bytes,
) -> Done<(Ino, Inode)> {
    let new = NewInode {
        kind: Kind::File,
        permissions: publish.permissions,
        uid: publish.uid,
        gid: publish.gid,
        rdev: 0,
        symlink: Bytes::new(),
        parent,
        name: names::bytes_of(publish.key.name()),
        project: directory.project,
    };
    let (ino, mut inode) = create::new_inode(tx, directory, new, 0)?;
    let piece = WritePiece {
        offset: 0,
        length: data.len() as u64,
        source: WriteSource::Data(data.clone()),
    };
    write::write_piece(tx, ino, &mut inode, &piece, payload)?;
    Ok((ino, inode))
}

/// The file without a name that the session holds, as it is to be under its first name.
fn staged<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    (parent, directory): (Ino, &Inode),
    publish: &Publish,
    session: Option<SessionId>,
) -> Done<Inode> {
    let session = session.ok_or(Fail::Errno(libc::EINVAL))?;
    let held = tx.load::<Orphan>(&Key::Orphan { ino, session })?;
    require(held.is_some(), libc::ENOENT)?;
    let mut inode = content::file(tx, ino)?;
    orphans::named(tx, ino)?;
    if inode.project != directory.project {
        let bytes = i128::from(inode.allocated);
        tx.use_more(inode.project, -bytes, -1)?;
        tx.use_more(directory.project, bytes, 1)?;
        inode.project = directory.project;
    }
    inode.nlink = 1;
    (inode.parent, inode.name) = (parent, names::bytes_of(publish.key.name()));
    (inode.permissions, inode.uid, inode.gid) = (publish.permissions, publish.uid, publish.gid);
    create::settle(tx, ino, &mut inode, directory, 0)?;
    inode.ctime = tx.time;
    tx.effect(Effect::Attr { ino });
    Ok(inode)
}
