//! Listing directories.

use std::time::Duration;

use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::READDIR_MAX_ENTRIES;
use wolfdisk_proto::v1::{self, ReadDirRequest};

use super::Volume;
use super::handles::Handle;
use crate::cache::names::{Known, Target};
use crate::cache::node::Node;
use crate::cache::state::NAMES;
use crate::convert;
use crate::counters::Counter;
use crate::error::{Error, Result};
use crate::session::Identity;
use crate::types::{DirItem, Entry, FileKind, HandleId, Listing, OpenFlags};

impl Volume {
    /// Opens a directory: if it is removed meanwhile it lives until [`Volume::closedir`].
    ///
    /// # Errors
    /// `ENOTDIR`, `ENOENT`.
    pub fn opendir(&self, ino: Ino) -> Result<HandleId> {
        let node = self.node(ino);
        self.wait_removals(&node)?;
        let opened = match self.getattr(ino) {
            Ok((attr, _)) if attr.kind == FileKind::Directory => self
                .handles
                .insert(Handle::new(node.clone(), OpenFlags::default())),
            Ok(_) => Err(Error::Refused(libc::ENOTDIR)),
            Err(error) => Err(error),
        };
        if opened.is_err() {
            self.close_counted(&node);
        }
        opened
    }

    /// Closes a directory.
    ///
    /// # Errors
    /// `EBADF`.
    pub fn closedir(&self, id: HandleId) -> Result<()> {
        let handle = self.handles.remove(id)?;
        self.close_counted(&handle.node);
        Ok(())
    }

    /// The entries after `cookie` (0: from the start), at most `max`.
    ///
    /// # Errors
    /// `ENOTDIR`, `ENOENT`.
    pub fn readdir(&self, ino: Ino, cookie: u64, max: usize, attributes: bool) -> Result<Listing> {
        let directory = self.node(ino);
        if let Some(listing) = self.cached_listing(&directory, cookie, max, attributes)? {
            self.counters.count(Counter::NameHits);
            return Ok(listing);
        }
        let request = |session| ReadDirRequest {
            session,
            ino: ino.0,
            after_cookie: cookie,
            max_entries: READDIR_MAX_ENTRIES,
            attributes: true,
        };
        let (reply, asked) =
            self.session
                .ask(Counter::ReadDir, request, |meta, options, request| {
                    meta.read_dir(options, request)
                })?;
        self.learn_page(&directory, reply, cookie, max, asked)
    }

    fn cached_listing(
        &self,
        directory: &Node,
        cookie: u64,
        max: usize,
        attributes: bool,
    ) -> Result<Option<Listing>> {
        let lease = &self.session.lease;
        let (page, end, parent, entry_valid) = {
            let mut state = directory.state.lock();
            if !state.has(NAMES, lease) {
                return Ok(None);
            }
            let Some((page, end)) = state.names.list(cookie, max) else {
                return Ok(None);
            };
            let parent = state.attr.as_ref().map(|attr| attr.parent);
            (page, end, parent, state.names.lifetime(lease))
        };
        let parent = match parent {
            Some(parent) => parent,
            None => self.getattr(directory.ino)?.0.parent,
        };
        let entries = page.into_iter().map(|(name, target)| {
            let node = attributes.then(|| self.table.get(target.ino)).flatten();
            let given = node.and_then(|node| node.state.lock().give_attr(lease));
            let entry = given.map(|(attr, attr_valid)| Entry {
                attr,
                entry_valid,
                attr_valid,
            });
            DirItem {
                name,
                ino: target.ino,
                kind: target.kind,
                cookie: target.cookie.unwrap_or_default(),
                entry,
            }
        });
        Ok(Some(Listing {
            entries: entries.collect(),
            end,
            parent,
        }))
    }

    /// Keeps a page and gives the first `max` entries of it.
    fn learn_page(
        &self,
        directory: &Node,
        reply: v1::ReadDirReply,
        after: u64,
        max: usize,
        asked: Identity,
    ) -> Result<Listing> {
        let lease = &self.session.lease;
        let count = reply.entries.len();
        let last = reply.entries.last().map_or(after, |entry| entry.cookie);
        let rights = self.acceptable(directory.ino, reply.rights, asked);
        let mut items = Vec::with_capacity(count);
        for entry in reply.entries {
            let kind = FileKind::from_mode(entry.mode).ok_or(Error::Malformed("a file type"))?;
            let entry_valid = Duration::ZERO;
            let learned = match entry.attr {
                Some(attr) => {
                    let attr = convert::attr(Some(attr))?;
                    let (attr, attr_valid) =
                        self.learn_attr(attr, entry.rights, reply.version, asked);
                    Some(Entry {
                        attr,
                        entry_valid,
                        attr_valid,
                    })
                }
                None => None,
            };
            let (name, ino) = (entry.name, Ino(entry.ino));
            items.push(DirItem {
                name,
                ino,
                kind,
                cookie: entry.cookie,
                entry: learned,
            });
        }
        let mut state = directory.state.lock();
        if state.learn_names(rights, reply.version, asked, lease) {
            let valid = state.names.lifetime(lease);
            for item in &mut items {
                let target = Target {
                    ino: item.ino,
                    kind: item.kind,
                    cookie: Some(item.cookie),
                };
                state
                    .names
                    .learn(&item.name, Known::Leads(target), reply.version);
                let kept = state.names.get(&item.name) == Known::Leads(target);
                if let Some(entry) = item.entry.as_mut().filter(|_| kept) {
                    entry.entry_valid = valid;
                }
            }
            state
                .names
                .learn_page(after, last, reply.end, reply.version);
        }
        drop(state);
        self.table.names_added(count, lease);
        items.truncate(max);
        Ok(Listing {
            entries: items,
            end: reply.end && count <= max,
            parent: Ino(reply.parent),
        })
    }
}
