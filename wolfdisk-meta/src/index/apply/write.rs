//! Writes: ranges with their data in the entry or in chunks, and appends.

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::INLINE_DATA_MAX_BYTES;

use super::fail::{Done, Fail, require};
use super::{chunks, content, extents, reap};
use crate::index::codec::place_in;
use crate::index::extent::Extent;
use crate::index::op::{Answer, Op, SetTime, WritePiece, WriteSource};
use crate::index::record::{ExtentSource, Inode};
use crate::index::records::Records;
use crate::index::tx::Tx;

/// `Op::Write`.
pub(crate) fn write<R: Records>(tx: &mut Tx<'_, R>, op: &Op, payload: &Bytes) -> Done<Answer> {
    let Op::Write {
        ino,
        pieces,
        mtime,
        kill_suid,
        expected_content_version,
    } = op
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    let mut inode = content::file(tx, *ino)?;
    let expected = expected_content_version.unwrap_or(inode.content_version);
    require(expected == inode.content_version, libc::ESTALE)?;
    reap::end_tail(tx, *ino, &mut inode)?;
    for piece in pieces {
        write_piece(tx, *ino, &mut inode, piece, payload)?;
    }
    if *kill_suid {
        content::kill_suid(&mut inode);
    }
    content::changed(tx, *ino, &mut inode, *mtime);
    Ok(Answer {
        inodes: vec![*ino],
        ..Answer::default()
    })
}

/// `Op::Append`: the answer says where the data landed.
pub(crate) fn append<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    data: &Bytes,
    kill_suid: bool,
    payload: &Bytes,
) -> Done<Answer> {
    let mut inode = content::file(tx, ino)?;
    reap::end_tail(tx, ino, &mut inode)?;
    let offset = inode.size;
    let source = WriteSource::Data(data.clone());
    let piece = WritePiece {
        offset,
        length: data.len() as u64,
        source,
    };
    write_piece(tx, ino, &mut inode, &piece, payload)?;
    if kill_suid {
        content::kill_suid(&mut inode);
    }
    content::changed(tx, ino, &mut inode, SetTime::Now);
    Ok(Answer {
        inodes: vec![ino],
        offset,
        ..Answer::default()
    })
}

pub(crate) fn write_piece<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    piece: &WritePiece,
    payload: &Bytes,
) -> Done {
    let &WritePiece {
        offset: start,
        length,
        ..
    } = piece;
    let end = content::end_of(start, length)?;
    if length == 0 {
        return Ok(());
    }
    let source = match &piece.source {
        WriteSource::Data(data) => {
            require(data.len() as u64 == length, libc::EINVAL)?;
            if end <= INLINE_DATA_MAX_BYTES as u64 {
                // The head of a file, so small that a chunk or a log record would outweigh it. Copied,
                // since a slice would keep the whole payload in memory.
                ExtentSource::Inline {
                    bytes: Bytes::copy_from_slice(data),
                }
            } else {
                let offset = place_in(payload, data)?;
                ExtentSource::Log {
                    log_index: tx.log_index,
                    offset,
                }
            }
        }
        WriteSource::Chunk {
            id,
            chunk_length,
            offset,
            receipts,
        } => {
            let within = u64::from(*offset).saturating_add(length) <= u64::from(*chunk_length);
            require(within, libc::EINVAL)?;
            chunks::acquire(tx, *id, *chunk_length, receipts)?;
            ExtentSource::Chunk {
                id: *id,
                chunk_length: *chunk_length,
                offset: *offset,
            }
        }
    };
    extents::insert(
        tx,
        ino,
        inode,
        Extent {
            start,
            length,
            source,
        },
    )?;
    inode.size = inode.size.max(end);
    Ok(())
}
