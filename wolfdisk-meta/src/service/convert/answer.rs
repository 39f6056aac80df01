//! What leaves: attributes, pieces, invalidations.

use wolfdisk_common::ids::Ino;
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::invalidation::Kind;
use wolfdisk_proto::v1::piece::Source;

use crate::index::record::{Inode, ObjectRecord};
use crate::index::{MapPiece, MapSource};
use crate::machine::feed_queue::{Notice, Numbered};
use crate::machine::rights::RightSet;

/// What an answer with the attributes of an inode lets its receiver cache. The names of a directory
/// are a right of their own.
pub fn cacheable(inode: &Inode) -> RightSet {
    if inode.is_directory() {
        RightSet::ATTR
    } else {
        RightSet::ATTR | RightSet::DATA
    }
}

/// The attributes of an inode.
pub fn attr(ino: Ino, inode: &Inode) -> v1::Attr {
    v1::Attr {
        ino: ino.0,
        mode: inode.mode(),
        uid: inode.uid,
        gid: inode.gid,
        nlink: inode.nlink,
        size: inode.size,
        allocated: inode.allocated,
        atime_s: inode.atime.seconds,
        atime_ns: inode.atime.nanos,
        mtime_s: inode.mtime.seconds,
        mtime_ns: inode.mtime.nanos,
        ctime_s: inode.ctime.seconds,
        ctime_ns: inode.ctime.nanos,
        btime_s: inode.btime.seconds,
        btime_ns: inode.btime.nanos,
        rdev: inode.rdev,
        content_version: inode.content_version.0,
        parent: inode.parent.0,
        has_xattr: inode.has_xattr(),
        symlink: inode.symlink.clone(),
        attr_version: inode.stamp.0,
    }
}

/// An inode as an object, with what is kept of it.
pub fn object(ino: Ino, inode: &Inode, record: ObjectRecord) -> v1::Object {
    v1::Object {
        attr: Some(attr(ino, inode)),
        s3: record.value,
        s3_version: record.described.0,
    }
}

/// A piece whose bytes, if they were in the log, have been read.
pub fn piece(piece: MapPiece) -> v1::Piece {
    let source = match piece.source {
        MapSource::Chunk {
            id,
            chunk_length,
            offset,
        } => {
            let id = bytes::Bytes::copy_from_slice(&id.0);
            Source::Chunk(v1::ChunkSpan {
                id,
                offset,
                chunk_length,
                ..v1::ChunkSpan::default()
            })
        }
        MapSource::Inline(bytes) => Source::Data(bytes),
        MapSource::Zero => Source::Hole(v1::Hole { allocated: true }),
        MapSource::Hole => Source::Hole(v1::Hole { allocated: false }),
        // The caller reads the log first; without its bytes there is nothing to say of it.
        MapSource::Log { .. } => Source::Data(bytes::Bytes::new()),
    };
    v1::Piece {
        offset: piece.offset,
        length: piece.length,
        source: Some(source),
    }
}

/// A notice. `Everything` is told by the reply that carries it; the item stands for its number, so that it
/// can be confirmed, and names an inode that does not exist.
pub fn invalidation(item: Numbered) -> v1::Invalidation {
    let runs_out = matches!(item.notice, Notice::AccessTime(_));
    let (kind, ino, name) = match item.notice {
        Notice::Name { parent, name } => (Kind::Name, parent, name.as_bytes().to_vec().into()),
        Notice::Attr(ino) | Notice::AccessTime(ino) => (Kind::Attr, ino, bytes::Bytes::new()),
        Notice::Data(ino) => (Kind::Data, ino, bytes::Bytes::new()),
        Notice::WriteBack(ino) => (Kind::WriteBack, ino, bytes::Bytes::new()),
        Notice::Directory(ino) => (Kind::Directory, ino, bytes::Bytes::new()),
        Notice::Everything => (Kind::Attr, Ino(0), bytes::Bytes::new()),
    };
    v1::Invalidation {
        number: item.number,
        version: item.version.0,
        kind: kind as i32,
        ino: ino.0,
        name,
        runs_out,
    }
}
