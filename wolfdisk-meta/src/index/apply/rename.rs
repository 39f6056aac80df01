//! Rename, in all its forms.

use wolfdisk_common::ids::{Ino, SessionId};
use wolfdisk_common::limits::LINK_MAX;
use wolfdisk_common::name::FileName;

use super::fail::{Done, Fail, require};
use super::{names, remove};
use crate::index::op::{Answer, Effect, Kind, Op};
use crate::index::record::{Dirent, Inode};
use crate::index::records::Records;
use crate::index::tx::Tx;

/// One side of a rename.
struct Place<'a> {
    parent: Ino,
    name: &'a FileName,
}

/// The directories of a rename; one if both sides are in the same.
struct Parents {
    from: Inode,
    to: Option<Inode>,
}

impl Parents {
    fn to(&mut self) -> &mut Inode {
        self.to.as_mut().unwrap_or(&mut self.from)
    }
}

/// `Op::Rename`.
pub(crate) fn rename<R: Records>(
    tx: &mut Tx<'_, R>,
    op: &Op,
    holders: &[SessionId],
) -> Done<Answer> {
    let Op::Rename {
        parent,
        name,
        new_parent,
        new_name,
        no_replace,
        exchange,
        ..
    } = op
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    require(!(*no_replace && *exchange), libc::EINVAL)?;
    let from = Place {
        parent: *parent,
        name,
    };
    let to = Place {
        parent: *new_parent,
        name: new_name,
    };
    let mut parents = Parents {
        from: names::directory(tx, from.parent)?,
        to: match from.parent == to.parent {
            true => None,
            false => Some(names::directory(tx, to.parent)?),
        },
    };
    let source = names::find(tx, from.parent, name)?.ok_or(Fail::Errno(libc::ENOENT))?;
    let target = names::find(tx, to.parent, new_name)?;
    require(!(*no_replace && target.is_some()), libc::EEXIST)?;
    not_under_itself(tx, &source, to.parent, &parents, libc::EINVAL)?;
    let mut moving = tx.inode(source.ino)?;

    let mut answer = Answer {
        inodes: vec![source.ino],
        ..Answer::default()
    };
    match (target, exchange) {
        (None, true) => return Err(Fail::Errno(libc::ENOENT)),
        (Some(target), _) if target.ino == source.ino => {
            // Two names of one inode: POSIX wants nothing done.
            answer.inodes.push(from.parent);
            return Ok(answer);
        }
        (Some(target), true) => {
            swap(tx, &from, &to, &mut parents, (&source, &moving), &target)?;
            answer.inodes.push(target.ino);
        }
        (Some(target), false) => {
            let victim = replaceable(tx, &moving, &target)?;
            answer.removed = replace(
                tx,
                &from,
                &to,
                &mut parents,
                (&source, &moving),
                (&target, victim),
                holders,
            )?;
            answer.cookie = target.cookie;
            answer.inodes.push(target.ino);
        }
        (None, false) => {
            names::take(tx, from.parent, &mut parents.from, name, &source);
            let kind = source.kind;
            answer.cookie = names::add(tx, to.parent, parents.to(), new_name, source.ino, kind)?;
        }
    }
    if moving.is_directory() && from.parent != to.parent && !exchange {
        parents.from.nlink -= 1;
        require(parents.to().nlink < LINK_MAX, libc::EMLINK)?;
        parents.to().nlink += 1;
    }
    let (old, new) = ((from.parent, name), (to.parent, new_name));
    names::link_moved(tx, source.ino, &mut moving, old, new);
    moving.ctime = tx.time;
    tx.store_inode(source.ino, &mut moving);
    tx.effect(Effect::Attr { ino: source.ino });
    store_parents(tx, &from, &to, parents);
    answer.inodes.extend([from.parent, to.parent]);
    answer.inodes.dedup();
    Ok(answer)
}

fn store_parents<R: Records>(
    tx: &mut Tx<'_, R>,
    from: &Place<'_>,
    to: &Place<'_>,
    mut parents: Parents,
) {
    tx.store_inode(from.parent, &mut parents.from);
    tx.effect(Effect::Attr { ino: from.parent });
    if let Some(mut directory) = parents.to {
        tx.store_inode(to.parent, &mut directory);
        tx.effect(Effect::Attr { ino: to.parent });
    }
}

/// A directory may not come to be inside itself: `errno` if `destination` is below `source`.
fn not_under_itself<R: Records>(
    tx: &Tx<'_, R>,
    source: &Dirent,
    destination: Ino,
    parents: &Parents,
    errno: i32,
) -> Done {
    if source.kind != Kind::Directory || parents.to.is_none() {
        return require(source.ino != destination, errno);
    }
    let mut at = destination;
    while !at.is_root() {
        require(at != source.ino, errno)?;
        at = tx.inode(at)?.parent;
    }
    Ok(())
}

/// The inode that a rename may replace.
fn replaceable<R: Records>(tx: &Tx<'_, R>, moving: &Inode, target: &Dirent) -> Done<Inode> {
    let victim = tx.inode(target.ino)?;
    match (moving.is_directory(), victim.is_directory()) {
        (true, false) => Err(Fail::Errno(libc::ENOTDIR)),
        (false, true) => Err(Fail::Errno(libc::EISDIR)),
        (true, true) if victim.entries > 0 => Err(Fail::Errno(libc::ENOTEMPTY)),
        _ => Ok(victim),
    }
}

/// The source takes the target's place; true if the target has lost its last link.
fn replace<R: Records>(
    tx: &mut Tx<'_, R>,
    from: &Place<'_>,
    to: &Place<'_>,
    parents: &mut Parents,
    (source, moving): (&Dirent, &Inode),
    (target, mut victim): (&Dirent, Inode),
    holders: &[SessionId],
) -> Done<bool> {
    names::take(tx, from.parent, &mut parents.from, from.name, source);
    let place = remove::Place {
        parent: to.parent,
        name: to.name,
        directory: parents.to(),
    };
    let new = (source.ino, moving.kind);
    remove::replaced(tx, place, new, target, &mut victim, holders)
}

/// Both names change places. The caller finishes the source's inode.
fn swap<R: Records>(
    tx: &mut Tx<'_, R>,
    from: &Place<'_>,
    to: &Place<'_>,
    parents: &mut Parents,
    (source, moving): (&Dirent, &Inode),
    target: &Dirent,
) -> Done {
    not_under_itself(tx, target, from.parent, parents, libc::EINVAL)?;
    let mut other = tx.inode(target.ino)?;
    names::point(
        tx,
        from.parent,
        from.name,
        target.ino,
        target.kind,
        source.cookie,
    );
    names::point(
        tx,
        to.parent,
        to.name,
        source.ino,
        source.kind,
        target.cookie,
    );
    if let Some(directory) = &mut parents.to {
        let (out, back) = (
            u32::from(moving.is_directory()),
            u32::from(other.is_directory()),
        );
        parents.from.nlink = parents.from.nlink + back - out;
        directory.nlink = directory.nlink + out - back;
        require(
            parents.from.nlink.max(directory.nlink) <= LINK_MAX,
            libc::EMLINK,
        )?;
    }
    names::changed(tx, &mut parents.from);
    names::changed(tx, parents.to());
    let (old, new) = ((to.parent, to.name), (from.parent, from.name));
    names::link_moved(tx, target.ino, &mut other, old, new);
    other.ctime = tx.time;
    tx.store_inode(target.ino, &mut other);
    tx.effect(Effect::Attr { ino: target.ino });
    Ok(())
}
