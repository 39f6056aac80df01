//! One pass over all records, sorted into typed maps.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, Ino, SessionId};

use crate::index::codec::{DecodeError, Wire, decode};
use crate::index::extent::Extent;
use crate::index::key::{self, Key};
use crate::index::read::extent_of;
use crate::index::record::{
    Chunk, Cookie, Counters, Dirent, ExtentRecord, Inode, Lock, Reap, Undestaged, Usage, Xattr,
};
use crate::index::records::{Read, damaged};
use crate::index::table::TableError;

/// See the module.
#[derive(Default)]
pub(super) struct Census {
    pub counters: Counters,
    pub inodes: BTreeMap<Ino, Inode>,
    pub dirents: BTreeMap<(Ino, Bytes), Dirent>,
    pub cookies: BTreeMap<(Ino, u64), Cookie>,
    pub links: BTreeSet<(Ino, Ino, Bytes)>,
    pub extents: BTreeMap<Ino, Vec<Extent>>,
    pub xattrs: BTreeMap<Ino, Vec<(Bytes, usize)>>,
    pub chunks: BTreeMap<ChunkId, Chunk>,
    pub garbage: BTreeSet<ChunkId>,
    pub sparse: BTreeSet<ChunkId>,
    pub usage: BTreeMap<u32, Usage>,
    pub sessions: BTreeSet<SessionId>,
    pub answered: BTreeSet<SessionId>,
    pub locks: BTreeSet<(SessionId, Ino)>,
    pub session_locks: BTreeSet<(SessionId, Ino)>,
    pub orphans: BTreeSet<(SessionId, Ino)>,
    pub session_orphans: BTreeSet<(SessionId, Ino)>,
    pub undestaged: BTreeMap<Key, u64>,
    pub reaping: BTreeMap<Ino, u64>,
}

impl Census {
    pub(super) fn take(records: &impl Read) -> Result<Census, TableError> {
        let mut census = Census::default();
        let mut failed = None;
        records.range(&key::everything(), &mut |key, value| {
            let value = Bytes::copy_from_slice(value);
            match Key::decode(key).and_then(|parsed| census.add(parsed, value)) {
                Ok(()) => true,
                Err(error) => {
                    failed = Some(damaged(key, error));
                    false
                }
            }
        })?;
        failed.map_or(Ok(census), Err)
    }

    fn add(&mut self, key: Key, value: Bytes) -> Result<(), DecodeError> {
        fn read<T: Wire>(value: Bytes) -> Result<T, DecodeError> {
            decode(value)
        }
        match key {
            Key::Counters => self.counters = read(value)?,
            Key::Inode { ino } => drop(self.inodes.insert(ino, read(value)?)),
            Key::Dirent { parent, name } => {
                self.dirents.insert((parent, name), read(value)?);
            }
            Key::Cookie { parent, cookie } => {
                self.cookies.insert((parent, cookie), read(value)?);
            }
            Key::Link { ino, parent, name } => drop(self.links.insert((ino, parent, name))),
            Key::Extent { ino, .. } => {
                let record = read::<ExtentRecord>(value)?;
                let extent = extent_of(&key, record).ok_or(DecodeError::Range("length"))?;
                self.extents.entry(ino).or_default().push(extent);
            }
            Key::Xattr { ino, name } => {
                let length = read::<Xattr>(value)?.value.len();
                self.xattrs.entry(ino).or_default().push((name, length));
            }
            Key::Chunk { id } => drop(self.chunks.insert(id, read(value)?)),
            Key::Garbage { id } => drop(self.garbage.insert(id)),
            Key::Sparse { id } => drop(self.sparse.insert(id)),
            Key::Usage { project } => drop(self.usage.insert(project, read(value)?)),
            Key::Session { session } => drop(self.sessions.insert(session)),
            Key::Answer { session, .. } => drop(self.answered.insert(session)),
            Key::Lock {
                ino,
                session,
                start,
                ..
            } => {
                let end = read::<Lock>(value)?.end;
                if end < start {
                    return Err(DecodeError::Range("end"));
                }
                self.locks.insert((session, ino));
            }
            Key::SessionLock { session, ino } => drop(self.session_locks.insert((session, ino))),
            Key::Orphan { ino, session } => drop(self.orphans.insert((session, ino))),
            Key::SessionOrphan { session, ino } => {
                self.session_orphans.insert((session, ino));
            }
            Key::Undestaged { .. } => {
                self.undestaged
                    .insert(key, read::<Undestaged>(value)?.length);
            }
            Key::Reap { ino } => drop(self.reaping.insert(ino, read::<Reap>(value)?.from)),
            Key::Node { .. } | Key::Volume => {}
        }
        Ok(())
    }
}
