//! An index over a plain map, with the log and the chunks that its extents name.

use std::collections::BTreeMap;

use bytes::Bytes;
use wolfdisk_common::hash::chunk_id;
use wolfdisk_common::ids::{
    ChunkId, Incarnation, Ino, LogIndex, NodeNumber, PutEpoch, Sequence, SessionId, Term,
};
use wolfdisk_common::name::FileName;
use wolfdisk_common::time::Timestamp;

use crate::index::invariants::check;
use crate::index::op::{
    DestageChunk, DestageMove, Entry, Kind, Op, Origin, Outcome, Receipt, RepackMove, SetTime,
    WritePiece, WriteSource,
};
use crate::index::record::Access;
use crate::index::{Genesis, Index, MapSource};

pub(super) type Plain = BTreeMap<Vec<u8>, Bytes>;

pub(super) const GENESIS: Genesis = Genesis {
    volume_id: [1; 16],
    created: Timestamp {
        seconds: 1,
        nanos: 0,
    },
    uid: 0,
    gid: 0,
};

pub(super) struct World {
    pub index: Index<Plain>,
    pub log: Vec<Bytes>,
    pub chunks: BTreeMap<ChunkId, Vec<u8>>,
    pub session: SessionId,
    pub other: SessionId,
    sequence: u64,
}

pub(super) fn name(text: &str) -> FileName {
    FileName::new(text.as_bytes()).expect("a name")
}

pub(super) fn receipt() -> Receipt {
    Receipt {
        node: NodeNumber(1),
        incarnation: Incarnation(1),
        epoch: PutEpoch(u64::MAX),
    }
}

impl World {
    pub(super) fn new() -> World {
        let index = Index::open(Plain::new(), &GENESIS).expect("an index");
        let mut world = World {
            index,
            log: Vec::new(),
            chunks: BTreeMap::new(),
            session: SessionId(0),
            other: SessionId(0),
            sequence: 0,
        };
        world.session = world.open();
        world.other = world.open();
        world.own(Op::NodeUp {
            node: NodeNumber(1),
            incarnation: Incarnation(1),
        });
        world
    }

    pub(super) fn open(&mut self) -> SessionId {
        let outcome = self.open_for(Access::Shared);
        outcome.answer.session.expect("a session")
    }

    pub(super) fn open_for(&mut self, access: Access) -> Outcome {
        let (frontend, place) = ("test".to_owned(), "here".to_owned());
        self.own(Op::OpenSession {
            frontend,
            place,
            pid: 1,
            access,
            member: 0,
        })
    }

    /// The time of the next entry.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp {
            seconds: 10 + self.log.len() as i64,
            nanos: 0,
        }
    }

    pub(super) fn submit(&mut self, origin: Option<Origin>, op: Op) -> Outcome {
        let payload = Entry {
            time: self.now(),
            origin,
            op,
        }
        .encode();
        self.log.push(payload.clone());
        let index = LogIndex(self.log.len() as u64);
        let outcome = self.index.apply(index, Term(1), payload);
        assert!(self.index.recent().is_true(self.index.records()));
        outcome.expect("applied")
    }

    /// A mutation of the daemon itself.
    pub(super) fn own(&mut self, op: Op) -> Outcome {
        self.submit(None, op)
    }

    /// A mutation of the session, sent twice: the second time it must change nothing.
    pub(super) fn run(&mut self, op: Op) -> Outcome {
        self.sequence += 1;
        let (session, sequence) = (self.session, Sequence(self.sequence));
        let origin = Origin {
            session,
            sequence,
            acknowledged: Sequence(self.sequence - 1),
        };
        let outcome = self.submit(Some(origin), op.clone());
        assert!(!outcome.repeated);
        let before = self.index.records().clone();
        let again = self.submit(Some(origin), op);
        assert!(again.repeated);
        assert_eq!(again.answer, outcome.answer);
        assert_eq!(&before, self.index.records(), "a repeat changed something");
        outcome
    }

    pub(super) fn create(&mut self, parent: Ino, text: &str, kind: Kind) -> Ino {
        let outcome = self.run(create(parent, text, kind));
        assert_eq!(outcome.answer.errno, 0);
        outcome.answer.inodes[0]
    }

    pub(super) fn write(&mut self, ino: Ino, offset: u64, data: &[u8]) -> Outcome {
        self.run(write(
            ino,
            offset,
            WriteSource::Data(data.to_vec().into()),
            data.len() as u64,
        ))
    }

    pub(super) fn write_chunk(&mut self, ino: Ino, offset: u64, data: &[u8]) -> Outcome {
        let id = chunk_id(data);
        self.chunks.insert(id, data.to_vec());
        let chunk_length = data.len() as u32;
        let source = WriteSource::Chunk {
            id,
            chunk_length,
            offset: 0,
            receipts: vec![receipt()],
        };
        self.run(write(ino, offset, source, data.len() as u64))
    }

    /// Packs everything that is in the log into one chunk.
    pub(super) fn destage(&mut self) {
        let ranges = self
            .index
            .undestaged(LogIndex(0), usize::MAX)
            .expect("ranges");
        let mut packed = Vec::new();
        let mut moves = Vec::new();
        for range in ranges {
            let chunk_offset = packed.len() as u32;
            let payload = &self.log[range.log_index.0 as usize - 1];
            let from = range.log_offset as usize;
            packed.extend_from_slice(&payload[from..from + range.length as usize]);
            let (ino, offset, length) = (range.ino, range.offset, range.length);
            let (log_index, log_offset) = (range.log_index, range.log_offset);
            moves.push(DestageMove {
                ino,
                offset,
                length,
                log_index,
                log_offset,
                chunk: 0,
                chunk_offset,
            });
        }
        if packed.is_empty() {
            return;
        }
        let (id, length) = (chunk_id(&packed), packed.len() as u32);
        self.chunks.insert(id, packed);
        let chunks = vec![DestageChunk {
            id,
            length,
            receipts: vec![receipt()],
        }];
        assert_eq!(self.own(Op::Destage { chunks, moves }).answer.errno, 0);
        assert_eq!(self.index.undestaged_bytes(), 0);
        assert_eq!(self.index.first_needed_log_index().expect("read"), None);
    }

    /// Packs what is left of all sparse chunks into one: the mutation that swaps it in.
    pub(super) fn repack(&mut self) -> Option<Op> {
        let wanted = self.index.sparse(None, usize::MAX).expect("sparse chunks");
        let ids: std::collections::HashSet<ChunkId> = wanted.iter().map(|(id, _)| *id).collect();
        let found = self
            .index
            .extents_in((Ino(0), 0), usize::MAX, &|id| ids.contains(id))
            .expect("extents");
        assert!(found.next.is_none());
        let mut sources = Vec::new();
        let mut packed = Vec::new();
        let mut moves = Vec::new();
        for range in found.ranges {
            let source = sources.iter().position(|id| *id == range.chunk);
            let source = source.unwrap_or_else(|| {
                sources.push(range.chunk);
                sources.len() - 1
            });
            let chunk_offset = packed.len() as u32;
            let from = range.chunk_offset as usize;
            packed
                .extend_from_slice(&self.chunks[&range.chunk][from..from + range.length as usize]);
            moves.push(RepackMove {
                ino: range.ino,
                offset: range.offset,
                length: range.length,
                source: source as u32,
                source_offset: range.chunk_offset,
                chunk: 0,
                chunk_offset,
            });
        }
        if packed.is_empty() {
            return None;
        }
        let (id, length) = (chunk_id(&packed), packed.len() as u32);
        self.chunks.insert(id, packed);
        let chunks = vec![DestageChunk {
            id,
            length,
            receipts: vec![receipt()],
        }];
        Some(Op::Repack {
            sources,
            chunks,
            moves,
        })
    }

    /// Frees what nobody refers to.
    pub(super) fn drop_garbage(&mut self) {
        let ids = self.index.garbage(None, usize::MAX).expect("garbage");
        ids.iter().for_each(|id| drop(self.chunks.remove(id)));
        self.own(Op::DropChunks {
            node: NodeNumber(1),
            ids,
        });
    }

    pub(super) fn content(&self, ino: Ino) -> Vec<u8> {
        let map = self
            .index
            .map(ino, 0, u64::MAX, usize::MAX)
            .expect("map")
            .expect("an inode");
        assert_eq!(map.covered_to, map.size);
        let mut content = Vec::new();
        for piece in map.pieces {
            assert_eq!(piece.offset, content.len() as u64);
            let length = piece.length as usize;
            match piece.source {
                MapSource::Chunk {
                    id,
                    chunk_length,
                    offset,
                } => {
                    let chunk = &self.chunks[&id];
                    assert_eq!(chunk.len(), chunk_length as usize);
                    content.extend_from_slice(&chunk[offset as usize..offset as usize + length]);
                }
                MapSource::Log { log_index, offset } => {
                    let payload = &self.log[log_index.0 as usize - 1];
                    content.extend_from_slice(&payload[offset as usize..offset as usize + length]);
                }
                MapSource::Inline(bytes) => content.extend_from_slice(&bytes),
                MapSource::Zero | MapSource::Hole => content.resize(content.len() + length, 0),
            }
        }
        content
    }

    pub(super) fn check(&self) {
        assert_eq!(check(self.index.records()).expect("readable"), Vec::new());
    }

    /// Applies the whole log to an empty index: the state must be the same to the byte.
    pub(super) fn check_replay(&self, restart_at: usize) {
        let mut index = Index::open(Plain::new(), &GENESIS).expect("an index");
        for (at, payload) in self.log.iter().enumerate() {
            if at == restart_at {
                let checkpoint = index.records().clone();
                index = Index::open(checkpoint, &GENESIS).expect("an index");
            }
            index
                .apply(LogIndex(at as u64 + 1), Term(1), payload.clone())
                .expect("applied");
        }
        assert_eq!(index.records(), self.index.records());
    }
}

pub(super) fn create(parent: Ino, text: &str, kind: Kind) -> Op {
    let symlink = if kind == Kind::Symlink {
        Bytes::from_static(b"target")
    } else {
        Bytes::new()
    };
    Op::Create {
        parent,
        name: name(text),
        kind,
        permissions: 0o755,
        umask: 0o022,
        uid: 1000,
        gid: 1000,
        rdev: 0,
        symlink,
    }
}

pub(super) fn write(ino: Ino, offset: u64, source: WriteSource, length: u64) -> Op {
    let pieces = vec![WritePiece {
        offset,
        length,
        source,
    }];
    let (mtime, kill_suid) = (SetTime::Now, false);
    Op::Write {
        ino,
        pieces,
        mtime,
        kill_suid,
        expected_content_version: None,
    }
}

pub(super) fn unlink(parent: Ino, text: &str, directory: bool) -> Op {
    Op::Unlink {
        parent,
        name: name(text),
        directory,
        keep_open: false,
        openers: Vec::new(),
    }
}

pub(super) fn truncate(ino: Ino, size: u64) -> Op {
    Op::SetAttr {
        ino,
        permissions: None,
        uid: None,
        gid: None,
        size: Some(size),
        atime: None,
        mtime: None,
        ctime: None,
        kill_suid: false,
    }
}
