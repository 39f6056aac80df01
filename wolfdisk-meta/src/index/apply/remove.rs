//! Names that go: unlink and rmdir.

use wolfdisk_common::ids::{Ino, SessionId};
use wolfdisk_common::name::FileName;

use super::fail::{Done, Fail, require};
use super::{names, orphans};
use crate::index::op::{Answer, Effect, Kind};
use crate::index::record::{Dirent, Inode};
use crate::index::records::Records;
use crate::index::tx::Tx;

/// `Op::Unlink`; with `wants_directory`, rmdir.
pub(crate) fn unlink<R: Records>(
    tx: &mut Tx<'_, R>,
    parent: Ino,
    name: &FileName,
    wants_directory: bool,
    holders: &[SessionId],
) -> Done<Answer> {
    let mut directory = names::directory(tx, parent)?;
    let dirent = names::find(tx, parent, name)?.ok_or(Fail::Errno(libc::ENOENT))?;
    let mut victim = tx.inode(dirent.ino)?;
    match (wants_directory, victim.is_directory()) {
        (true, false) => return Err(Fail::Errno(libc::ENOTDIR)),
        (false, true) => return Err(Fail::Errno(libc::EISDIR)),
        (true, true) => require(victim.entries == 0, libc::ENOTEMPTY)?,
        (false, false) => {}
    }
    let place = Place {
        parent,
        name,
        directory: &mut directory,
    };
    let removed = taken_out(tx, place, &dirent, &mut victim, holders)?;
    tx.store_inode(parent, &mut directory);
    tx.effect(Effect::Attr { ino: parent });
    Ok(Answer {
        inodes: vec![dirent.ino, parent],
        removed,
        ..Answer::default()
    })
}

/// A name, and the record of its directory, which the caller writes.
pub(crate) struct Place<'a> {
    pub parent: Ino,
    pub directory: &'a mut Inode,
    pub name: &'a FileName,
}

/// Takes a name out of its directory; true if it was the victim's last.
pub(crate) fn taken_out<R: Records>(
    tx: &mut Tx<'_, R>,
    place: Place<'_>,
    dirent: &Dirent,
    victim: &mut Inode,
    holders: &[SessionId],
) -> Done<bool> {
    let Place {
        parent,
        directory,
        name,
    } = place;
    names::take(tx, parent, directory, name, dirent);
    if victim.is_directory() {
        directory.nlink -= 1;
    }
    unnamed(tx, dirent.ino, victim, parent, name, holders)
}

/// Makes a name that means the victim mean `ino`; true if it was the victim's last.
pub(crate) fn replaced<R: Records>(
    tx: &mut Tx<'_, R>,
    place: Place<'_>,
    (ino, kind): (Ino, Kind),
    dirent: &Dirent,
    victim: &mut Inode,
    holders: &[SessionId],
) -> Done<bool> {
    let Place {
        parent,
        directory,
        name,
    } = place;
    names::point(tx, parent, name, ino, kind, dirent.cookie);
    names::changed(tx, directory);
    if victim.is_directory() {
        directory.nlink -= 1;
    }
    unnamed(tx, dirent.ino, victim, parent, name, holders)
}

/// An inode has lost the name `name` in `parent`. True if it was its last: it is then gone, or waits
/// for its holders.
pub(crate) fn unnamed<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    victim: &mut Inode,
    parent: Ino,
    name: &FileName,
    holders: &[SessionId],
) -> Done<bool> {
    victim.ctime = tx.time;
    if victim.is_directory() {
        victim.nlink = 0;
    } else {
        names::link_removed(tx, ino, victim, parent, name)?;
    }
    if victim.nlink > 0 {
        tx.store_inode(ino, victim);
        tx.effect(Effect::Attr { ino });
        return Ok(false);
    }
    orphans::orphaned(tx, ino, victim, holders)?;
    Ok(true)
}
