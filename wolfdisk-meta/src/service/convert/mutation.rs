//! Mutations that arrive.

use std::time::Duration;

use bytes::Bytes;
use wolfdisk_common::ids::{
    ChunkId, Incarnation, NodeNumber, PutEpoch, Sequence, SessionId, Version,
};
use wolfdisk_common::limits::{
    CHUNK_SIZE_MAX_BYTES, FILE_SIZE_MAX_BYTES, SYMLINK_MAX_BYTES, XATTR_NAME_MAX_BYTES,
    XATTR_VALUE_MAX_BYTES,
};
use wolfdisk_common::time::Timestamp;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::mutate_request::Op as Wire;
use wolfdisk_proto::v1::write_piece::Source;

use super::{ino, name};
use crate::index::op::{Kind, LockMode, Op, Origin, Receipt, SetTime, WritePiece, WriteSource};
use crate::limits;

/// A mutation that may be proposed.
#[derive(Clone, Debug)]
pub struct Mutation {
    /// Who asks, and its number.
    pub origin: Origin,
    /// What to do. Who else may have a victim open is not known here.
    pub op: Op,
    /// Answer when it is on stable storage.
    pub durable: bool,
    /// The inode made or removed is open at the asking session.
    pub keep_open: bool,
    /// How long a lock may wait; none: it may not.
    pub lock_wait: Option<Duration>,
}

/// Checks a mutation.
///
/// # Errors
/// `Errno` where an application may have caused it, `Invalid` where only a broken front-end can.
pub fn mutation(request: v1::MutateRequest) -> Result<Mutation, Failure> {
    let wire = request
        .op
        .ok_or_else(|| Failure::Invalid("a mutation without content".into()))?;
    if request.sequence == 0 {
        return Err(Failure::Invalid("sequences begin at 1".into()));
    }
    let lock_wait = match &wire {
        Wire::Lock(lock) if lock.wait_ms > 0 => Some(Duration::from_millis(lock.wait_ms.into())),
        _ => None,
    };
    let origin = Origin {
        session: SessionId(request.session),
        sequence: Sequence(request.sequence),
        acknowledged: Sequence(request.acknowledged),
    };
    let (durable, keep_open) = (request.durable, request.keep_open);
    Ok(Mutation {
        origin,
        op: op(wire, keep_open)?,
        durable,
        keep_open,
        lock_wait,
    })
}

fn op(wire: Wire, keep_open: bool) -> Result<Op, Failure> {
    Ok(match wire {
        Wire::Create(create) => create_op(create)?,
        Wire::Link(link) => {
            let (ino, parent) = (ino(link.ino)?, ino(link.parent)?);
            Op::Link {
                ino,
                parent,
                name: name(&link.name)?,
            }
        }
        Wire::Unlink(unlink) => Op::Unlink {
            parent: ino(unlink.parent)?,
            name: name(&unlink.name)?,
            directory: unlink.directory,
            keep_open,
            openers: Vec::new(),
        },
        Wire::Rename(rename) => {
            if rename.no_replace && rename.exchange {
                return Err(Failure::Errno(libc::EINVAL));
            }
            Op::Rename {
                parent: ino(rename.parent)?,
                name: name(&rename.name)?,
                new_parent: ino(rename.new_parent)?,
                new_name: name(&rename.new_name)?,
                no_replace: rename.no_replace,
                exchange: rename.exchange,
                keep_open,
                openers: Vec::new(),
            }
        }
        Wire::Setattr(set) => set_attr(set)?,
        Wire::Setxattr(set) => set_xattr(set)?,
        Wire::Removexattr(remove) => Op::RemoveXattr {
            ino: ino(remove.ino)?,
            name: xattr_name(remove.name)?,
        },
        Wire::Write(write) => write_op(write)?,
        Wire::Append(append) => {
            data_fits(append.data.len())?;
            Op::Append {
                ino: ino(append.ino)?,
                data: append.data,
                kill_suid: append.kill_suid,
            }
        }
        Wire::Fallocate(allocate) => {
            let v1::Fallocate {
                mode,
                offset,
                length,
                ..
            } = allocate;
            if length == 0 {
                return Err(Failure::Errno(libc::EINVAL));
            }
            range_fits(offset, length)?;
            Op::Fallocate {
                ino: ino(allocate.ino)?,
                mode,
                offset,
                length,
            }
        }
        Wire::CopyRange(copy) => {
            let v1::CopyRange {
                source_offset,
                target_offset,
                length,
                ..
            } = copy;
            range_fits(target_offset, length)?;
            let (source, target) = (ino(copy.source)?, ino(copy.target)?);
            Op::CopyRange {
                source,
                source_offset,
                target,
                target_offset,
                length,
            }
        }
        Wire::MakeSystemRoot(v1::MakeSystemRoot {}) => Op::MakeSystemRoot,
        Wire::Stage(stage) => Op::Stage {
            root: ino(stage.root)?,
            permissions: stage.mode & 0o7777,
            uid: stage.uid,
            gid: stage.gid,
        },
        Wire::Publish(publish) => Op::Publish {
            publish: super::object::publish(publish)?,
        },
        Wire::SetObject(set) => set_object(set)?,
        Wire::RemoveObject(remove) => Op::RemoveObject {
            remove: super::object::remove(remove)?,
        },
        Wire::Lock(wire) => {
            let lock = super::lock(&wire)?;
            let super::LockRange {
                ino,
                owner,
                mode,
                start,
                end,
                pid,
            } = lock;
            debug_assert!(start <= end || mode == LockMode::Unlock);
            Op::SetLock {
                ino,
                owner,
                mode,
                start,
                end,
                pid,
            }
        }
    })
}

fn set_object(set: v1::SetObject) -> Result<Op, Failure> {
    let length = set.s3.as_ref().map_or(0, Bytes::len);
    super::object::s3_fits(length)?;
    Ok(Op::SetObject {
        ino: ino(set.ino)?,
        expected_stamp: set.expected_attr_version.map(Version),
        s3: set.s3,
        silent: set.silent,
    })
}

fn create_op(create: v1::Create) -> Result<Op, Failure> {
    let kind = match create.mode & libc::S_IFMT {
        libc::S_IFREG => Kind::File,
        libc::S_IFDIR => Kind::Directory,
        libc::S_IFLNK => Kind::Symlink,
        libc::S_IFIFO => Kind::Fifo,
        libc::S_IFSOCK => Kind::Socket,
        libc::S_IFCHR => Kind::CharDevice,
        libc::S_IFBLK => Kind::BlockDevice,
        _ => return Err(Failure::Errno(libc::EINVAL)),
    };
    if create.symlink.len() > SYMLINK_MAX_BYTES {
        return Err(Failure::Errno(libc::ENAMETOOLONG));
    }
    if kind != Kind::Symlink && !create.symlink.is_empty() {
        return Err(Failure::Invalid("only a symlink has a target".into()));
    }
    Ok(Op::Create {
        parent: ino(create.parent)?,
        name: name(&create.name)?,
        kind,
        permissions: create.mode & 0o7777,
        umask: create.umask & 0o777,
        uid: create.uid,
        gid: create.gid,
        rdev: create.rdev,
        symlink: create.symlink,
    })
}

fn set_attr(set: v1::SetAttr) -> Result<Op, Failure> {
    if set.size.is_some_and(|size| size > FILE_SIZE_MAX_BYTES) {
        return Err(Failure::Errno(libc::EFBIG));
    }
    Ok(Op::SetAttr {
        ino: ino(set.ino)?,
        permissions: set.mode.map(|mode| mode & 0o7777),
        uid: set.uid,
        gid: set.gid,
        size: set.size,
        atime: set.atime.map(time).transpose()?,
        mtime: set.mtime.map(time).transpose()?,
        ctime: set.ctime.map(time).transpose()?,
        kill_suid: set.kill_suid,
    })
}

fn set_xattr(set: v1::SetXattr) -> Result<Op, Failure> {
    if set.value.len() > XATTR_VALUE_MAX_BYTES {
        return Err(Failure::Errno(libc::E2BIG));
    }
    Ok(Op::SetXattr {
        ino: ino(set.ino)?,
        name: xattr_name(set.name)?,
        value: set.value,
        create: set.create,
        replace: set.replace,
        keep_setgid: set.keep_setgid,
    })
}

fn xattr_name(name: Bytes) -> Result<Bytes, Failure> {
    match name.len() {
        0 => Err(Failure::Errno(libc::EINVAL)),
        1..=XATTR_NAME_MAX_BYTES if !name.contains(&0) => Ok(name),
        _ => Err(Failure::Errno(libc::ERANGE)),
    }
}

fn write_op(write: v1::Write) -> Result<Op, Failure> {
    if write.pieces.len() > limits::WRITE_PIECES_MAX {
        return Err(Failure::Invalid(format!(
            "a write of {} pieces",
            write.pieces.len()
        )));
    }
    let pieces: Vec<_> = write
        .pieces
        .into_iter()
        .map(write_piece)
        .collect::<Result<_, _>>()?;
    let data = |piece: &WritePiece| match &piece.source {
        WriteSource::Data(bytes) => bytes.len(),
        WriteSource::Chunk { .. } => 0,
    };
    data_fits(pieces.iter().map(data).sum())?;
    Ok(Op::Write {
        ino: ino(write.ino)?,
        pieces,
        mtime: write.mtime.map_or(Ok(SetTime::Now), time)?,
        kill_suid: write.kill_suid,
        expected_content_version: write.expected_content_version.map(Version),
    })
}

fn write_piece(piece: v1::WritePiece) -> Result<WritePiece, Failure> {
    let (offset, length) = (piece.offset, piece.length);
    if length == 0 {
        return Err(Failure::Invalid("an empty piece".into()));
    }
    range_fits(offset, length)?;
    let source = match piece.source {
        Some(Source::Data(data)) if data.len() as u64 == length => WriteSource::Data(data),
        Some(Source::Data(_)) => {
            return Err(Failure::Invalid(
                "a piece is not as long as its data".into(),
            ));
        }
        Some(Source::Chunk(place)) => chunk_source(place, length)?,
        None => return Err(Failure::Invalid("a piece without content".into())),
    };
    Ok(WritePiece {
        offset,
        length,
        source,
    })
}

fn chunk_source(place: v1::ChunkPlace, length: u64) -> Result<WriteSource, Failure> {
    let id = ChunkId::from_slice(&place.id)
        .map_err(|length| Failure::Invalid(format!("a chunk id of {length} bytes")))?;
    let v1::ChunkPlace {
        chunk_length,
        offset,
        ..
    } = place;
    if chunk_length as usize > CHUNK_SIZE_MAX_BYTES
        || u64::from(offset).saturating_add(length) > u64::from(chunk_length)
    {
        return Err(Failure::Invalid("a piece reaches beyond its chunk".into()));
    }
    if place.receipts.is_empty() || place.receipts.len() > limits::RECEIPTS_MAX {
        return Err(Failure::Invalid(format!(
            "{} receipts",
            place.receipts.len()
        )));
    }
    let receipt = |receipt: v1::Receipt| Receipt {
        node: NodeNumber(receipt.node),
        incarnation: Incarnation(receipt.incarnation),
        epoch: PutEpoch(receipt.epoch),
    };
    let receipts = place.receipts.into_iter().map(receipt).collect();
    Ok(WriteSource::Chunk {
        id,
        chunk_length,
        offset,
        receipts,
    })
}

pub(super) fn time(time: v1::Time) -> Result<SetTime, Failure> {
    match time {
        v1::Time { now: true, .. } => Ok(SetTime::Now),
        v1::Time { seconds, nanos, .. } if nanos < 1_000_000_000 => {
            Ok(SetTime::At(Timestamp { seconds, nanos }))
        }
        v1::Time { .. } => Err(Failure::Errno(libc::EINVAL)),
    }
}

fn range_fits(offset: u64, length: u64) -> Result<(), Failure> {
    match offset.checked_add(length) {
        Some(end) if end <= FILE_SIZE_MAX_BYTES => Ok(()),
        _ => Err(Failure::Errno(libc::EFBIG)),
    }
}

fn data_fits(bytes: usize) -> Result<(), Failure> {
    if bytes > limits::MUTATION_DATA_MAX_BYTES {
        return Err(Failure::Invalid(format!(
            "a mutation with {bytes} bytes of data"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(op: Wire) -> Result<Op, Failure> {
        let request = v1::MutateRequest {
            session: 1,
            sequence: 1,
            op: Some(op),
            ..Default::default()
        };
        mutation(request).map(|mutation| mutation.op)
    }

    fn written(piece: v1::WritePiece) -> Result<Op, Failure> {
        asked(Wire::Write(v1::Write {
            ino: 2,
            pieces: vec![piece],
            ..Default::default()
        }))
    }

    #[test]
    fn a_write_beyond_the_largest_file_is_too_big() {
        let source = Some(Source::Data(Bytes::from_static(b"xy")));
        let last = FILE_SIZE_MAX_BYTES - 2;
        let piece = |offset| v1::WritePiece {
            offset,
            length: 2,
            source: source.clone(),
        };
        assert!(written(piece(last)).is_ok());
        assert_eq!(written(piece(last + 1)), Err(Failure::Errno(libc::EFBIG)));
        assert_eq!(written(piece(u64::MAX)), Err(Failure::Errno(libc::EFBIG)));
    }

    #[test]
    fn a_piece_must_lie_in_its_chunk_and_have_a_receipt() {
        let place = v1::ChunkPlace {
            id: Bytes::from(vec![7; 32]),
            chunk_length: 100,
            offset: 90,
            receipts: vec![v1::Receipt::default()],
        };
        let piece = |place, length| v1::WritePiece {
            offset: 0,
            length,
            source: Some(Source::Chunk(place)),
        };
        assert!(written(piece(place.clone(), 10)).is_ok());
        assert!(matches!(
            written(piece(place.clone(), 11)),
            Err(Failure::Invalid(_))
        ));
        let bare = v1::ChunkPlace {
            receipts: Vec::new(),
            ..place.clone()
        };
        assert!(matches!(written(piece(bare, 1)), Err(Failure::Invalid(_))));
        let short = v1::ChunkPlace {
            id: Bytes::from(vec![7; 31]),
            ..place
        };
        assert!(matches!(written(piece(short, 1)), Err(Failure::Invalid(_))));
    }

    #[test]
    fn names_give_the_errno_of_linux() {
        let create = |name: &[u8]| {
            asked(Wire::Create(v1::Create {
                parent: 1,
                name: Bytes::copy_from_slice(name),
                mode: libc::S_IFREG | 0o644,
                ..Default::default()
            }))
        };
        assert!(create(b"ok").is_ok());
        assert_eq!(create(b""), Err(Failure::Errno(libc::ENOENT)));
        assert_eq!(
            create(&[b'x'; 256]),
            Err(Failure::Errno(libc::ENAMETOOLONG))
        );
        assert_eq!(create(b"a/b"), Err(Failure::Errno(libc::EINVAL)));
        assert_eq!(create(b".."), Err(Failure::Errno(libc::EINVAL)));
    }
}
