//! Log entries as bytes **\[format\]**: a version byte, then `time, origin, op`; an op is a byte that
//! names it and its fields in the order below.
//!
//! Data of `Write`, `Append` and `Publish` stands in the entry as it is. Decoding gives slices of the payload, so
//! the place of data in the entry, by which extents name it, is the place of the slice in the payload.

use bytes::Bytes;

use super::codec::{DecodeError, decode, encode_sized, wire_enum, wire_struct};
use super::codec::{Reader, Wire};
use super::op::{
    DestageChunk, DestageMove, Entry, Expected, LockMode, MemberChange, Op, Openers, Origin,
    Publish, PublishContent, Receipt, RemoveObject, RepackMove, RepairCounters, RepairRecord,
    RepairUsage, SetTime, WritePiece, WriteSource,
};

impl Entry {
    /// The payload of this entry.
    pub fn encode(&self) -> Bytes {
        encode_sized(self, 128 + self.op.data_bytes())
    }

    /// Reads a payload. Data in it is not copied.
    ///
    /// # Errors
    /// The payload is no entry, or one of a newer format.
    pub fn decode(payload: Bytes) -> Result<Entry, DecodeError> {
        decode(payload)
    }
}

impl Op {
    /// Bytes of file content that ride in the entry.
    pub fn data_bytes(&self) -> usize {
        match self {
            Op::Write { pieces, .. } => pieces
                .iter()
                .map(|piece| match &piece.source {
                    WriteSource::Data(bytes) => bytes.len() + 16,
                    WriteSource::Chunk { receipts, .. } => 64 + receipts.len() * 16,
                })
                .sum(),
            Op::Append { data, .. } => data.len(),
            Op::Publish {
                publish:
                    Publish {
                        content: PublishContent::Data { data },
                        ..
                    },
            } => data.len(),
            _ => 0,
        }
    }
}

impl Wire for WriteSource {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            WriteSource::Data(bytes) => {
                to.push(1);
                bytes.put(to);
            }
            WriteSource::Chunk {
                id,
                chunk_length,
                offset,
                receipts,
            } => {
                to.push(2);
                id.put(to);
                chunk_length.put(to);
                offset.put(to);
                receipts.put(to);
            }
        }
    }

    fn take(from: &mut Reader) -> Result<WriteSource, DecodeError> {
        match from.byte()? {
            1 => Bytes::take(from).map(WriteSource::Data),
            2 => Ok(WriteSource::Chunk {
                id: Wire::take(from)?,
                chunk_length: Wire::take(from)?,
                offset: Wire::take(from)?,
                receipts: Wire::take(from)?,
            }),
            _ => Err(DecodeError::Range("source")),
        }
    }
}

impl Wire for SetTime {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            SetTime::Now => to.push(1),
            SetTime::At(time) => {
                to.push(2);
                time.put(to);
            }
        }
    }

    fn take(from: &mut Reader) -> Result<SetTime, DecodeError> {
        match from.byte()? {
            1 => Ok(SetTime::Now),
            2 => Wire::take(from).map(SetTime::At),
            _ => Err(DecodeError::Range("time")),
        }
    }
}

wire_enum!(LockMode { 1 => Read, 2 => Write, 3 => Unlock });
wire_struct!(Entry { time, origin, op });
wire_struct!(Origin {
    session,
    sequence,
    acknowledged
});
wire_struct!(Receipt {
    node,
    incarnation,
    epoch
});
wire_struct!(WritePiece {
    offset,
    length,
    source
});
wire_struct!(DestageChunk {
    id,
    length,
    receipts
});
wire_struct!(DestageMove {
    ino,
    offset,
    length,
    log_index,
    log_offset,
    chunk,
    chunk_offset
});
wire_struct!(RepackMove {
    ino,
    offset,
    length,
    source,
    source_offset,
    chunk,
    chunk_offset
});
wire_struct!(RepairRecord {
    key,
    expected,
    value
});
wire_enum!(MemberChange { 1 => Remove, 2 => Rename { name }, 3 => Forget });
wire_struct!(RepairCounters {
    next_ino,
    chunks,
    garbage,
    undestaged_bytes
});
wire_struct!(RepairUsage {
    project,
    bytes,
    inodes
});
wire_enum!(Expected { 1 => Anything, 2 => Absent, 3 => Exactly { ino, stamp } });
wire_enum!(PublishContent { 1 => Data { data }, 2 => Staged { ino }, 3 => Directory });
wire_struct!(Openers { ino, sessions });
wire_struct!(Publish {
    root,
    key,
    content,
    permissions,
    directory_permissions,
    uid,
    gid,
    s3,
    mtime,
    expected,
    openers
});
wire_struct!(RemoveObject {
    root,
    key,
    expected,
    openers
});
wire_enum!(Op {
    1 => OpenSession { frontend, place, pid, access, member },
    2 => CloseSession { session, expired },
    3 => Create { parent, name, kind, permissions, umask, uid, gid, rdev, symlink },
    4 => Link { ino, parent, name },
    5 => Unlink { parent, name, directory, keep_open, openers },
    6 => Rename {
        parent, name, new_parent, new_name, no_replace, exchange, keep_open, openers,
    },
    7 => SetAttr { ino, permissions, uid, gid, size, atime, mtime, ctime, kill_suid },
    8 => SetXattr { ino, name, value, create, replace, keep_setgid },
    9 => RemoveXattr { ino, name },
    10 => Write { ino, pieces, mtime, kill_suid, expected_content_version },
    11 => Append { ino, data, kill_suid },
    12 => Fallocate { ino, mode, offset, length },
    13 => CopyRange { source, source_offset, target, target_offset, length },
    14 => SetLock { ino, owner, mode, start, end, pid },
    15 => Release { session, inos },
    16 => Destage { chunks, moves },
    17 => NodeUp { node, incarnation },
    18 => Sweep { node, swept },
    19 => DropChunks { node, ids },
    20 => Reap { ino, extents },
    21 => FeatureLevel { level },
    22 => Repack { sources, chunks, moves },
    23 => Repair { records, counters, usage },
    24 => TakeOver { session, pid },
    25 => MakeSystemRoot,
    26 => Stage { root, permissions, uid, gid },
    27 => Publish { publish },
    28 => SetObject { ino, expected_stamp, s3, silent },
    29 => RemoveObject { remove },
    30 => IssueToken { kind, restrictions, ttl_s },
    31 => Join { token, kind, name, public_key },
    32 => ChangeMember { number, change },
    33 => Lead,
    34 => Voters { configs, learners },
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::codec::place_in;
    use proptest::prelude::*;
    use wolfdisk_common::ids::{
        ChunkId, Incarnation, Ino, NodeNumber, PutEpoch, Sequence, SessionId,
    };
    use wolfdisk_common::time::Timestamp;

    proptest! {
        #[test]
        fn a_write_comes_back_with_its_data_in_place(
            data in proptest::collection::vec(any::<u8>(), 1..300), ino in any::<u64>(),
            offset in any::<u64>(), id in any::<[u8; 32]>(), epoch in any::<u64>(),
        ) {
            let receipts = vec![Receipt {
                node: NodeNumber(1), incarnation: Incarnation(2), epoch: PutEpoch(epoch),
            }];
            let entry = Entry {
                time: Timestamp { seconds: -1, nanos: 5 },
                origin: Some(Origin {
                    session: SessionId(1), sequence: Sequence(2), acknowledged: Sequence(1),
                }),
                op: Op::Write {
                    ino: Ino(ino),
                    pieces: vec![
                        WritePiece {
                            offset,
                            length: 9,
                            source: WriteSource::Chunk {
                                id: ChunkId(id), chunk_length: 9, offset: 0, receipts,
                            },
                        },
                        WritePiece {
                            offset,
                            length: data.len() as u64,
                            source: WriteSource::Data(Bytes::from(data.clone())),
                        },
                    ],
                    mtime: SetTime::Now,
                    kill_suid: true,
                    expected_content_version: None,
                },
            };
            let payload = entry.encode();
            let back = Entry::decode(payload.clone()).expect("an entry");
            prop_assert_eq!(&back, &entry);
            let Op::Write { pieces, .. } = back.op else { panic!("a write") };
            let WriteSource::Data(slice) = &pieces[1].source else { panic!("data") };
            let place = place_in(&payload, slice).expect("a place") as usize;
            prop_assert_eq!(&payload[place..place + data.len()], &data[..]);
        }

        #[test]
        fn any_bytes_are_an_entry_or_an_error(mut bytes in any::<Vec<u8>>(), tag in 0u8..37) {
            let _ = Entry::decode(Bytes::from(bytes.clone()));
            let mut head = vec![1, 0, 0, 0, tag];
            head.append(&mut bytes);
            let _ = Entry::decode(Bytes::from(head));
        }
    }
}
