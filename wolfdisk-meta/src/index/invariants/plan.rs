//! How to put right what can be: the new values, and the records that must still be as they were when they
//! were looked at. It becomes mutations of the log like any other, [`Op::Repair`].

use std::collections::BTreeMap;

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, Ino};

use crate::index::codec::{Wire, encode};
use crate::index::key::Key;
use crate::index::op::{Op, RepairCounters, RepairRecord, RepairUsage};
use crate::index::record::{Chunk, Garbage, Inode, Sparse};
use crate::index::records::Read;
use crate::index::table::TableError;
use crate::limits;

/// Names a part of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FixId {
    /// Fields of an inode.
    Inode(Ino),
    /// A chunk and its marks.
    Chunk(ChunkId),
    /// A record of its own, by its number in the plan.
    Record(usize),
    /// The counters and what projects use.
    Totals,
}

/// What fields of an inode must become.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InodeFix {
    pub(super) nlink: Option<u32>,
    pub(super) entries: Option<u64>,
    pub(super) allocated: Option<u64>,
    pub(super) next_cookie: Option<u64>,
    pub(super) place: Option<(Ino, Bytes)>,
    /// Number of attributes, bytes, bytes of names.
    pub(super) xattrs: Option<(u32, u64, u64)>,
}

/// What a chunk's record must say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkFix {
    pub(super) references: u64,
    pub(super) bytes: u64,
}

/// See the module. Bounded: what does not fit is found by the next check.
#[derive(Debug, Default)]
pub struct Plan {
    inodes: BTreeMap<Ino, InodeFix>,
    chunks: BTreeMap<ChunkId, ChunkFix>,
    records: Vec<Vec<RepairRecord>>,
    counters: RepairCounters,
    usage: Vec<RepairUsage>,
    totals: bool,
}

impl Plan {
    /// Nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn len(&self) -> usize {
        self.inodes.len() + self.chunks.len() + self.records.len() + usize::from(self.totals)
    }

    fn has_room(&self) -> bool {
        self.len() < limits::REPAIRS_MAX
    }

    /// Changes what an inode is to become; none if the plan is full.
    pub(super) fn inode(&mut self, ino: Ino, change: impl FnOnce(&mut InodeFix)) -> Option<FixId> {
        let room = self.has_room() || self.inodes.contains_key(&ino);
        room.then(|| {
            change(self.inodes.entry(ino).or_default());
            FixId::Inode(ino)
        })
    }

    /// Whether an inode is to change.
    pub(super) fn has_inode(&self, ino: Ino) -> bool {
        self.inodes.contains_key(&ino)
    }

    pub(super) fn chunk(&mut self, id: ChunkId, fix: ChunkFix) -> Option<FixId> {
        self.has_room().then(|| {
            self.chunks.insert(id, fix);
            FixId::Chunk(id)
        })
    }

    /// Sets or removes one record that was found as `expected`.
    pub(super) fn record<T: Wire>(
        &mut self,
        key: &Key,
        expected: Option<Bytes>,
        value: Option<&T>,
    ) -> Option<FixId> {
        self.group(vec![RepairRecord {
            key: Bytes::copy_from_slice(&key.encode()),
            expected,
            value: value.map(encode),
        }])
    }

    /// Records that change together.
    pub(super) fn group(&mut self, records: Vec<RepairRecord>) -> Option<FixId> {
        self.has_room().then(|| {
            self.records.push(records);
            FixId::Record(self.records.len() - 1)
        })
    }

    pub(super) fn counters(&mut self, change: impl FnOnce(&mut RepairCounters)) -> FixId {
        change(&mut self.counters);
        self.totals = true;
        FixId::Totals
    }

    pub(super) fn usage(&mut self, usage: RepairUsage) -> FixId {
        self.usage.push(usage);
        self.totals = true;
        FixId::Totals
    }

    /// The mutations, each with the part that it is, in the order in which they are to be made. The records
    /// that they change are read from `records`.
    ///
    /// # Errors
    /// Storage failed.
    pub fn mutations(self, records: &impl Read) -> Result<Vec<(FixId, Op)>, TableError> {
        let repair = |records| Op::Repair {
            records,
            counters: RepairCounters::default(),
            usage: Vec::new(),
        };
        let mut mutations = Vec::with_capacity(self.len());
        for (ino, fix) in self.inodes {
            let key = Key::Inode { ino };
            if let Some(inode) = readable::<Inode>(records, &key)? {
                let expected = records.bytes(&key.encode())?;
                let value = Some(encode(&fix.applied(inode)));
                let key = Bytes::copy_from_slice(&key.encode());
                let record = RepairRecord {
                    key,
                    expected,
                    value,
                };
                mutations.push((FixId::Inode(ino), repair(vec![record])));
            }
        }
        for (id, fix) in self.chunks {
            let changes = fix.changes(records, id)?;
            mutations.push((FixId::Chunk(id), repair(changes)));
        }
        for (number, changes) in self.records.into_iter().enumerate() {
            mutations.push((FixId::Record(number), repair(changes)));
        }
        if self.totals {
            let op = Op::Repair {
                records: Vec::new(),
                counters: self.counters,
                usage: self.usage,
            };
            mutations.push((FixId::Totals, op));
        }
        Ok(mutations)
    }
}

fn readable<T: Wire>(records: &impl Read, key: &Key) -> Result<Option<T>, TableError> {
    match records.load(key) {
        Err(TableError::Record { .. }) => Ok(None),
        other => other,
    }
}

impl InodeFix {
    fn applied(self, mut inode: Inode) -> Inode {
        inode.nlink = self.nlink.unwrap_or(inode.nlink);
        inode.entries = self.entries.unwrap_or(inode.entries);
        inode.allocated = self.allocated.unwrap_or(inode.allocated);
        inode.next_cookie = self.next_cookie.unwrap_or(inode.next_cookie);
        if let Some((parent, name)) = self.place {
            (inode.parent, inode.name) = (parent, name);
        }
        if let Some((count, bytes, names)) = self.xattrs {
            (inode.xattr_count, inode.xattr_bytes, inode.xattr_name_bytes) = (count, bytes, names);
        }
        inode
    }
}

impl ChunkFix {
    /// What the record must be.
    pub(super) fn applied(self, chunk: &Chunk) -> Chunk {
        Chunk {
            references: self.references,
            live_bytes: self.bytes,
            ..chunk.clone()
        }
    }

    fn changes(self, records: &impl Read, id: ChunkId) -> Result<Vec<RepairRecord>, TableError> {
        let mut changes = Vec::new();
        let key = Key::Chunk { id };
        if let Some(chunk) = readable::<Chunk>(records, &key)? {
            let right = self.applied(&chunk);
            changes.push(RepairRecord {
                expected: records.bytes(&key.encode())?,
                key: Bytes::copy_from_slice(&key.encode()),
                value: Some(encode(&right)),
            });
            let stamp = chunk.stamp;
            let garbage = (right.references == 0).then(|| encode(&Garbage { stamp }));
            let sparse = right.is_sparse().then(|| encode(&Sparse { stamp }));
            for (mark, value) in [(Key::Garbage { id }, garbage), (Key::Sparse { id }, sparse)] {
                let key = Bytes::copy_from_slice(&mark.encode());
                let expected = records.bytes(&mark.encode())?;
                if expected.is_some() != value.is_some() {
                    changes.push(RepairRecord {
                        key,
                        expected,
                        value,
                    });
                }
            }
        }
        Ok(changes)
    }
}
