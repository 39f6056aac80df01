//! Reads: answered from the applied state, with the rights to cache the answer.

use std::time::Duration;

use parking_lot::MutexGuard;
use wolfdisk_common::ids::{Ino, SessionId};
use wolfdisk_common::limits::{
    LOG_DATA_MAX_BYTES, MAP_MAX_DATA_BYTES, MAP_MAX_PIECES, READDIR_MAX_ENTRIES,
};
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::v1;

use super::convert;
use super::core::Core;
use super::error::ServiceError;
use super::rpc::Service;
use crate::index::MapSource;
use crate::index::record::{Access, Inode};
use crate::machine::rights::RightSet;

/// Values larger than this are left out of a list of xattrs.
const XATTR_LISTED_BYTES: usize = 4096;
/// What an open brings along of a larger file: as many pieces of its beginning.
pub(super) const OPEN_PIECES: u32 = 64;

impl Service {
    pub(super) fn lookup(
        &self,
        call: &mut Call,
        request: v1::LookupRequest,
    ) -> Result<v1::LookupReply, Failure> {
        let name = convert::name(&request.name)?;
        let (mut core, session, now) = self.enter(call, request.session)?;
        let parent = Ino(request.parent);
        let directory = self.inode(&core, parent)?;
        if !directory.is_directory() {
            return Err(Failure::Errno(libc::ENOTDIR));
        }
        let found = core.index.lookup(parent, name.as_bytes());
        let found = found.map_err(|error| self.broken(error))?;
        let version = core.index.version();
        let names = core
            .coherence
            .grant(session, parent, RightSet::NAMES, version, now);
        let mut reply = v1::LookupReply {
            version: version.0,
            parent_rights: names.to_wire(),
            ..v1::LookupReply::default()
        };
        if let Some((ino, inode)) = found {
            let wanted = convert::cacheable(&inode);
            reply.rights = core
                .coherence
                .grant(session, ino, wanted, version, now)
                .to_wire();
            reply.attr = Some(convert::attr(ino, &inode));
            reply.found = true;
        }
        Ok(reply)
    }

    pub(super) fn get_attr(
        &self,
        call: &mut Call,
        request: v1::GetAttrRequest,
    ) -> Result<v1::GetAttrReply, Failure> {
        let (mut core, session, now) = self.enter(call, request.session)?;
        let ino = Ino(request.ino);
        let inode = self.inode(&core, ino)?;
        let version = core.index.version();
        let wanted = convert::cacheable(&inode);
        let rights = core.coherence.grant(session, ino, wanted, version, now);
        let attr = Some(convert::attr(ino, &inode));
        Ok(v1::GetAttrReply {
            version: version.0,
            attr,
            rights: rights.to_wire(),
        })
    }

    pub(super) async fn open(
        &self,
        call: &mut Call,
        mut request: v1::OpenRequest,
    ) -> Result<v1::OpenReply, Failure> {
        let ino = Ino(request.ino);
        let barrier = {
            let (mut core, session, now) = self.enter(call, request.session)?;
            let inode = self.inode(&core, ino)?;
            let version = core.index.version();
            core.coherence.opened(session, ino, request.number, now);
            if request.write {
                self.may_write(&core, session, &inode)?;
                let waits = core.coherence.open_to_write(session, ino, version, now);
                core.open_barrier(&waits)
            } else {
                None
            }
        };
        self.wait_barrier(barrier).await?;
        // It may have gone elsewhere meanwhile.
        self.guard(call, &mut request)?;
        let (mut core, session, now) = self.enter(call, request.session)?;
        let inode = self.inode(&core, ino)?;
        let version = core.index.version();
        let wanted = convert::cacheable(&inode) | RightSet::OPENED;
        let mut rights = core.coherence.grant(session, ino, wanted, version, now);
        if request.write {
            rights |= core.coherence.write_right(session, ino, now);
        }
        let map = if request.with_map {
            let small = inode.size <= LOG_DATA_MAX_BYTES as u64;
            let pieces = if small { MAP_MAX_PIECES } else { OPEN_PIECES };
            Some(self.mapped(&core, ino, 0, u64::MAX, pieces, LOG_DATA_MAX_BYTES)?)
        } else {
            None
        };
        let attr = Some(convert::attr(ino, &inode));
        Ok(v1::OpenReply {
            version: version.0,
            attr,
            rights: rights.to_wire(),
            map,
        })
    }

    fn may_write(&self, core: &Core, session: SessionId, inode: &Inode) -> Result<(), Failure> {
        if inode.is_directory() {
            return Err(Failure::Errno(libc::EISDIR));
        }
        let owner = core
            .index
            .session(session)
            .map_err(|error| self.broken(error))?;
        match owner {
            Some(owner) if owner.access == Access::ReadOnly => Err(Failure::Errno(libc::EROFS)),
            Some(_) => Ok(()),
            None => Err(Failure::StaleSession),
        }
    }

    pub(super) fn map(
        &self,
        call: &mut Call,
        request: v1::MapRequest,
    ) -> Result<v1::MapReply, Failure> {
        let (mut core, session, now) = self.enter(call, request.session)?;
        let ino = Ino(request.ino);
        let pieces = request.max_pieces.clamp(1, MAP_MAX_PIECES);
        let (offset, length) = (request.offset, request.length);
        let mut map = self.mapped(&core, ino, offset, length, pieces, MAP_MAX_DATA_BYTES)?;
        let version = core.index.version();
        let wanted = RightSet::ATTR | RightSet::DATA;
        map.rights = core
            .coherence
            .grant(session, ino, wanted, version, now)
            .to_wire();
        Ok(map)
    }

    /// A map whose pieces from the log carry their bytes. It ends before the piece with which the bytes
    /// would exceed `data_max`; a first piece is carried in any case, cut to that size.
    pub(super) fn mapped(
        &self,
        core: &Core,
        ino: Ino,
        offset: u64,
        length: u64,
        max_pieces: u32,
        data_max: usize,
    ) -> Result<v1::MapReply, Failure> {
        let map = core.index.map(ino, offset, length, max_pieces as usize);
        let map = map
            .map_err(|error| self.broken(error))?
            .ok_or(Failure::Errno(libc::ENOENT))?;
        let mut reply = v1::MapReply {
            version: core.index.version().0,
            offset,
            covered_to: offset,
            size: map.size,
            content_version: map.content_version.0,
            ..v1::MapReply::default()
        };
        let mut data = 0;
        for mut piece in map.pieces {
            if let MapSource::Log { log_index, offset } = piece.source {
                let left = data_max.saturating_sub(data) as u64;
                if piece.length > left && !reply.pieces.is_empty() {
                    return Ok(reply);
                }
                piece.length = piece.length.min(left);
                data += piece.length as usize;
                let bytes = core.log.read(log_index, offset, piece.length as u32);
                let bytes = bytes.map_err(|error| {
                    self.fail(ServiceError::from(error));
                    Failure::Unavailable("the log cannot be read".into())
                })?;
                piece.source = MapSource::Inline(bytes);
            }
            reply.covered_to = piece.offset + piece.length;
            reply.pieces.push(convert::piece(piece));
        }
        Ok(reply)
    }

    pub(super) fn read_dir(
        &self,
        call: &mut Call,
        request: v1::ReadDirRequest,
    ) -> Result<v1::ReadDirReply, Failure> {
        let (mut core, session, now) = self.enter(call, request.session)?;
        let ino = Ino(request.ino);
        let directory = self.inode(&core, ino)?;
        if !directory.is_directory() {
            return Err(Failure::Errno(libc::ENOTDIR));
        }
        let limit = request.max_entries.clamp(1, READDIR_MAX_ENTRIES) as usize;
        let listing = core.index.readdir(ino, request.after_cookie, limit);
        let listing = listing.map_err(|error| self.broken(error))?;
        let version = core.index.version();
        let names = core
            .coherence
            .grant(session, ino, RightSet::NAMES, version, now);
        let mut entries = Vec::with_capacity(listing.entries.len());
        for listed in listing.entries {
            let (child, mode) = (listed.ino, listed.kind.mode_bits());
            let mut entry = v1::DirEntry {
                name: bytes::Bytes::copy_from_slice(listed.name.as_bytes()),
                ino: child.0,
                mode,
                cookie: listed.cookie,
                ..v1::DirEntry::default()
            };
            if request.attributes
                && let Some(inode) = core
                    .index
                    .inode(child)
                    .map_err(|error| self.broken(error))?
            {
                entry.attr = Some(convert::attr(child, &inode));
                if core.coherence.has_room(session) {
                    let wanted = convert::cacheable(&inode);
                    let rights = core.coherence.grant(session, child, wanted, version, now);
                    entry.rights = rights.to_wire();
                }
            }
            entries.push(entry);
        }
        Ok(v1::ReadDirReply {
            version: version.0,
            entries,
            end: listing.end,
            rights: names.to_wire(),
            parent: directory.parent.0,
            dir_version: directory.content_version.0,
        })
    }

    pub(super) fn list_xattr(
        &self,
        call: &mut Call,
        request: v1::ListXattrRequest,
    ) -> Result<v1::ListXattrReply, Failure> {
        let (mut core, session, now) = self.enter(call, request.session)?;
        let ino = Ino(request.ino);
        self.inode(&core, ino)?;
        let xattrs = core.index.xattrs(ino).map_err(|error| self.broken(error))?;
        let listed = xattrs.into_iter().map(|(name, value)| {
            let value_omitted = value.len() > XATTR_LISTED_BYTES;
            let value = if value_omitted {
                bytes::Bytes::new()
            } else {
                value
            };
            v1::Xattr {
                name,
                value,
                value_omitted,
            }
        });
        let version = core.index.version();
        let rights = core
            .coherence
            .grant(session, ino, RightSet::ATTR, version, now);
        let (version, xattrs) = (version.0, listed.collect());
        Ok(v1::ListXattrReply {
            version,
            xattrs,
            rights: rights.to_wire(),
        })
    }

    pub(super) fn get_xattr(
        &self,
        call: &mut Call,
        request: v1::GetXattrRequest,
    ) -> Result<v1::GetXattrReply, Failure> {
        let (core, _, _) = self.enter(call, request.session)?;
        let ino = Ino(request.ino);
        self.inode(&core, ino)?;
        let value = core
            .index
            .xattr(ino, &request.name)
            .map_err(|error| self.broken(error))?;
        let value = value.ok_or(Failure::Errno(libc::ENODATA))?;
        Ok(v1::GetXattrReply {
            version: core.index.version().0,
            value,
        })
    }

    pub(super) fn get_lock(
        &self,
        call: &mut Call,
        request: v1::GetLockRequest,
    ) -> Result<v1::GetLockReply, Failure> {
        let wanted = request
            .lock
            .ok_or_else(|| Failure::Invalid("no lock is named".into()))?;
        let lock = convert::lock(&wanted)?;
        let (core, session, _) = self.enter(call, request.session)?;
        let (start, end) = (lock.start, lock.end);
        let held = core
            .index
            .lock_conflict(lock.ino, session, lock.owner, lock.mode, start, end);
        let held = held.map_err(|error| self.broken(error))?;
        Ok(match held {
            None => v1::GetLockReply::default(),
            Some(held) => v1::GetLockReply {
                conflict: true,
                same_session: held.session == session,
                holder: Some(convert::held_lock(lock.ino, &held)),
            },
        })
    }

    fn inode(&self, core: &MutexGuard<'_, Core>, ino: Ino) -> Result<Inode, Failure> {
        let inode = core.index.inode(ino).map_err(|error| self.broken(error))?;
        inode.ok_or(Failure::Errno(libc::ENOENT))
    }

    /// Time since the start of this process.
    pub(super) fn uptime(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.started)
    }
}
