//! Attributes: asking, changing, symlinks, room on the volume.

use std::time::Duration;

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::FILE_SIZE_MAX_BYTES;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::{GetAttrRequest, StatFsRequest};

use super::Volume;
use crate::convert;
use crate::counters::Counter;
use crate::error::{Error, Result};
use crate::limits;
use crate::session::Manner;
use crate::types::{Attr, FileKind, FileSystemStats, SetAttr, SetTime};

impl Volume {
    /// Attributes, own buffered writes included, and how long they may be relied on. What was removed here shows
    /// what it was then.
    ///
    /// # Errors
    /// `ENOENT` (`ESTALE`) if it is gone.
    pub fn getattr(&self, ino: Ino) -> Result<(Attr, Duration)> {
        match self.living(ino) {
            Err(Error::Refused(errno)) => self
                .remains(ino)
                .map(|attr| (attr, Duration::ZERO))
                .ok_or(Error::Refused(errno)),
            other => other,
        }
    }

    /// The same, of what is still there.
    ///
    /// # Errors
    /// `ENOENT` if it is gone.
    pub fn living(&self, ino: Ino) -> Result<(Attr, Duration)> {
        let lease = &self.session.lease;
        if let Some(given) = self
            .table
            .get(ino)
            .and_then(|node| node.state.lock().give_attr(lease))
        {
            self.counters.count(Counter::AttrHits);
            return Ok(given);
        }
        self.ask_attr(ino)
    }

    /// What was known of it when it was removed here.
    fn remains(&self, ino: Ino) -> Option<Attr> {
        let node = self.table.get(ino)?;
        let state = node.state.lock();
        state.remains.as_deref().cloned()
    }

    /// Attributes from the daemon.
    pub(super) fn ask_attr(&self, ino: Ino) -> Result<(Attr, Duration)> {
        let request = |session| GetAttrRequest {
            session,
            ino: ino.0,
        };
        let (reply, asked) =
            self.session
                .ask(Counter::GetAttr, request, |meta, options, request| {
                    meta.get_attr(options, request)
                })?;
        let attr = convert::attr(reply.attr)?;
        Ok(self.learn_attr(attr, reply.rights, reply.version, asked))
    }

    /// Changes attributes.
    ///
    /// # Errors
    /// As the system call.
    pub fn setattr(&self, ino: Ino, change: SetAttr) -> Result<(Attr, Duration)> {
        if change.size.is_some_and(|size| size > FILE_SIZE_MAX_BYTES) {
            return Err(Error::Refused(libc::EFBIG));
        }
        let node = self.node(ino);
        let concerns_content = change.size.is_some() || change.mtime.is_some();
        if !concerns_content && !node.state.lock().is_unsaved() {
            return self.send_setattr(ino, &change);
        }
        let order = node.commit.try_lock_for(limits::CALL_DEADLINE);
        if order.is_none() {
            return Err(Error::Refused(libc::EIO));
        }
        match change.size {
            Some(size) => self.clip_unsaved(&node, size),
            // A time that is set must not be overtaken by a write that was made before.
            None if change.mtime.is_some() => drop(self.commit_ordered(&node, false)?),
            None => {}
        }
        self.send_setattr(ino, &change)
    }

    /// Cuts what is buffered at `size`. The caller holds the commit lock.
    fn clip_unsaved(&self, node: &crate::cache::node::Node, size: u64) {
        let mut state = node.state.lock();
        state.appended = state.appended.and_then(|appended| appended.cut(size));
        let mut freed = state.dirty.clip(size);
        state.pending.retain_mut(|pending| {
            let keep = size
                .saturating_sub(pending.offset)
                .min(pending.length as u64) as usize;
            freed += pending.length - keep;
            pending.length = keep;
            keep > 0
        });
        if !state.is_unsaved() {
            state.local_mtime = None;
        }
        drop(state);
        self.budget.release(freed);
    }

    fn send_setattr(&self, ino: Ino, change: &SetAttr) -> Result<(Attr, Duration)> {
        let lease = &self.session.lease;
        let op = Op::Setattr(convert::set_attr(ino, change));
        let (mut reply, asked) = self.session.mutate(&op, Manner::default())?;
        let version = reply.version;
        let node = self.node(ino);
        let mut attrs = self.attrs_of(std::mem::take(&mut reply.attrs))?;
        let attr = attrs
            .iter()
            .position(|attr| attr.ino == ino)
            .map(|at| attrs.swap_remove(at));
        let rights = self.acceptable(ino, reply.rights, asked);
        let mut state = node.state.lock();
        if let (Some(size), Some(attr)) = (change.size, &attr)
            && state.follows(version, asked, lease)
        {
            state.pieces.truncate(size);
            state.content_moved(attr.content_version.0);
        }
        if change.size.is_some() {
            node.size_is_told();
        }
        if matches!(change.mtime, Some(SetTime::At(_) | SetTime::Now)) {
            state.local_mtime = None;
        } else if let (Some(_), Some(written), Some(attr)) = (change.size, state.local_mtime, &attr)
        {
            // What is still buffered was written before, and keeps the time of the later change.
            state.local_mtime = Some(written.max(attr.mtime));
        }
        state.learn_own(attr.clone(), rights, version, asked, lease);
        match (state.give_attr(lease), attr) {
            (Some(given), _) => Ok(given),
            (None, Some(attr)) => Ok((state.localize(&attr), Duration::ZERO)),
            (None, None) => {
                drop(state);
                self.ask_attr(ino)
            }
        }
    }

    /// The target of a symlink.
    ///
    /// # Errors
    /// `EINVAL` if it is none.
    pub fn readlink(&self, ino: Ino) -> Result<Bytes> {
        let (attr, _) = self.getattr(ino)?;
        match attr.kind {
            FileKind::Symlink => Ok(attr.symlink),
            _ => Err(Error::Refused(libc::EINVAL)),
        }
    }

    /// Room on the volume.
    ///
    /// # Errors
    /// The index could not be asked.
    pub fn statfs(&self, ino: Ino) -> Result<FileSystemStats> {
        let request = |session| StatFsRequest {
            session,
            ino: ino.0,
        };
        let (reply, _) = self
            .session
            .ask(Counter::StatFs, request, |meta, options, request| {
                meta.stat_fs(options, request)
            })?;
        Ok(FileSystemStats {
            total_bytes: reply.total_bytes,
            free_bytes: reply.free_bytes,
            available_bytes: reply.available_bytes,
            inodes: reply.inodes,
            free_inodes: reply.free_inodes,
        })
    }
}
