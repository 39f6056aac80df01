//! Between the wire's messages and our own types.

use wolfdisk_common::ids::{ChunkId, Ino, Version};
use wolfdisk_common::limits::{BLOCK_SIZE_BYTES, FILE_SIZE_MAX_BYTES};
use wolfdisk_common::time::Timestamp;
use wolfdisk_proto::v1;

use crate::data::pieces::{Piece, Source};
use crate::error::{Error, Result};
use crate::lock::{LockKind, LockRequest};
use crate::object::Object;
use crate::types::{Attr, FileKind, SetAttr, SetTime};

/// Attributes as they came in an answer that must carry them.
pub(crate) fn attr(attr: Option<v1::Attr>) -> Result<Attr> {
    let attr = attr.ok_or(Error::Malformed("attributes are missing"))?;
    let kind = FileKind::from_mode(attr.mode).ok_or(Error::Malformed("a file type"))?;
    // All arithmetic with sizes and places relies on this.
    let blocks_max = FILE_SIZE_MAX_BYTES.next_multiple_of(BLOCK_SIZE_BYTES as u64);
    if attr.size > FILE_SIZE_MAX_BYTES || attr.allocated > blocks_max {
        return Err(Error::Malformed("a size"));
    }
    let time = |seconds, nanos| Timestamp { seconds, nanos };
    Ok(Attr {
        ino: Ino(attr.ino),
        kind,
        permissions: attr.mode & 0o7777,
        uid: attr.uid,
        gid: attr.gid,
        nlink: attr.nlink,
        size: attr.size,
        allocated: attr.allocated,
        atime: time(attr.atime_s, attr.atime_ns),
        mtime: time(attr.mtime_s, attr.mtime_ns),
        ctime: time(attr.ctime_s, attr.ctime_ns),
        btime: time(attr.btime_s, attr.btime_ns),
        rdev: attr.rdev,
        content_version: Version(attr.content_version),
        parent: Ino(attr.parent),
        has_xattr: attr.has_xattr,
        symlink: attr.symlink,
        attr_version: Version(attr.attr_version),
    })
}

/// An object as it came in an answer that must carry it.
pub(crate) fn object(object: Option<v1::Object>) -> Result<Object> {
    let object = object.ok_or(Error::Malformed("an object is missing"))?;
    Ok(Object {
        attr: attr(object.attr)?,
        s3: object.s3,
        s3_version: Version(object.s3_version),
    })
}

/// The object that was published, or its inode if it is gone since.
pub(crate) fn published(
    found: Option<v1::Object>,
    changed: &[u64],
) -> Result<std::result::Result<Object, Ino>> {
    let ino = changed.first().copied().map(Ino);
    let ino = ino.ok_or(Error::Malformed("an object without a number"))?;
    match found {
        None => Ok(Err(ino)),
        found => match object(found)? {
            object if object.attr.ino == ino => Ok(Ok(object)),
            _ => Err(Error::Malformed("another object")),
        },
    }
}

/// Pieces of a map; they must be in order and without gaps, as the protocol says.
pub(crate) fn pieces(reply: &v1::MapReply) -> Result<Vec<Piece>> {
    let mut at = reply.offset;
    let mut pieces = Vec::with_capacity(reply.pieces.len());
    for piece in &reply.pieces {
        let source = match &piece.source {
            Some(v1::piece::Source::Data(data)) if data.len() as u64 == piece.length => {
                Source::Data(data.clone())
            }
            Some(v1::piece::Source::Chunk(span)) if lies_within(span, piece.length) => {
                let id =
                    ChunkId::from_slice(&span.id).map_err(|_| Error::Malformed("a chunk id"))?;
                Source::Chunk {
                    id,
                    offset: span.offset,
                }
            }
            Some(v1::piece::Source::Hole(hole)) => Source::Hole {
                allocated: hole.allocated,
            },
            Some(v1::piece::Source::Data(_) | v1::piece::Source::Chunk(_)) | None => {
                return Err(Error::Malformed("a piece"));
            }
        };
        if piece.offset != at || piece.length == 0 {
            return Err(Error::Malformed("pieces with a gap"));
        }
        at = at
            .checked_add(piece.length)
            .filter(|end| *end <= FILE_SIZE_MAX_BYTES)
            .ok_or(Error::Malformed("a piece"))?;
        pieces.push(Piece {
            offset: piece.offset,
            length: piece.length,
            source,
        });
    }
    Ok(pieces)
}

/// So many bytes of the chunk are there.
fn lies_within(span: &v1::ChunkSpan, length: u64) -> bool {
    let end = u64::from(span.offset).checked_add(length);
    end.is_some_and(|end| end <= u64::from(span.chunk_length))
}

/// A time to set.
pub(crate) fn time(time: SetTime) -> v1::Time {
    match time {
        SetTime::Now => v1::Time {
            now: true,
            ..v1::Time::default()
        },
        SetTime::At(at) => v1::Time {
            seconds: at.seconds,
            nanos: at.nanos,
            now: false,
        },
    }
}

/// Attributes to change.
pub(crate) fn set_attr(ino: Ino, change: &SetAttr) -> v1::SetAttr {
    v1::SetAttr {
        ino: ino.0,
        mode: change.permissions.map(|permissions| permissions & 0o7777),
        uid: change.uid,
        gid: change.gid,
        size: change.size,
        atime: change.atime.map(time),
        mtime: change.mtime.map(time),
        ctime: change.ctime.map(time),
        kill_suid: change.kill_suid,
    }
}

/// A lock as it is asked for.
pub(crate) fn set_lock(ino: Ino, lock: &LockRequest, wait_ms: u32) -> v1::SetLock {
    let kind = match lock.kind {
        LockKind::Read => v1::set_lock::Type::Read,
        LockKind::Write => v1::set_lock::Type::Write,
        LockKind::Unlock => v1::set_lock::Type::Unlock,
    };
    v1::SetLock {
        ino: ino.0,
        owner: lock.owner,
        r#type: kind.into(),
        start: lock.start,
        end: lock.end,
        pid: lock.pid,
        wait_ms,
    }
}

/// A lock that somebody holds.
pub(crate) fn held_lock(holder: &v1::SetLock, same_session: bool) -> LockRequest {
    let kind = match holder.r#type() {
        v1::set_lock::Type::Read => LockKind::Read,
        v1::set_lock::Type::Write => LockKind::Write,
        v1::set_lock::Type::Unlock => LockKind::Unlock,
    };
    let pid = if same_session { holder.pid } else { 0 };
    LockRequest {
        owner: holder.owner,
        kind,
        start: holder.start,
        end: holder.end,
        pid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(offset: u64, length: u64, source: v1::piece::Source) -> v1::MapReply {
        v1::MapReply {
            offset,
            pieces: vec![v1::Piece {
                offset,
                length,
                source: Some(source),
            }],
            ..v1::MapReply::default()
        }
    }

    #[test]
    fn a_piece_lies_in_its_chunk_and_below_the_end_of_all_files() {
        let chunk = |offset| {
            v1::piece::Source::Chunk(v1::ChunkSpan {
                id: vec![7; 32].into(),
                offset,
                chunk_length: 4096,
                ..v1::ChunkSpan::default()
            })
        };
        let hole = || v1::piece::Source::Hole(v1::Hole { allocated: false });
        assert!(pieces(&reply(0, 4096, chunk(0))).is_ok());
        assert!(pieces(&reply(0, 4096, chunk(1))).is_err());
        assert!(pieces(&reply(0, u64::MAX, chunk(1))).is_err());
        assert!(pieces(&reply(0, 1, chunk(u32::MAX))).is_err());
        let last = FILE_SIZE_MAX_BYTES - 1;
        assert!(pieces(&reply(last, 1, hole())).is_ok());
        assert!(pieces(&reply(last, 2, hole())).is_err());
        assert!(pieces(&reply(u64::MAX, 2, hole())).is_err());
    }

    #[test]
    fn a_size_is_one_that_a_file_can_have() {
        let of = |size, allocated| {
            attr(Some(v1::Attr {
                mode: 0o100_644,
                size,
                allocated,
                ..v1::Attr::default()
            }))
        };
        assert!(of(FILE_SIZE_MAX_BYTES, FILE_SIZE_MAX_BYTES + 1).is_ok());
        assert!(of(FILE_SIZE_MAX_BYTES + 1, 0).is_err());
        assert!(of(0, u64::MAX).is_err());
    }
}
