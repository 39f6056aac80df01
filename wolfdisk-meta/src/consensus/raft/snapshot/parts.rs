//! The parts of a snapshot that is sent, made one after the other as they are asked for.
//!
//! One that was asked for before is made again: the hash at the end is over everything, so a transfer that goes on where it
//! stopped has what came before read once more, here and not over the network.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use uuid::Uuid;
use wolfdisk_common::ids::{Incarnation, LogIndex};

use super::SnapshotParts;
use super::error::SnapshotError;
use super::format::{BODY_MAX_BYTES, Head};
use super::sending::Frozen;
use crate::consensus::raft::Names;
use crate::consensus::raft::store::RaftStore;
use crate::export::format::{Header, RECORDS_BYTES};
use crate::export::writer::Writer;
use crate::index::KeyBytes;
use crate::index::key;
use crate::index::records::Read;

/// See the module.
pub struct Parts<C: Names> {
    frozen: Arc<Frozen<C>>,
    store: RaftStore<C>,
    volume: Uuid,
    cursor: Mutex<Cursor>,
}

/// How far the parts have been made.
struct Cursor {
    writer: Writer,
    /// Written and in no part yet.
    pending: BytesMut,
    stage: Stage,
    /// The number of the next part, and the one before it.
    next: u64,
    last: Option<Bytes>,
}

/// What is to be written next.
enum Stage {
    Entry(LogIndex),
    /// From this key on.
    Records(KeyBytes),
    Ended,
}

impl<C: Names> Parts<C> {
    pub(super) fn new(frozen: Arc<Frozen<C>>, store: RaftStore<C>, volume: Uuid) -> Parts<C> {
        let cursor = Mutex::new(Cursor::new(&frozen, volume));
        Parts {
            frozen,
            store,
            volume,
            cursor,
        }
    }

    fn read(&self, number: u64) -> Result<Option<Bytes>, SnapshotError> {
        let mut cursor = self.cursor.lock();
        if number + 1 == cursor.next
            && let Some(last) = &cursor.last
        {
            return Ok(Some(last.clone()));
        }
        if number < cursor.next {
            *cursor = Cursor::new(&self.frozen, self.volume);
        }
        while cursor.next < number {
            if self.advance(&mut cursor)?.is_none() {
                return Ok(None);
            }
        }
        self.advance(&mut cursor)
    }

    /// Makes the next part.
    fn advance(&self, cursor: &mut Cursor) -> Result<Option<Bytes>, SnapshotError> {
        while cursor.pending.len() <= BODY_MAX_BYTES && !matches!(cursor.stage, Stage::Ended) {
            let written = self.write(cursor);
            if written.is_err() {
                // What was written of it may not be all.
                *cursor = Cursor::new(&self.frozen, self.volume);
            }
            written?;
            let written = cursor.writer.take();
            cursor.pending.extend_from_slice(&written);
        }
        if cursor.pending.is_empty() {
            return Ok(None);
        }
        let body = cursor.pending.len().min(BODY_MAX_BYTES);
        let body = cursor.pending.split_to(body);
        let head = Head {
            id: self.frozen.id,
            volume: self.volume,
            number: cursor.next,
            room_bytes: self.frozen.room_bytes,
            is_last: cursor.pending.is_empty(),
        };
        let part = head.encode(&body);
        cursor.next += 1;
        cursor.last = Some(part.clone());
        Ok(Some(part))
    }

    /// Writes a piece of what is to come.
    fn write(&self, cursor: &mut Cursor) -> Result<(), SnapshotError> {
        let (writer, stage) = (&mut cursor.writer, &mut cursor.stage);
        match stage {
            Stage::Entry(index) if *index <= self.frozen.applied.index => {
                let (term, payload) = self.store.read_entry(*index)?;
                writer.entry(*index, term, &payload);
                index.0 += 1;
            }
            Stage::Entry(_) => *stage = Stage::Records(key::everything().0),
            Stage::Records(from) => {
                let range = (from.clone(), key::everything().1);
                let mut last = None;
                self.frozen.checkpoint.range(&range, &mut |key, value| {
                    writer.record(key, value);
                    let enough = writer.finished_bytes() >= RECORDS_BYTES;
                    if enough {
                        last = Some(key::after(key));
                    }
                    !enough
                })?;
                match last {
                    Some(last) => *from = last,
                    None => {
                        writer.finish();
                        *stage = Stage::Ended;
                    }
                }
            }
            Stage::Ended => {}
        }
        Ok(())
    }
}

impl Cursor {
    fn new<C: Names>(frozen: &Frozen<C>, volume: Uuid) -> Cursor {
        // Nothing in it tells who made it and when: the same checkpoint gives the same parts.
        let header = Header {
            volume,
            version: frozen.applied.version,
            index: frozen.applied.index,
            term: frozen.applied.term,
            incarnation: Incarnation(0),
            created_s: 0,
        };
        Cursor {
            writer: Writer::new(&header),
            pending: BytesMut::new(),
            stage: Stage::Entry(frozen.first),
            next: 0,
            last: None,
        }
    }
}

impl<C: Names> SnapshotParts for Parts<C> {
    fn id(&self) -> [u8; 16] {
        self.frozen.id
    }

    fn part(&self, number: u64) -> io::Result<Option<Bytes>> {
        self.frozen.used();
        let part = self.read(number);
        self.frozen.used();
        Ok(part?)
    }
}
