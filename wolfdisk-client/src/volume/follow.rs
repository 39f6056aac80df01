//! What the volume does when the daemon says that something changed elsewhere.

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::LEASE_MS;
use wolfdisk_proto::v1::Invalidation;
use wolfdisk_proto::v1::invalidation::Kind;

use super::Volume;
use crate::cache::node::Node;
use crate::cache::state::{ATTR, DATA, WRITE};
use crate::cache::table::Closed;
use crate::listener::CacheListener;
use crate::session::feed::{Follower, Told};

/// Follows for as long as the volume lives.
pub(super) struct WeakFollower(pub(super) Weak<Volume>);

impl Follower for WeakFollower {
    fn drop_own(&self, invalidation: &Invalidation) {
        if let Some(volume) = self.0.upgrade() {
            volume.drop_own(invalidation);
        }
    }

    fn drop_kernel(&self, invalidation: &Invalidation, session: u64) -> Told {
        let volume = self.0.upgrade();
        volume.map_or(Told::Done, |volume| {
            volume.drop_kernel(invalidation, session)
        })
    }

    fn write_back(&self, invalidation: &Invalidation) {
        if let Some(volume) = self.0.upgrade() {
            volume.write_backs.push(WriteBack {
                ino: Ino(invalidation.ino),
                number: invalidation.number,
                session: volume.notices.session(),
            });
        }
    }

    fn drop_all(&self, rolled_back: bool) {
        if let Some(volume) = self.0.upgrade() {
            volume.drop_all(rolled_back);
        }
    }

    fn take_returns(&self) -> (Vec<Closed>, Vec<Closed>) {
        self.0
            .upgrade()
            .map(|volume| volume.take_returns())
            .unwrap_or_default()
    }

    fn returned(&self, taken: bool) {
        if let Some(volume) = self.0.upgrade() {
            volume.table.returned(taken);
            volume.session.end_returns();
            volume.end_releasing(taken);
        }
    }
}

/// What is buffered for an inode must become part of the index, because another session writes to it.
#[derive(Debug)]
pub(super) struct WriteBack {
    ino: Ino,
    number: u64,
    session: u64,
}

impl Volume {
    /// Writes back for another session; only then its invalidation is done.
    pub(super) fn write_back(&self, job: &WriteBack) {
        if let Some(node) = self.table.get(job.ino)
            && let Err(error) = self.commit(&node, false)
        {
            tracing::debug!(ino = job.ino.0, %error, "writing back for another session failed");
        }
        self.notices.written(job.number, job.session);
    }

    fn drop_own(&self, invalidation: &Invalidation) {
        let (ino, version) = (Ino(invalidation.ino), invalidation.version);
        let Some(node) = self.table.get(ino) else {
            self.table.note_change(ino, version);
            match invalidation.kind() {
                Kind::Attr | Kind::Data => self.linger(ino),
                Kind::Directory | Kind::Name | Kind::WriteBack => {}
            }
            return;
        };
        let mut state = node.state.lock();
        match invalidation.kind() {
            Kind::Name => state.names.invalidate(&invalidation.name, version),
            Kind::Attr => state.invalidate(ATTR, version),
            Kind::Data => state.invalidate(ATTR | DATA | WRITE, version),
            // Another session has opened it to write, or changes it: it may buffer once we have closed it.
            Kind::WriteBack => state.end_buffering(version),
            Kind::Directory => state.lose_names(version),
        }
        if matches!(
            invalidation.kind(),
            Kind::Attr | Kind::Data | Kind::WriteBack
        ) {
            // Its last name may have gone: the daemon then waits for a word from whoever has it open.
            if state.opens == 0 {
                self.linger(ino);
            } else {
                state.tell_release = true;
            }
        }
        node.changed.notify_all();
    }

    fn drop_kernel(&self, invalidation: &Invalidation, session: u64) -> Told {
        let ino = Ino(invalidation.ino);
        let told = match invalidation.kind() {
            Kind::Name => return self.drop_name(ino, invalidation, session),
            // It stands for all that a predecessor gave to the kernel, if there was one.
            Kind::Attr if ino == Ino(0) => match self.kernel_forgets.get() {
                Some(when) if *when > Instant::now() => return Told::Lasts(*when),
                Some(_) | None => true,
            },
            Kind::Attr if invalidation.runs_out => true,
            Kind::Attr => self.tell_inode(ino, false),
            Kind::Data => self.tell_inode(ino, true),
            Kind::WriteBack => true,
            Kind::Directory => return self.drop_names(ino),
        };
        if told { Told::Done } else { Told::Failed }
    }

    /// What the kernel was given of the names runs out. The right went for want of room, nobody changed
    /// anything; and to tell of each name of a large directory, whose lock is taken for it, takes longer than a
    /// lease.
    fn drop_names(&self, ino: Ino) -> Told {
        // After that: whoever asked before is given no lifetime.
        if !self.tell_inode(ino, true) {
            return Told::Failed;
        }
        let held = self.table.get(ino).map_or_else(
            || Some(Instant::now() + Duration::from_millis(LEASE_MS)),
            |node| node.state.lock().names.held().until,
        );
        held.map_or(Told::Done, Told::Until)
    }

    pub(super) fn tell_entry(&self, parent: Ino, name: &[u8]) -> bool {
        let listener = self.listener.read().clone();
        let told = listener.map_or(Ok(()), |listener| listener.invalidate_entry(parent, name));
        told.inspect_err(|error| tracing::warn!(%parent, %error, "the kernel kept a name"))
            .is_ok()
    }

    fn tell_inode(&self, ino: Ino, data: bool) -> bool {
        let listener = self.listener.read().clone();
        let told = listener.map_or(Ok(()), |listener| match self.table.get(ino) {
            Some(node) => tell(listener.as_ref(), &node, data),
            None => listener.invalidate_inode(ino, data),
        });
        told.inspect_err(|error| tracing::warn!(%ino, %error, "the kernel kept an inode"))
            .is_ok()
    }

    /// A request of the cache above changed attributes of which it knows nothing.
    pub fn forget_above(&self, ino: Ino) {
        self.tell_inode(ino, false);
    }

    /// What was read or written without a right gets into the kernel's pages all the same, and nobody
    /// would tell when it changes: the pages go as soon as the request is answered. Not while locks are
    /// held on the file, since the kernel believes no answer about a file's size while it is told to drop
    /// pages: the next lock, the next open or the end of the locks takes them then.
    pub(super) fn drop_pages_soon(&self, node: &Arc<Node>) {
        let Some(listener) = self.listener.read().clone() else {
            return;
        };
        {
            let mut state = node.state.lock();
            if state.is_locked() || std::mem::replace(&mut state.pages_doomed, true) {
                return;
            }
        }
        let node = node.clone();
        self.notices.queue(move || {
            let locked = {
                let mut state = node.state.lock();
                state.pages_doomed = false;
                state.is_locked()
            };
            if !locked && let Err(error) = tell(listener.as_ref(), &node, true) {
                tracing::warn!(ino = %node.ino, %error, "the kernel kept pages");
            }
        });
    }

    /// Rights are gone with their epoch. What was buffered under them is written back at once; after a
    /// roll-back the kernel forgets everything too.
    fn drop_all(&self, rolled_back: bool) {
        self.commits.hurry();
        if !rolled_back {
            return;
        }
        for node in self.table.all() {
            let names: Vec<Bytes> = node.state.lock().names.known_names();
            let Some(listener) = self.listener.read().clone() else {
                return;
            };
            self.notices.queue(move || {
                let entries = names
                    .iter()
                    .map(|name| listener.invalidate_entry(node.ino, name));
                let failed = entries.filter(std::result::Result::is_err).count();
                if failed > 0 || listener.invalidate_inode(node.ino, true).is_err() {
                    tracing::warn!(ino = node.ino.0, "the kernel kept what was rolled back");
                }
            });
        }
    }
}

/// Tells the kernel to forget the attributes of an inode that is known here, and with `data` its pages.
pub(super) fn tell(listener: &dyn CacheListener, node: &Node, data: bool) -> io::Result<()> {
    let _telling = node.telling();
    if data {
        node.pages_dropping(&mut node.state.lock());
    }
    let told = listener.invalidate_inode(node.ino, data);
    if data && told.is_err() {
        Node::pages_kept(&mut node.state.lock());
    }
    told
}
