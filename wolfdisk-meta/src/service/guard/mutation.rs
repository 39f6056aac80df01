//! Which mutations a member may make, and what it may make of them. Nothing is changed but by these.

use wolfdisk_common::ids::Ino;
use wolfdisk_common::object_key::ObjectKey;

use super::place::{READ, Reached, SEARCH, WRITE};
use super::{Judged, NOBODY, Refused, Rules};
use crate::index::Step;
use crate::index::acl;
use crate::index::op::{Kind, Op, Publish, PublishContent, RemoveObject, SetTime};
use crate::index::record::Inode;
use crate::index::records::Records;

fn refuse<T>(errno: i32) -> Judged<T> {
    Err(Refused::Errno(errno))
}

/// Bits with which a program runs as its owner or group.
const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;

impl<R: Records> Rules<'_, R> {
    /// Whether a mutation may be made. Owners that a member may not name become nobody, and bits go that would make
    /// somebody root.
    pub(in crate::service) fn mutation(&self, op: &mut Op) -> Judged {
        if self.restrictions.read_only && !self.changes_nothing(op)? {
            return refuse(libc::EROFS);
        }
        match op {
            Op::Create { .. } => self.create(op),
            Op::Link { ino, parent, .. } => self.link(*ino, *parent),
            Op::Unlink { parent, name, .. } => {
                let directory = self.reach_for(*parent, WRITE | SEARCH)?;
                let victim = self.index.lookup(*parent, name.as_bytes())?;
                self.may_remove(&directory, victim.as_ref().map(|(_, inode)| inode))
            }
            Op::Rename { .. } => self.rename(op),
            Op::SetAttr { .. } => self.set_attr(op),
            Op::SetXattr {
                ino,
                name,
                keep_setgid,
                ..
            } => {
                let reached = self.reach(*ino)?;
                // Whoever is no member of the group loses the bit; of root's nobody is one.
                *keep_setgid &= !(self.is_judged(&reached) && reached.inode.gid == 0);
                self.may_set_xattr(&reached, name)
            }
            Op::RemoveXattr { ino, name } => {
                let reached = self.reach(*ino)?;
                self.may_set_xattr(&reached, name)
            }
            Op::Write { ino, kill_suid, .. } | Op::Append { ino, kill_suid, .. } => {
                *kill_suid |= self.restrictions.squash_root;
                self.reach_for(*ino, WRITE).map(drop)
            }
            Op::Fallocate { ino, .. } => self.rewrite(*ino),
            Op::CopyRange { source, target, .. } => {
                self.reach_for(*source, READ)?;
                self.rewrite(*target)
            }
            Op::SetLock { ino, .. } => self.lock(*ino),
            Op::MakeSystemRoot => match self.system {
                true => Ok(()),
                false => refuse(libc::EPERM),
            },
            Op::Stage { root, uid, gid, .. } => {
                self.owned(uid, gid);
                self.reach_for(*root, SEARCH).map(drop)
            }
            Op::Publish { publish } => self.publish(publish),
            Op::SetObject { ino, .. } => self.reach_for(*ino, WRITE).map(drop),
            Op::RemoveObject { remove } => self.remove_object(remove),
            // Nobody asks for these: the daemon does them.
            Op::OpenSession { .. }
            | Op::CloseSession { .. }
            | Op::TakeOver { .. }
            | Op::Release { .. }
            | Op::Destage { .. }
            | Op::Repack { .. }
            | Op::NodeUp { .. }
            | Op::Sweep { .. }
            | Op::DropChunks { .. }
            | Op::Reap { .. }
            | Op::FeatureLevel { .. }
            | Op::Lead
            | Op::Voters { .. }
            | Op::IssueToken { .. }
            | Op::Join { .. }
            | Op::ChangeMember { .. }
            | Op::Repair { .. } => refuse(libc::EPERM),
        }
    }

    /// Locks are no change, nor is it one to make what is there.
    fn changes_nothing(&self, op: &Op) -> Judged<bool> {
        Ok(match op {
            Op::SetLock { .. } => true,
            Op::MakeSystemRoot => self.index.inode(Ino::SYSTEM_ROOT)?.is_some(),
            _ => false,
        })
    }

    /// Root of a machine is nobody here.
    fn owned(&self, uid: &mut u32, gid: &mut u32) {
        if self.restrictions.squash_root {
            for id in [uid, gid] {
                if *id == 0 {
                    *id = NOBODY;
                }
            }
        }
    }

    /// The permissions of what is made in `directory`: a program does not run as root's group by the directory's.
    fn permitted(&self, directory: &Reached, permissions: &mut u32) {
        let Inode {
            gid,
            permissions: of,
            ..
        } = directory.inode;
        if self.is_judged(directory) && gid == 0 && of & libc::S_ISGID != 0 {
            *permissions &= !libc::S_ISGID;
        }
    }

    fn create(&self, op: &mut Op) -> Judged {
        let Op::Create {
            parent,
            kind,
            permissions,
            uid,
            gid,
            ..
        } = op
        else {
            return refuse(libc::EINVAL);
        };
        let directory = self.reach_for(*parent, WRITE | SEARCH)?;
        if matches!(kind, Kind::CharDevice | Kind::BlockDevice) && self.is_judged(&directory) {
            return refuse(libc::EPERM);
        }
        if *kind != Kind::Directory {
            self.permitted(&directory, permissions);
        }
        self.owned(uid, gid);
        Ok(())
    }

    /// What belongs to root gets no other name from whoever may not change it, as with `protected_hardlinks`.
    fn link(&self, ino: Ino, parent: Ino) -> Judged {
        let (file, directory) = (self.reach(ino)?, self.reach_for(parent, WRITE | SEARCH)?);
        one_tree(&file, &directory)?;
        let set_id = file.inode.uid == 0 && file.inode.permissions & SET_ID != 0;
        let may = self.granted(&file) & (READ | WRITE) == READ | WRITE;
        match may && !(set_id && self.is_judged(&file)) {
            true => Ok(()),
            false => refuse(libc::EPERM),
        }
    }

    /// From a sticky directory of root's nobody removes what is root's.
    fn may_remove(&self, directory: &Reached, victim: Option<&Inode>) -> Judged {
        let Inode {
            uid, permissions, ..
        } = directory.inode;
        let kept = uid == 0 && permissions & libc::S_ISVTX != 0 && self.is_judged(directory);
        match kept && victim.is_some_and(|victim| victim.uid == 0) {
            true => refuse(libc::EPERM),
            false => Ok(()),
        }
    }

    fn rename(&self, op: &Op) -> Judged {
        let Op::Rename {
            parent,
            name,
            new_parent,
            new_name,
            exchange,
            ..
        } = op
        else {
            return refuse(libc::EINVAL);
        };
        let from = self.reach_for(*parent, WRITE | SEARCH)?;
        let to = self.reach_for(*new_parent, WRITE | SEARCH)?;
        one_tree(&from, &to)?;
        let names = [
            (&from, *parent, name, true),
            (&to, *new_parent, new_name, *exchange),
        ];
        for (directory, at, name, moves) in names {
            let found = self.index.lookup(at, name.as_bytes())?;
            let Some((_, inode)) = found else {
                continue;
            };
            self.may_remove(directory, Some(&inode))?;
            if moves && inode.is_directory() && parent != new_parent {
                // Its `..` changes.
                let tree = directory.tree;
                self.need(&Reached { tree, inode }, WRITE)?;
            }
        }
        Ok(())
    }

    fn set_attr(&self, op: &mut Op) -> Judged {
        let Op::SetAttr {
            ino,
            permissions,
            uid,
            gid,
            size,
            atime,
            mtime,
            ctime,
            kill_suid,
        } = op
        else {
            return refuse(libc::EINVAL);
        };
        let reached = self.reach(*ino)?;
        if !self.is_judged(&reached) {
            return Ok(());
        }
        let Reached { inode, .. } = &reached;
        let becomes_roots =
            (*uid == Some(0) && inode.uid != 0) || (*gid == Some(0) && inode.gid != 0);
        if becomes_roots {
            return refuse(libc::EPERM);
        }
        *kill_suid |= size.is_some();
        if let Some(permissions) = permissions
            && gid.unwrap_or(inode.gid) == 0
            && !inode.is_directory()
        {
            *permissions &= !libc::S_ISGID;
        }
        if inode.uid != 0 {
            return Ok(());
        }
        let owners = permissions.is_some() || uid.is_some() || gid.is_some();
        // Times of accesses are kept by those who read, who leave the change time as it is.
        let turned_back = matches!(ctime, Some(SetTime::At(time)) if *time != inode.ctime);
        if owners || turned_back {
            return refuse(libc::EPERM);
        }
        let granted = self.granted(&reached);
        let only_read = atime.is_some() && size.is_none() && mtime.is_none() && !*kill_suid;
        match granted & WRITE != 0 || only_read && granted & READ != 0 {
            true => Ok(()),
            false => refuse(libc::EACCES),
        }
    }

    /// Attributes with which the system decides are for root to set; access lists for the owner.
    fn may_set_xattr(&self, reached: &Reached, name: &[u8]) -> Judged {
        if !self.is_judged(reached) || (reached.inode.uid != 0 && is_acl(name)) {
            return Ok(());
        }
        match name.starts_with(b"user.") {
            true => self.need(reached, WRITE),
            false => refuse(libc::EPERM),
        }
    }

    /// A change of content that leaves set-id bits as they are.
    fn rewrite(&self, ino: Ino) -> Judged {
        let reached = self.reach_for(ino, WRITE)?;
        let Inode {
            uid,
            gid,
            permissions,
            ..
        } = reached.inode;
        let privileged = (uid == 0 || gid == 0) && permissions & SET_ID != 0;
        match privileged && self.is_judged(&reached) {
            true => refuse(libc::EPERM),
            false => Ok(()),
        }
    }

    /// Whoever can open a file can lock it.
    pub(super) fn lock(&self, ino: Ino) -> Judged {
        let reached = self.reach(ino)?;
        match self.granted(&reached) & (READ | WRITE) {
            0 => refuse(libc::EACCES),
            _ => Ok(()),
        }
    }

    /// The names on the way to a key, each in a directory that may be searched, with those directories.
    pub(super) fn along(&self, root: Ino, key: &ObjectKey) -> Judged<Vec<(Step, Reached)>> {
        let tree = self.reach(root)?.tree;
        let mut along = Vec::new();
        for step in self.index.way(root, key)? {
            let Some(inode) = self.index.inode(step.parent)? else {
                return Err(self.gone());
            };
            let directory = Reached { tree, inode };
            if directory.inode.is_directory() {
                self.need(&directory, SEARCH)?;
            }
            along.push((step, directory));
        }
        Ok(along)
    }

    /// What the last name on a way means.
    fn found(&self, step: &Step) -> Judged<Option<Inode>> {
        match step.found {
            Some((ino, _)) => Ok(self.index.inode(ino)?),
            None => Ok(None),
        }
    }

    fn publish(&self, publish: &mut Publish) -> Judged {
        let along = self.along(publish.root, &publish.key)?;
        if let PublishContent::Staged { ino } = publish.content {
            let staged = self.reach(ino)?;
            if self.is_judged(&staged) && staged.inode.uid == 0 {
                return refuse(libc::EPERM);
            }
        }
        self.owned(&mut publish.uid, &mut publish.gid);
        let Some((step, directory)) = along.last() else {
            return refuse(libc::EINVAL);
        };
        self.permitted(directory, &mut publish.permissions);
        let there = self.found(step)?;
        if let Some(inode) = there.as_ref().filter(|inode| inode.is_directory()) {
            // It becomes an object.
            let (tree, inode) = (directory.tree, inode.clone());
            return self.need(&Reached { tree, inode }, WRITE);
        }
        self.need(directory, WRITE)?;
        self.may_remove(directory, there.as_ref())
    }

    /// Directories that were there for the key alone go with it.
    fn remove_object(&self, remove: &RemoveObject) -> Judged {
        for (step, directory) in self.along(remove.root, &remove.key)?.iter().rev() {
            let found = self.found(step)?;
            self.need(directory, WRITE)?;
            self.may_remove(directory, found.as_ref())?;
            let kept = self.index.object_record(step.parent, &directory.inode)?;
            if directory.inode.entries > 1 || !kept.implied {
                break;
            }
        }
        Ok(())
    }
}

fn is_acl(name: &[u8]) -> bool {
    name == acl::ACCESS || name == acl::DEFAULT
}

/// What is kept for front-ends and the volume do not mix.
fn one_tree(one: &Reached, other: &Reached) -> Judged {
    match one.tree == other.tree {
        true => Ok(()),
        false => refuse(libc::EXDEV),
    }
}
