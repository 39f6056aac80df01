//! The keys of the index **\[format\]**.
//!
//! A key is one tag byte, then its parts: integers big-endian, so that byte order is logical order; at
//! most one part of variable length (a name), always last, as it is. Keys therefore sort by kind, then
//! by their parts, and every listing is one scan of a range.
//!
//! An extent is filed under the offset where it *ends* (exclusive). The first key above an offset is
//! then the extent that covers it, if any does: one seek forward, which is all that the table offers,
//! with no bound on how long an extent may be.

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, Ino, LogIndex, NodeNumber, SessionId};

use super::codec::{DecodeError, Reader};
use super::key_bytes::KeyBytes;

mod ranges;

pub use ranges::*;

/// What a record is filed under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the parts are named after what they hold")]
pub enum Key {
    /// The one record of counters.
    Counters,
    /// The one record of the volume's identity.
    Volume,
    /// An inode.
    Inode { ino: Ino },
    /// A name in a directory.
    Dirent { parent: Ino, name: Bytes },
    /// The same name by its cookie.
    Cookie { parent: Ino, cookie: u64 },
    /// One name of a file that has several.
    Link { ino: Ino, parent: Ino, name: Bytes },
    /// A piece of a file's content, by where it ends.
    Extent { ino: Ino, end: u64 },
    /// An extended attribute.
    Xattr { ino: Ino, name: Bytes },
    /// A chunk.
    Chunk { id: ChunkId },
    /// A chunk without references that some node may still hold.
    Garbage { id: ChunkId },
    /// The usage of a project.
    Usage { project: u32 },
    /// A session.
    Session { session: SessionId },
    /// A kept answer.
    Answer { session: SessionId, slot: u16 },
    /// A locked range.
    Lock {
        ino: Ino,
        session: SessionId,
        owner: u64,
        start: u64,
    },
    /// A session has locks on an inode.
    SessionLock { session: SessionId, ino: Ino },
    /// An inode without links is held open by a session.
    Orphan { ino: Ino, session: SessionId },
    /// The same, by session.
    SessionOrphan { session: SessionId, ino: Ino },
    /// A node.
    Node { node: NodeNumber },
    /// A piece of content that is still in the log, in log order.
    Undestaged {
        log_index: LogIndex,
        log_offset: u32,
        ino: Ino,
        end: u64,
    },
    /// An inode whose extents are deleted in steps.
    Reap { ino: Ino },
    /// A chunk of which little is left.
    Sparse { id: ChunkId },
    /// A member of the cluster, by its number.
    Member { number: u64 },
    /// A token that lets somebody become the member of the same number.
    Token { number: u64 },
    /// The one record of who votes on the log.
    Voters,
}

const COUNTERS: u8 = 1;
const VOLUME: u8 = 2;
const INODE: u8 = 3;
const DIRENT: u8 = 4;
const COOKIE: u8 = 5;
const LINK: u8 = 6;
const EXTENT: u8 = 7;
const XATTR: u8 = 8;
const CHUNK: u8 = 9;
const GARBAGE: u8 = 10;
const USAGE: u8 = 11;
const SESSION: u8 = 12;
const ANSWER: u8 = 13;
const LOCK: u8 = 14;
const SESSION_LOCK: u8 = 15;
const ORPHAN: u8 = 16;
const SESSION_ORPHAN: u8 = 17;
const NODE: u8 = 18;
const UNDESTAGED: u8 = 19;
const REAP: u8 = 20;
const SPARSE: u8 = 21;
const MEMBER: u8 = 22;
const TOKEN: u8 = 23;
const VOTERS: u8 = 24;

impl Key {
    /// The key's bytes.
    pub fn encode(&self) -> KeyBytes {
        let long = u64::to_be_bytes;
        match self {
            Key::Counters => KeyBytes::new(&[COUNTERS]),
            Key::Volume => KeyBytes::new(&[VOLUME]),
            Key::Inode { ino } => KeyBytes::concat(&[&[INODE], &long(ino.0)]),
            Key::Dirent { parent, name } => KeyBytes::concat(&[&[DIRENT], &long(parent.0), name]),
            Key::Cookie { parent, cookie } => {
                KeyBytes::concat(&[&[COOKIE], &long(parent.0), &long(*cookie)])
            }
            Key::Link { ino, parent, name } => {
                KeyBytes::concat(&[&[LINK], &long(ino.0), &long(parent.0), name])
            }
            Key::Extent { ino, end } => KeyBytes::concat(&[&[EXTENT], &long(ino.0), &long(*end)]),
            Key::Xattr { ino, name } => KeyBytes::concat(&[&[XATTR], &long(ino.0), name]),
            Key::Chunk { id } => KeyBytes::concat(&[&[CHUNK], &id.0]),
            Key::Garbage { id } => KeyBytes::concat(&[&[GARBAGE], &id.0]),
            Key::Usage { project } => KeyBytes::concat(&[&[USAGE], &project.to_be_bytes()]),
            Key::Session { session } => KeyBytes::concat(&[&[SESSION], &long(session.0)]),
            Key::Answer { session, slot } => {
                KeyBytes::concat(&[&[ANSWER], &long(session.0), &slot.to_be_bytes()])
            }
            Key::Lock {
                ino,
                session,
                owner,
                start,
            } => KeyBytes::concat(&[
                &[LOCK],
                &long(ino.0),
                &long(session.0),
                &long(*owner),
                &long(*start),
            ]),
            Key::SessionLock { session, ino } => {
                KeyBytes::concat(&[&[SESSION_LOCK], &long(session.0), &long(ino.0)])
            }
            Key::Orphan { ino, session } => {
                KeyBytes::concat(&[&[ORPHAN], &long(ino.0), &long(session.0)])
            }
            Key::SessionOrphan { session, ino } => {
                KeyBytes::concat(&[&[SESSION_ORPHAN], &long(session.0), &long(ino.0)])
            }
            Key::Node { node } => KeyBytes::concat(&[&[NODE], &node.0.to_be_bytes()]),
            Key::Undestaged {
                log_index,
                log_offset,
                ino,
                end,
            } => KeyBytes::concat(&[
                &[UNDESTAGED],
                &long(log_index.0),
                &log_offset.to_be_bytes(),
                &long(ino.0),
                &long(*end),
            ]),
            Key::Reap { ino } => KeyBytes::concat(&[&[REAP], &long(ino.0)]),
            Key::Sparse { id } => KeyBytes::concat(&[&[SPARSE], &id.0]),
            Key::Member { number } => KeyBytes::concat(&[&[MEMBER], &long(*number)]),
            Key::Token { number } => KeyBytes::concat(&[&[TOKEN], &long(*number)]),
            Key::Voters => KeyBytes::new(&[VOTERS]),
        }
    }

    /// Reads a key back.
    ///
    /// # Errors
    /// The bytes are no key.
    pub fn decode(bytes: &[u8]) -> Result<Key, DecodeError> {
        let mut from = Reader::new(Bytes::copy_from_slice(bytes));
        let key = match from.byte()? {
            COUNTERS => Key::Counters,
            VOLUME => Key::Volume,
            VOTERS => Key::Voters,
            INODE => Key::Inode {
                ino: ino(&mut from)?,
            },
            DIRENT => Key::Dirent {
                parent: ino(&mut from)?,
                name: from.rest(),
            },
            COOKIE => Key::Cookie {
                parent: ino(&mut from)?,
                cookie: long(&mut from)?,
            },
            LINK => Key::Link {
                ino: ino(&mut from)?,
                parent: ino(&mut from)?,
                name: from.rest(),
            },
            EXTENT => Key::Extent {
                ino: ino(&mut from)?,
                end: long(&mut from)?,
            },
            XATTR => Key::Xattr {
                ino: ino(&mut from)?,
                name: from.rest(),
            },
            CHUNK => Key::Chunk {
                id: ChunkId(from.array()?),
            },
            GARBAGE => Key::Garbage {
                id: ChunkId(from.array()?),
            },
            USAGE => Key::Usage {
                project: short(&mut from)?,
            },
            SESSION => Key::Session {
                session: session(&mut from)?,
            },
            ANSWER => Key::Answer {
                session: session(&mut from)?,
                slot: u16::from_be_bytes(from.array()?),
            },
            LOCK => Key::Lock {
                ino: ino(&mut from)?,
                session: session(&mut from)?,
                owner: long(&mut from)?,
                start: long(&mut from)?,
            },
            SESSION_LOCK => Key::SessionLock {
                session: session(&mut from)?,
                ino: ino(&mut from)?,
            },
            ORPHAN => Key::Orphan {
                ino: ino(&mut from)?,
                session: session(&mut from)?,
            },
            SESSION_ORPHAN => Key::SessionOrphan {
                session: session(&mut from)?,
                ino: ino(&mut from)?,
            },
            NODE => Key::Node {
                node: NodeNumber(short(&mut from)?),
            },
            UNDESTAGED => Key::Undestaged {
                log_index: LogIndex(long(&mut from)?),
                log_offset: short(&mut from)?,
                ino: ino(&mut from)?,
                end: long(&mut from)?,
            },
            REAP => Key::Reap {
                ino: ino(&mut from)?,
            },
            SPARSE => Key::Sparse {
                id: ChunkId(from.array()?),
            },
            MEMBER => Key::Member {
                number: long(&mut from)?,
            },
            TOKEN => Key::Token {
                number: long(&mut from)?,
            },
            _ => return Err(DecodeError::Range("key tag")),
        };
        from.finish()?;
        Ok(key)
    }
}

fn long(from: &mut Reader) -> Result<u64, DecodeError> {
    Ok(u64::from_be_bytes(from.array()?))
}

fn short(from: &mut Reader) -> Result<u32, DecodeError> {
    Ok(u32::from_be_bytes(from.array()?))
}

fn ino(from: &mut Reader) -> Result<Ino, DecodeError> {
    long(from).map(Ino)
}

fn session(from: &mut Reader) -> Result<SessionId, DecodeError> {
    long(from).map(SessionId)
}

/// What an encoded key is about, for whoever keeps copies of records.
pub(super) enum Family {
    /// This inode.
    Inode(Ino),
    /// What a project uses.
    Usage,
    /// This session or its answers.
    Session(SessionId),
    /// Nothing of this.
    Other,
}

/// Of which family a key is.
pub(super) fn family(key: &[u8]) -> Family {
    let Some((tag, rest)) = key.split_first() else {
        return Family::Other;
    };
    match (*tag, rest.first_chunk().copied().map(u64::from_be_bytes)) {
        (INODE, Some(ino)) => Family::Inode(Ino(ino)),
        (SESSION | ANSWER, Some(session)) => Family::Session(SessionId(session)),
        (USAGE, _) => Family::Usage,
        _ => Family::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_key() -> impl Strategy<Value = Key> {
        let n = prop_oneof![0u64..4, any::<u64>()];
        let name = proptest::collection::vec(any::<u8>(), 0..6).prop_map(Bytes::from);
        (
            0u8..24,
            n.clone(),
            n.clone(),
            n.clone(),
            n,
            name,
            any::<[u8; 32]>(),
        )
            .prop_map(|(kind, a, b, c, d, name, id)| match kind {
                0 => Key::Counters,
                1 => Key::Volume,
                2 => Key::Inode { ino: Ino(a) },
                3 => Key::Dirent {
                    parent: Ino(a),
                    name,
                },
                4 => Key::Cookie {
                    parent: Ino(a),
                    cookie: b,
                },
                5 => Key::Link {
                    ino: Ino(a),
                    parent: Ino(b),
                    name,
                },
                6 => Key::Extent {
                    ino: Ino(a),
                    end: b,
                },
                7 => Key::Xattr { ino: Ino(a), name },
                8 => Key::Chunk { id: ChunkId(id) },
                9 => Key::Garbage { id: ChunkId(id) },
                10 => Key::Usage { project: a as u32 },
                11 => Key::Session {
                    session: SessionId(a),
                },
                12 => Key::Answer {
                    session: SessionId(a),
                    slot: b as u16,
                },
                13 => Key::Lock {
                    ino: Ino(a),
                    session: SessionId(b),
                    owner: c,
                    start: d,
                },
                14 => Key::SessionLock {
                    session: SessionId(a),
                    ino: Ino(b),
                },
                15 => Key::Orphan {
                    ino: Ino(a),
                    session: SessionId(b),
                },
                16 => Key::SessionOrphan {
                    session: SessionId(a),
                    ino: Ino(b),
                },
                17 => Key::Node {
                    node: NodeNumber(a as u32),
                },
                18 => Key::Undestaged {
                    log_index: LogIndex(a),
                    log_offset: b as u32,
                    ino: Ino(c),
                    end: d,
                },
                19 => Key::Reap { ino: Ino(a) },
                20 => Key::Sparse { id: ChunkId(id) },
                21 => Key::Member { number: a },
                22 => Key::Token { number: a },
                _ => Key::Voters,
            })
    }

    proptest! {
        #[test]
        fn byte_order_is_logical_order(a in any_key(), b in any_key()) {
            prop_assert_eq!(a.encode().cmp(&b.encode()), a.cmp(&b));
        }

        #[test]
        fn keys_come_back_as_they_went(key in any_key()) {
            prop_assert_eq!(Key::decode(&key.encode()), Ok(key));
        }

        #[test]
        fn any_bytes_are_a_key_or_an_error(bytes in any::<Vec<u8>>()) {
            if let Ok(key) = Key::decode(&bytes) {
                prop_assert_eq!(&*key.encode(), &*bytes);
            }
        }
    }

    #[test]
    fn a_prefix_of_all_ones_ends_where_its_tag_ends() {
        let (from, to) = locks(Ino(u64::MAX));
        assert!(from < to);
        assert_eq!(&*to, &[LOCK + 1]);
    }
}
