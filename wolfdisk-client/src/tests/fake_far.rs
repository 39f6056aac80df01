//! The daemons as a member on another machine sees them: chunks named by their content, tickets, proofs.

use bytes::Bytes;
use wolfdisk_common::hash::{chunk_id, leaf_hash};
use wolfdisk_common::limits::LEAF_SIZE_BYTES;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1::*;

use super::fake::World;

/// What they do and saw.
#[derive(Default)]
pub struct Far {
    /// The content of files is in chunks of so many bytes.
    pub chunk: usize,
    /// What tickets and proofs are made of now.
    pub tag: u8,
    /// So many answers have a wrong byte.
    pub lies: usize,
    /// In order.
    pub reads: Vec<ReadRequest>,
}

impl Far {
    pub fn new(chunk: usize) -> Far {
        Far {
            chunk,
            tag: 1,
            ..Far::default()
        }
    }

    fn ticket(&self) -> Bytes {
        Bytes::copy_from_slice(&[self.tag; 16])
    }

    fn proof(&self) -> Bytes {
        Bytes::copy_from_slice(&[self.tag + 100; 16])
    }
}

fn far(world: &mut World) -> &mut Far {
    world.far.as_mut().expect("far away")
}

/// What is said of a put; none: the daemon is here.
pub fn put(world: &World, data: &Bytes) -> Option<PutReply> {
    let far = world.far.as_ref()?;
    Some(PutReply {
        id: Bytes::copy_from_slice(&chunk_id(data).0),
        proof: far.proof(),
        ticket: far.ticket(),
        ..PutReply::default()
    })
}

/// A mutation named a chunk: it must show that it was put.
pub fn named(world: &mut World, place: &ChunkPlace) {
    if let Some(far) = &world.far {
        let shown: Vec<_> = place
            .receipts
            .iter()
            .map(|receipt| &receipt.proof)
            .collect();
        assert_eq!(shown, [&far.proof()]);
    }
}

pub fn map(world: &mut World, request: &MapRequest) -> MapReply {
    let file = world.files.get(&request.ino).cloned().unwrap_or_default();
    let size = file.content.len() as u64;
    let (chunk, ticket) = (far(world).chunk, far(world).ticket());
    let mut pieces = Vec::new();
    for (number, data) in file.content.chunks(chunk).enumerate() {
        let data = Bytes::copy_from_slice(data);
        let id = Bytes::copy_from_slice(&chunk_id(&data).0);
        let (start, length) = ((number * chunk) as u64, data.len() as u64);
        world.chunks.insert(id.clone(), data);
        if start + length <= request.offset {
            continue;
        }
        let skip = request.offset.saturating_sub(start);
        pieces.push(Piece {
            offset: start + skip,
            length: length - skip,
            source: Some(piece::Source::Chunk(ChunkSpan {
                id,
                offset: skip as u32,
                chunk_length: length as u32,
                ticket: ticket.clone(),
            })),
        });
    }
    MapReply {
        version: world.version,
        offset: request.offset,
        covered_to: u64::MAX,
        pieces,
        size,
        content_version: file.changed,
        rights: world.rights,
    }
}

pub fn read(world: &mut World, request: ReadRequest) -> Result<ReadReply, Failure> {
    let ticket = far(world).ticket();
    far(world).reads.push(request.clone());
    let opened = request.ticket_offset..=request.ticket_offset + request.ticket_length;
    let end = request.offset + request.length;
    if request.ticket != ticket || !opened.contains(&request.offset) || !opened.contains(&end) {
        return Err(Failure::Denied("played".into()));
    }
    let chunk = world.chunks.get(&request.id).cloned();
    let chunk = chunk.ok_or(Failure::Errno(libc::ENOENT))?;
    let mut data = chunk[request.offset as usize..end as usize].to_vec();
    if far(world).lies > 0 {
        far(world).lies -= 1;
        let last = data.len() - 1;
        data[last] ^= 1;
    }
    let leaves = chunk.chunks(LEAF_SIZE_BYTES).flat_map(leaf_hash);
    Ok(ReadReply {
        data: data.into(),
        leaves: match request.with_leaves {
            true => leaves.collect(),
            false => Bytes::new(),
        },
        chunk_length: 0,
    })
}
