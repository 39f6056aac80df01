//! Making things durable, and the end of a volume.

use std::sync::Arc;

use wolfdisk_common::ids::Ino;

use super::Volume;
use super::handles::Handle;
use crate::cache::node::Node;
use crate::cache::state::NodeState;
use crate::error::Result;
use crate::types::HandleId;

impl Volume {
    /// Commits a handle's file and tells of a failure that this handle was not told of.
    pub(super) fn save(&self, handle: &Handle, durable: bool) -> Result<bool> {
        self.save_and(handle, durable, Handle::take_failure)
    }

    /// The same for a descriptor that is closed, of perhaps several: a failure is told here and stays to be told. A
    /// program that is started closes descriptors of which it knows nothing.
    pub(super) fn save_for_close(&self, handle: &Handle) -> Result<bool> {
        self.save_and(handle, false, Handle::failure)
    }

    fn save_and(
        &self,
        handle: &Handle,
        durable: bool,
        failure: fn(&Handle, &NodeState) -> Result<()>,
    ) -> Result<bool> {
        let node = &handle.node;
        handle.check_locks(self.session.identity().session)?;
        let written = handle.written();
        let unsaved = node.state.lock().is_unsaved();
        // A commit under way holds the lock until what it took is in its place.
        let committed = if unsaved {
            self.commit(node, durable)
        } else {
            Ok(false)
        };
        failure(handle, &node.state.lock())?;
        let committed = committed?;
        handle.saved(written)?;
        Ok(committed)
    }

    /// Makes the file durable; with `datasync` attributes that reading back does not need may wait.
    ///
    /// # Errors
    /// What writing back gave, told once for each handle.
    pub fn fsync(&self, id: HandleId, _datasync: bool) -> Result<()> {
        let handle = self.handles.get(id)?;
        if self.save(&handle, true)? {
            return Ok(());
        }
        self.session.sync(self.version_of(&handle.node))
    }

    /// The last change of the file that is known, whoever made it.
    fn version_of(&self, node: &Node) -> u64 {
        let state = node.state.lock();
        let attr = state.attr.as_ref();
        let attr = attr.map_or(0, |attr| attr.attr_version.0.max(attr.content_version.0));
        attr.max(state.own_version)
    }

    /// Makes an inode that is not open, such as a directory, durable.
    ///
    /// # Errors
    /// The index could not be synced.
    pub fn fsync_inode(&self, ino: Ino) -> Result<()> {
        let node = self.node(ino);
        if node.state.lock().is_unsaved() {
            self.commit(&node, true)?;
        }
        self.session
            .sync(self.session.last_version().max(self.version_of(&node)))
    }

    /// Makes everything that this volume wrote durable (`syncfs`).
    ///
    /// # Errors
    /// What writing back any file gave.
    pub fn sync_all(&self) -> Result<()> {
        let saved = self.save_all();
        self.session.sync(self.session.last_version())?;
        saved
    }

    /// Commits every file; goes on after a failure and gives the first.
    fn save_all(&self) -> Result<()> {
        let unsaved = |node: &Arc<Node>| node.state.lock().is_unsaved();
        let mut first = Ok(());
        for node in self.table.all().into_iter().filter(unsaved) {
            let saved = self.commit(&node, false).map(|_| ());
            first = first.and(saved);
        }
        first
    }

    /// Writes everything back, closes the session, stops the threads. Every later call fails.
    ///
    /// # Errors
    /// What writing back gave; the volume is shut down all the same.
    pub fn shutdown(&self) -> Result<()> {
        if self.session.is_stopped() {
            return Ok(());
        }
        let saved = self.sync_all();
        // First nothing goes on, then the session ends: a heartbeat in between would open another.
        self.stop();
        let closed = self.session.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            thread.thread().unpark();
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                tracing::error!("a thread of the volume panicked");
            }
        }
        saved.and(closed)
    }

    fn stop(&self) {
        self.session.stop();
        self.notices.stop();
        self.commits.stop();
        self.puts.stop();
        self.write_backs.stop();
        self.changed_names.stop();
        if let Some(remote) = self.chunks.remote() {
            remote.stop();
        }
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // The threads end by themselves: they hold the volume weakly.
        self.stop();
    }
}
