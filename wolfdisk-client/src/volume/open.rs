//! Opening and closing files, and whether the kernel may keep its pages.

use std::sync::Arc;

use wolfdisk_common::ids::Ino;
use wolfdisk_proto::v1::OpenRequest;

use super::Volume;
use super::handles::Handle;
use crate::cache::node::Node;
use crate::cache::state::{ATTR, DATA, WRITE};
use crate::convert;
use crate::counters::Counter;
use crate::error::Result;
use crate::types::{Entry, HandleId, NewNode, OpenFlags, Opened};

impl Volume {
    /// Creates a file and opens it. `EEXIST` if the name exists: the caller looks it up and opens it.
    ///
    /// # Errors
    /// As the system call.
    pub fn create_open(
        &self,
        parent: Ino,
        name: &[u8],
        node: NewNode,
        flags: OpenFlags,
    ) -> Result<(Entry, Opened)> {
        let entry = self.make(parent, name, node, true)?;
        let node = self.node(entry.attr.ino);
        node.state.lock().opens += 1;
        let handle = self.handles.insert(Handle::new(node, flags))?;
        Ok((
            entry,
            Opened {
                handle,
                keep_cache: false,
            },
        ))
    }

    /// Opens a file.
    ///
    /// # Errors
    /// As the system call.
    pub fn open(&self, ino: Ino, flags: OpenFlags) -> Result<Opened> {
        let node = self.node(ino);
        self.wait_removals(&node)?;
        let opened = self.open_counted(&node, flags);
        if opened.is_err() {
            self.close_counted(&node);
        }
        opened
    }

    fn open_counted(&self, node: &Arc<Node>, flags: OpenFlags) -> Result<Opened> {
        let needed = if flags.write {
            ATTR | DATA | WRITE
        } else {
            ATTR | DATA
        };
        let cached = {
            let state = node.state.lock();
            !state.releasing && state.attr.is_some() && state.has(needed, &self.session.lease)
        };
        if cached {
            self.counters.count(Counter::OpenHits);
        } else {
            self.ask_open(node, flags.write, flags.read)?;
        }
        let keep_cache = self.keep_cache(node);
        let handle = self.handles.insert(Handle::new(node.clone(), flags))?;
        Ok(Opened { handle, keep_cache })
    }

    /// Opens at the daemon: the barrier where no right is held, and the way to get rights.
    pub(super) fn ask_open(&self, node: &Arc<Node>, write: bool, with_map: bool) -> Result<()> {
        let (ino, number) = (node.ino.0, self.session.next_open());
        let request = |session| OpenRequest {
            session,
            ino,
            write,
            with_map,
            number,
        };
        let (reply, asked) =
            self.session
                .ask(Counter::Open, request, |meta, options, request| {
                    meta.open(options, request)
                })?;
        let attr = convert::attr(reply.attr)?;
        let content_version = attr.content_version.0;
        self.learn_attr(attr, reply.rights, reply.version, asked);
        node.state.lock().opened_content = Some(content_version);
        if let Some(map) = reply.map {
            self.learn_map(node, &map, asked)?;
        }
        Ok(())
    }

    /// Whether all pages that the kernel may hold are of the current content. If not, it drops them at
    /// this open.
    fn keep_cache(&self, node: &Node) -> bool {
        let mut state = node.state.lock();
        let current = match &state.attr {
            Some(attr) if state.has(ATTR, &self.session.lease) => Some(attr.content_version.0),
            _ => state.opened_content.take(),
        };
        let keep = current.is_some() && state.lowest_read == current;
        if !keep {
            node.pages_dropping(&mut state);
        }
        keep
    }

    /// A descriptor of this handle was closed: buffered data takes its place, POSIX locks of
    /// `lock_owner` on the file go.
    ///
    /// # Errors
    /// What writing back gave, also if it was not told to another descriptor of the same handle.
    pub fn flush(&self, id: HandleId, lock_owner: Option<u64>) -> Result<()> {
        let handle = self.handles.get(id)?;
        let saved = self.save_for_close(&handle);
        if let Some(owner) = lock_owner {
            self.unlock_closed(id, &handle, owner)?;
        }
        saved.map(|_| ())
    }

    /// The last descriptor of this handle is closed: locks that are its own go.
    ///
    /// # Errors
    /// `EBADF`. What writing back gave was told by `flush`.
    pub fn release(&self, id: HandleId) -> Result<()> {
        let handle = self.handles.remove(id)?;
        let unlocked = self.unlock_released(id, &handle);
        self.close_counted(&handle.node);
        unlocked
    }
}
