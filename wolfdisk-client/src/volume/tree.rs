//! Names: looking up, creating, linking, removing, renaming.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::NAME_MAX_BYTES;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::{self, LookupRequest};

use super::Volume;
use crate::cache::names::{Known, Target};
use crate::cache::node::Node;
use crate::cache::state::{DATA, NAMES};
use crate::convert;
use crate::counters::Counter;
use crate::data::pieces::PieceMap;
use crate::error::{Error, Result};
use crate::limits;
use crate::session::{Identity, Manner};
use crate::types::{Attr, Entry, FileKind, Lookup, NewNode, RenameFlags};

/// A victim of unlink or rename: while its removal is under way no open may slip in unseen.
struct Victim {
    node: Arc<Node>,
    kind: FileKind,
    /// What was known of it.
    known: Option<Box<Attr>>,
}

impl Victim {
    /// Marks it; says whether it is open here.
    fn mark(node: Arc<Node>, kind: FileKind) -> (Victim, bool) {
        let mut state = node.state.lock();
        state.removals += 1;
        let open = state.opens > 0;
        let known = state
            .attr
            .as_ref()
            .map(|attr| Box::new(state.localize(attr)));
        drop(state);
        (Victim { node, kind, known }, open)
    }

    /// Programs open it without a word to us, as they do with FIFOs and devices: only when the kernel forgets
    /// it is it certainly nobody's.
    fn opens_unseen(&self) -> bool {
        use FileKind::{BlockDevice, CharDevice, Fifo, Socket};
        matches!(self.kind, Fifo | Socket | CharDevice | BlockDevice)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.node.state.lock().removals -= 1;
        self.node.changed.notify_all();
    }
}

/// A directory in which a name is being changed by us.
struct Changing(Arc<Node>);

impl Changing {
    fn begin(node: Arc<Node>) -> Changing {
        node.state.lock().names.change_begins();
        Changing(node)
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        self.0.state.lock().names.change_ends();
    }
}

impl Volume {
    /// Looks up a name.
    ///
    /// # Errors
    /// `ENOTDIR`, `ENAMETOOLONG`, `ENOENT` if the directory itself is gone.
    pub fn lookup(&self, parent: Ino, name: &[u8]) -> Result<Lookup> {
        check_name(name)?;
        let lease = &self.session.lease;
        let directory = self.node(parent);
        let (known, entry_valid) = {
            let mut state = directory.state.lock();
            if state.has(NAMES, lease) {
                let known = state.names.get(name);
                (known, state.names.lifetime(lease))
            } else {
                (Known::Unknown, Duration::ZERO)
            }
        };
        match known {
            Known::Missing => {
                self.counters.count(Counter::NameHits);
                return Ok(Lookup::Missing { valid: entry_valid });
            }
            Known::Leads(target) => {
                let given = self
                    .table
                    .get(target.ino)
                    .and_then(|node| node.state.lock().give_attr(lease));
                if let Some((attr, attr_valid)) = given {
                    self.counters.count(Counter::NameHits);
                    return Ok(Lookup::Found(Entry {
                        attr,
                        entry_valid,
                        attr_valid,
                    }));
                }
            }
            Known::Unknown => {}
        }
        self.ask_name(&directory, name)
    }

    fn ask_name(&self, directory: &Node, name: &[u8]) -> Result<Lookup> {
        let parent = directory.ino.0;
        let request = |session| LookupRequest {
            session,
            parent,
            name: name.to_vec().into(),
        };
        let (reply, asked) =
            self.session
                .ask(Counter::Lookup, request, |meta, options, request| {
                    meta.lookup(options, request)
                })?;
        let rights = reply.parent_rights;
        if !reply.found {
            let valid = self.learn_name(
                directory,
                name,
                Known::Missing,
                rights,
                reply.version,
                asked,
            );
            return Ok(Lookup::Missing { valid });
        }
        let attr = convert::attr(reply.attr)?;
        let target = Target {
            ino: attr.ino,
            kind: attr.kind,
            cookie: None,
        };
        let (attr, attr_valid) = self.learn_attr(attr, reply.rights, reply.version, asked);
        let known = Known::Leads(target);
        let entry_valid = self.learn_name(directory, name, known, rights, reply.version, asked);
        Ok(Lookup::Found(Entry {
            attr,
            entry_valid,
            attr_valid,
        }))
    }

    /// Creates a node of any kind.
    ///
    /// # Errors
    /// As the system call: `EEXIST`, `ENOENT`, `ENOSPC`, ..
    pub fn create(&self, parent: Ino, name: &[u8], node: NewNode) -> Result<Entry> {
        self.make(parent, name, node, false)
    }

    pub(super) fn make(
        &self,
        parent: Ino,
        name: &[u8],
        node: NewNode,
        keep_open: bool,
    ) -> Result<Entry> {
        check_name(name)?;
        let op = Op::Create(v1::Create {
            parent: parent.0,
            name: name.to_vec().into(),
            mode: node.kind.to_mode() | (node.permissions & 0o7777),
            umask: node.umask,
            uid: node.uid,
            gid: node.gid,
            rdev: node.rdev,
            symlink: node.symlink,
        });
        let manner = Manner {
            durable: false,
            keep_open,
        };
        let _changing = self.changing(parent);
        for _ in 0..limits::CREATE_ATTEMPTS {
            if let Some(entry) = self.try_make(parent, name, &op, manner)? {
                return Ok(entry);
            }
        }
        // The kernel begins anew.
        Err(Error::Refused(libc::ESTALE))
    }

    /// Makes it; none if somebody removed it before we were told of it: then the answer is of the parent alone.
    fn try_make(&self, parent: Ino, name: &[u8], op: &Op, manner: Manner) -> Result<Option<Entry>> {
        let (mut reply, asked) = self.session.mutate(op, manner)?;
        let rights = reply.rights;
        let attrs = self.changed_inodes(&mut reply, &[parent], asked)?;
        let Some(attr) = attrs.into_iter().find(|attr| attr.ino != parent) else {
            return Ok(None);
        };
        self.begin_empty(&attr, rights, reply.version, asked);
        let cookie = (reply.cookie != 0).then_some(reply.cookie);
        let known = Known::Leads(Target {
            ino: attr.ino,
            kind: attr.kind,
            cookie,
        });
        let entry_valid = self.changed_name(parent, name, known, reply.version, asked);
        Ok(Some(self.entry_of(attr, entry_valid)))
    }

    /// Everything about what we have just made is known: it is empty. Unless somebody was faster: the
    /// attributes are those of when the rights were granted.
    pub(super) fn begin_empty(&self, attr: &Attr, rights: u32, version: u64, asked: Identity) {
        if attr.attr_version.0 != version {
            return;
        }
        let lease = &self.session.lease;
        let node = self.node(attr.ino);
        let rights = self.acceptable(attr.ino, rights, asked);
        let mut state = node.state.lock();
        if attr.kind == FileKind::Directory && state.learn_names(rights, version, asked, lease) {
            state.names.begin_empty(version);
        }
        let untouched = state.pieces_version() == attr.content_version.0 && state.pieces.len() == 0;
        if attr.kind == FileKind::File && state.has(DATA, lease) && untouched {
            state.pieces = PieceMap::empty_file();
        }
    }

    /// Makes another name for `ino`.
    ///
    /// # Errors
    /// As the system call.
    pub fn link(&self, ino: Ino, parent: Ino, name: &[u8]) -> Result<Entry> {
        check_name(name)?;
        self.commit_if_unsaved(ino)?;
        let op = Op::Link(v1::Link {
            ino: ino.0,
            parent: parent.0,
            name: name.to_vec().into(),
        });
        let _changing = self.changing(parent);
        let (mut reply, asked) = self.session.mutate(&op, Manner::default())?;
        let attrs = self.changed_inodes(&mut reply, &[parent, ino], asked)?;
        let attr = attrs.into_iter().find(|attr| attr.ino == ino);
        let attr = match attr {
            Some(attr) => attr,
            None => self.getattr(ino)?.0,
        };
        let cookie = (reply.cookie != 0).then_some(reply.cookie);
        let known = Known::Leads(Target {
            ino,
            kind: attr.kind,
            cookie,
        });
        let entry_valid = self.changed_name(parent, name, known, reply.version, asked);
        Ok(self.entry_of(attr, entry_valid))
    }

    /// Removes a name of anything but a directory.
    ///
    /// # Errors
    /// As the system call.
    pub fn unlink(&self, parent: Ino, name: &[u8]) -> Result<()> {
        self.remove(parent, name, false)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As the system call.
    pub fn rmdir(&self, parent: Ino, name: &[u8]) -> Result<()> {
        self.remove(parent, name, true)
    }

    fn remove(&self, parent: Ino, name: &[u8], directory: bool) -> Result<()> {
        check_name(name)?;
        let (victim, open) = self.victim(parent, name)?;
        let stays = open || victim.as_ref().is_some_and(Victim::opens_unseen);
        let op = Op::Unlink(v1::Unlink {
            parent: parent.0,
            name: name.to_vec().into(),
            directory,
        });
        let manner = Manner {
            durable: false,
            keep_open: stays,
        };
        let _changing = self.changing(parent);
        let (mut reply, asked) = self.session.mutate(&op, manner)?;
        let mut changed = vec![parent];
        changed.extend(victim.as_ref().map(|victim| victim.node.ino));
        self.changed_inodes(&mut reply, &changed, asked)?;
        self.changed_name(parent, name, Known::Missing, reply.version, asked);
        self.removed(victim, open, reply.removed);
        Ok(())
    }

    /// The inode that loses a name, as far as it matters: it may be open here or hold dirty data.
    fn victim(&self, parent: Ino, name: &[u8]) -> Result<(Option<Victim>, bool)> {
        let cached = self.cached_target(parent, name);
        let known = match cached.map(|target| (target.ino, target.kind)) {
            Some(known) => Some(known),
            None if self.handles.is_empty() => None,
            None => match self.lookup(parent, name)? {
                Lookup::Found(entry) => Some((entry.attr.ino, entry.attr.kind)),
                Lookup::Missing { .. } => None,
            },
        };
        Ok(match known {
            Some((ino, kind)) => {
                let (victim, open) = Victim::mark(self.node(ino), kind);
                (Some(victim), open)
            }
            None => (None, false),
        })
    }

    fn removed(&self, victim: Option<Victim>, open: bool, last: bool) {
        let Some(mut victim) = victim.filter(|_| last) else {
            return;
        };
        let node = &victim.node;
        if victim.opens_unseen() {
            self.unnamed.lock().insert(node.ino);
            return;
        }
        if open {
            let mut state = node.state.lock();
            state.orphan = true;
            if state.opens == 0 {
                self.linger(node.ino);
            }
        } else {
            self.discard_unsaved(node);
        }
        if let Some(mut attr) = victim.known.take() {
            attr.nlink = 0;
            node.state.lock().remains = Some(attr);
        }
    }

    /// The kernel has forgotten an inode: nobody has it open.
    pub fn forgotten(&self, ino: Ino) {
        let unseen = self.unnamed.lock().remove(&ino);
        if unseen {
            self.tell_closed(ino);
        }
        self.table.forgotten(ino, unseen, &self.session.lease);
    }

    /// Renames.
    ///
    /// # Errors
    /// As the system call.
    pub fn rename(
        &self,
        parent: Ino,
        name: &[u8],
        new_parent: Ino,
        new_name: &[u8],
        flags: RenameFlags,
    ) -> Result<()> {
        check_name(name)?;
        check_name(new_name)?;
        let moved = match self.cached_target(parent, name) {
            Some(target) => Some(target),
            None if self.budget.used() == 0 => None,
            None => match self.lookup(parent, name)? {
                Lookup::Found(entry) => Some(Target {
                    ino: entry.attr.ino,
                    kind: entry.attr.kind,
                    cookie: None,
                }),
                Lookup::Missing { .. } => None,
            },
        };
        if let Some(target) = moved {
            self.commit_if_unsaved(target.ino)?;
        }
        let (victim, open) = self.victim(new_parent, new_name)?;
        // The name never ceases to lead to a file: who has looked it up must be able to open what was there.
        let is_file = |victim: &Victim| victim.kind != FileKind::Directory;
        let stays = open || victim.as_ref().is_some_and(is_file);
        let op = Op::Rename(v1::Rename {
            parent: parent.0,
            name: name.to_vec().into(),
            new_parent: new_parent.0,
            new_name: new_name.to_vec().into(),
            no_replace: flags.no_replace,
            exchange: flags.exchange,
        });
        let manner = Manner {
            durable: false,
            keep_open: stays && !flags.exchange,
        };
        let _changing = [parent, new_parent].map(|parent| self.changing(parent));
        let (mut reply, asked) = self.session.mutate(&op, manner)?;
        let mut changed = vec![parent, new_parent];
        changed.extend(moved.map(|target| target.ino));
        changed.extend(victim.as_ref().map(|victim| victim.node.ino));
        self.changed_inodes(&mut reply, &changed, asked)?;
        let same_file =
            moved.map(|target| target.ino) == victim.as_ref().map(|victim| victim.node.ino);
        // Two names of one file: the rename does nothing.
        if flags.exchange || same_file || moved.is_none() {
            self.changed_name(parent, name, Known::Unknown, reply.version, asked);
            self.changed_name(new_parent, new_name, Known::Unknown, reply.version, asked);
        } else {
            let cookie = (reply.cookie != 0).then_some(reply.cookie);
            let known = moved.map_or(Known::Unknown, |target| {
                Known::Leads(Target { cookie, ..target })
            });
            self.changed_name(parent, name, Known::Missing, reply.version, asked);
            self.changed_name(new_parent, new_name, known, reply.version, asked);
        }
        let nothing_done = same_file && moved.is_some();
        if !(flags.exchange || nothing_done) {
            self.removed(victim, stays, reply.removed);
        }
        Ok(())
    }

    /// A name in `parent` is about to be changed by us.
    fn changing(&self, parent: Ino) -> Changing {
        Changing::begin(self.node(parent))
    }

    /// Waits until no removal of it is under way, so that an open is seen by the next.
    pub(super) fn wait_removals(&self, node: &Node) -> Result<()> {
        let until = Instant::now() + limits::CALL_DEADLINE;
        let mut state = node.state.lock();
        while state.removals > 0 {
            if node.changed.wait_until(&mut state, until).timed_out() {
                return Err(Error::Refused(libc::EIO));
            }
        }
        state.opens += 1;
        Ok(())
    }

    fn commit_if_unsaved(&self, ino: Ino) -> Result<()> {
        if let Some(node) = self.table.get(ino)
            && node.state.lock().is_unsaved()
        {
            self.commit(&node, false)?;
        }
        Ok(())
    }
}

fn check_name(name: &[u8]) -> Result<()> {
    if name.len() > NAME_MAX_BYTES {
        Err(Error::Refused(libc::ENAMETOOLONG))
    } else {
        Ok(())
    }
}
