//! Chunks: references, receipts, and what chunk stores report.
//!
//! Reclaim goes by log order. A chunk without references may be freed by its holders at any moment
//! after a sweep; who wants to refer to it shows a receipt of a put that no sweep has reached. The
//! same holds for a chunk that the index does not know.

use wolfdisk_common::ids::{ChunkId, Incarnation, NodeNumber, PutEpoch};
use wolfdisk_common::limits::CHUNK_SIZE_MAX_BYTES;

use super::fail::{Done, Fail, require};
use crate::index::key::Key;
use crate::index::op::{Answer, Receipt};
use crate::index::record::{Chunk, Garbage, Node, Sparse};
use crate::index::records::{Read, Records, missing};
use crate::index::tx::Tx;

/// Makes sure that a chunk may be referred to from now on: somebody holds it for sure.
pub(crate) fn acquire<R: Records>(
    tx: &mut Tx<'_, R>,
    id: ChunkId,
    length: u32,
    receipts: &[Receipt],
) -> Done {
    require(
        length > 0 && length as usize <= CHUNK_SIZE_MAX_BYTES,
        libc::EINVAL,
    )?;
    let key = Key::Chunk { id };
    let known = tx.load::<Chunk>(&key)?;
    let valid = valid_holders(tx, receipts)?;
    let stamp = tx.version();
    let chunk = match known {
        Some(chunk) if chunk.references > 0 => {
            require(chunk.length == length, libc::EINVAL)?;
            let mut holders = chunk.holders.clone();
            holders.extend(valid);
            holders.sort_unstable();
            holders.dedup();
            if holders == chunk.holders {
                return Ok(());
            }
            Chunk {
                stamp,
                holders,
                ..chunk
            }
        }
        _ if valid.is_empty() => return Err(Fail::RetryPut),
        known => {
            if known.is_none() {
                tx.counters.chunks += 1;
                tx.counters.garbage += 1;
                tx.store(&Key::Garbage { id }, &Garbage { stamp });
            }
            Chunk {
                stamp,
                length,
                references: 0,
                live_bytes: 0,
                holders: valid,
            }
        }
    };
    tx.store(&key, &chunk);
    Ok(())
}

/// Nodes whose receipts prove that they hold a chunk: of their current life or a later one that the
/// index has not heard of, and of a put after the last sweep.
fn valid_holders<R: Records>(tx: &Tx<'_, R>, receipts: &[Receipt]) -> Done<Vec<NodeNumber>> {
    let mut holders = Vec::with_capacity(receipts.len());
    for receipt in receipts {
        if let Some(node) = tx.load::<Node>(&Key::Node { node: receipt.node })?
            && receipt.incarnation >= node.incarnation
            && receipt.epoch > node.swept
        {
            holders.push(receipt.node);
        }
    }
    holders.sort_unstable();
    holders.dedup();
    Ok(holders)
}

/// Changes how often, and with how many bytes, extents name a chunk.
pub(crate) fn adjust<R: Records>(
    tx: &mut Tx<'_, R>,
    id: ChunkId,
    references: i64,
    bytes: i64,
) -> Done {
    let key = Key::Chunk { id };
    let mut chunk = tx.load::<Chunk>(&key)?.ok_or_else(|| missing(&key))?;
    let (before, was_sparse) = (chunk.references, chunk.is_sparse());
    chunk.stamp = tx.version();
    chunk.references = chunk.references.saturating_add_signed(references);
    chunk.live_bytes = chunk.live_bytes.saturating_add_signed(bytes);
    match (before, chunk.references) {
        (0, 1..) => {
            tx.counters.garbage -= 1;
            tx.remove(&Key::Garbage { id });
        }
        (1.., 0) => {
            tx.counters.garbage += 1;
            let stamp = tx.version();
            tx.store(&Key::Garbage { id }, &Garbage { stamp });
        }
        _ => {}
    }
    match (was_sparse, chunk.is_sparse()) {
        (false, true) => {
            let stamp = tx.version();
            tx.store(&Key::Sparse { id }, &Sparse { stamp });
        }
        (true, false) => tx.remove(&Key::Sparse { id }),
        _ => {}
    }
    tx.store(&key, &chunk);
    Ok(())
}

/// `Op::NodeUp`.
pub(crate) fn node_up<R: Records>(
    tx: &mut Tx<'_, R>,
    node: NodeNumber,
    incarnation: Incarnation,
) -> Done<Answer> {
    let key = Key::Node { node };
    let mut record = tx.load::<Node>(&key)?.unwrap_or_default();
    require(incarnation >= record.incarnation, libc::ESTALE)?;
    record.incarnation = incarnation;
    record.stamp = tx.version();
    tx.store(&key, &record);
    Ok(Answer::default())
}

/// `Op::Sweep`.
pub(crate) fn sweep<R: Records>(
    tx: &mut Tx<'_, R>,
    node: NodeNumber,
    swept: PutEpoch,
) -> Done<Answer> {
    let key = Key::Node { node };
    let mut record = tx.load::<Node>(&key)?.ok_or(Fail::Errno(libc::ENOENT))?;
    record.swept = record.swept.max(swept);
    record.stamp = tx.version();
    tx.store(&key, &record);
    Ok(Answer::default())
}

/// `Op::DropChunks`. A chunk that was put again and referred to since stays as it is: the receipt of
/// that put is newer than the freeing.
pub(crate) fn drop_freed<R: Records>(
    tx: &mut Tx<'_, R>,
    node: NodeNumber,
    ids: &[ChunkId],
) -> Done<Answer> {
    for &id in ids {
        let key = Key::Chunk { id };
        let Some(mut chunk) = tx
            .load::<Chunk>(&key)?
            .filter(|chunk| chunk.references == 0)
        else {
            continue;
        };
        chunk.holders.retain(|holder| *holder != node);
        if chunk.holders.is_empty() {
            tx.remove(&key);
            tx.remove(&Key::Garbage { id });
            tx.counters.chunks -= 1;
            tx.counters.garbage -= 1;
        } else {
            chunk.stamp = tx.version();
            tx.store(&key, &chunk);
        }
    }
    Ok(Answer::default())
}
