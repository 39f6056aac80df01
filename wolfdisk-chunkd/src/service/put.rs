//! Puts and flushes.
//!
//! A chunk is cut into pieces of whole leaves. Each piece is copied out of the shared area leaf by leaf and
//! digested while it is in the cache of the core that copies it; the pieces of one chunk are digested on
//! as many threads as there are. Then one thread writes the record.

use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_common::ids::{ChunkId, Incarnation, NodeNumber, PutEpoch};
use wolfdisk_common::limits::{CHUNK_SIZE_MAX_BYTES, LEAF_SIZE_BYTES};
use wolfdisk_common::ticket::{self, Tickets};
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::put_request::Source;

use super::ChunkServer;
use super::failure::{id_bytes, parse_id};
use super::network::Asker;
use crate::area::{Area, AreaError};
use crate::digest::{Digest, PieceDigest};
use crate::limits;
use crate::store::place::Position;
use crate::store::{Admission, Receipt, Store, StoreError};

/// Bytes of one piece, wherever they are.
#[derive(Clone)]
enum Span {
    Here(Bytes),
    There {
        area: Arc<Area>,
        offset: u64,
        length: usize,
    },
}

impl ChunkServer {
    pub(super) async fn take_put(
        &self,
        asker: &Asker,
        connection: u64,
        request: v1::PutRequest,
    ) -> Result<v1::PutReply, Failure> {
        let claimed = match request.claimed_id.is_empty() {
            true => None,
            false => Some(parse_id(&request.claimed_id)?),
        };
        let is_member = matches!(asker, Asker::Member(..));
        let admission = if request.privileged && !is_member {
            Admission::Privileged
        } else {
            Admission::Ordinary
        };
        let whole = match request.source {
            Some(Source::Data(data)) => Span::Here(data),
            // Connections from elsewhere have no areas, and numbers of their own.
            Some(Source::Area(_)) if !matches!(asker, Asker::Local) => {
                let text = "memory is shared only on this machine";
                return Err(Failure::Unsupported(text.to_owned()));
            }
            Some(Source::Area(v1::AreaSpan { offset, length })) => {
                let (area, length) = (self.areas.of(connection)?, length as usize);
                area.check(offset, length)?;
                Span::There {
                    area,
                    offset,
                    length,
                }
            }
            None => return Err(Failure::Invalid("a put without data".to_owned())),
        };
        let length = whole.len();
        if length == 0 || length > CHUNK_SIZE_MAX_BYTES {
            let text =
                format!("a chunk of {length} bytes; 1 to {CHUNK_SIZE_MAX_BYTES} are allowed");
            return Err(Failure::Invalid(text));
        }
        let _in_flight = self.in_flight(asker, length as u32).await?;
        let receipt = match length <= limits::PIECE_BYTES {
            true => {
                let (digest, bytes) = self.pool.run(move || whole.digest()).await??;
                let digest = Digest::join([digest]);
                self.blocking(move |store| {
                    store_digested(store, claimed, &digest, &[bytes], admission)
                })
                .await?
            }
            false => self.put_in_pieces(claimed, whole, admission).await?,
        };
        let reply = self.put_reply(&receipt);
        Ok(match (asker, &self.network) {
            (Asker::Member(number, _), Some(network)) => {
                prove(network.tickets(), *number, length as u32, &receipt, reply)
            }
            _ => reply,
        })
    }

    async fn put_in_pieces(
        &self,
        claimed: Option<ChunkId>,
        whole: Span,
        admission: Admission,
    ) -> Result<Receipt, Failure> {
        let mut digests = Vec::new();
        let mut pieces = Vec::new();
        // All are queued before the first is waited for.
        let mut running = Vec::new();
        for piece in whole.pieces() {
            running.push(self.pool.queue(move || piece.digest()).await?);
        }
        for answer in running {
            let (digest, bytes) = answer.wait().await??;
            digests.push(digest);
            pieces.push(bytes);
        }
        let digest = Digest::join(digests);
        self.blocking(move |store| store_digested(store, claimed, &digest, &pieces, admission))
            .await
    }

    fn put_reply(&self, receipt: &Receipt) -> v1::PutReply {
        v1::PutReply {
            id: id_bytes(&receipt.id),
            place: receipt.position.0,
            incarnation: self.store.incarnation(),
            epoch: receipt.epoch,
            deduplicated: receipt.deduplicated,
            node: self.node.0,
            ..v1::PutReply::default()
        }
    }

    /// Members were given no places: what was answered to one before is durable when all that is here is.
    pub(super) async fn flush_for(
        &self,
        asker: &Asker,
        place: u64,
    ) -> Result<v1::FlushReply, Failure> {
        match asker {
            Asker::Local | Asker::Node => self.flush_to(place).await,
            Asker::Member(..) => {
                let reply = self.flush_to(self.store.end().0).await?;
                Ok(v1::FlushReply {
                    durable_place: place,
                    ..reply
                })
            }
        }
    }

    async fn flush_to(&self, place: u64) -> Result<v1::FlushReply, Failure> {
        let position = Position(place);
        if position > self.store.end() {
            return Err(Failure::Invalid(format!(
                "place {place} was never given out"
            )));
        }
        let waiting = self.store.watermark().wait(position);
        let durable = tokio::time::timeout(limits::FLUSH_DEADLINE, waiting)
            .await
            .map_err(|_| Failure::Deadline("the disk does not finish a sync".to_owned()))??;
        let incarnation = self.store.incarnation();
        Ok(v1::FlushReply {
            durable_place: durable.position.0,
            incarnation,
        })
    }
}

/// What a member is told: that it put the chunk, and that it may read it. Not whether the chunk was there before, which
/// the place would tell as well: whoever guesses what others have stored is not to learn that it was right.
fn prove(
    tickets: &Tickets,
    member: u64,
    length: u32,
    receipt: &Receipt,
    reply: v1::PutReply,
) -> v1::PutReply {
    let put = ticket::Put {
        id: receipt.id,
        node: NodeNumber(reply.node),
        incarnation: Incarnation(reply.incarnation),
        epoch: PutEpoch(reply.epoch),
    };
    let whole = ticket::Span {
        id: receipt.id,
        offset: 0,
        length,
    };
    v1::PutReply {
        place: 0,
        deduplicated: false,
        proof: Bytes::copy_from_slice(&tickets.put(member, &put)),
        ticket: Bytes::copy_from_slice(&tickets.read(member, &whole)),
        ..reply
    }
}

fn store_digested(
    store: &Store,
    claimed: Option<ChunkId>,
    digest: &Digest,
    pieces: &[Bytes],
    admission: Admission,
) -> Result<Receipt, StoreError> {
    match claimed {
        Some(claimed) if claimed != digest.id => Err(StoreError::WrongId {
            claimed,
            actual: digest.id,
        }),
        _ => store.put(digest, pieces, admission),
    }
}

impl Span {
    fn len(&self) -> usize {
        match self {
            Span::Here(bytes) => bytes.len(),
            Span::There { length, .. } => *length,
        }
    }

    fn pieces(&self) -> impl Iterator<Item = Span> + '_ {
        (0..self.len()).step_by(limits::PIECE_BYTES).map(|start| {
            let count = limits::PIECE_BYTES.min(self.len() - start);
            match self {
                Span::Here(bytes) => Span::Here(bytes.slice(start..start + count)),
                Span::There { area, offset, .. } => Span::There {
                    area: area.clone(),
                    offset: offset + start as u64,
                    length: count,
                },
            }
        })
    }

    /// Makes the bytes private and digests them.
    fn digest(&self) -> Result<(PieceDigest, Bytes), AreaError> {
        match self {
            Span::Here(bytes) => Ok((PieceDigest::of(bytes), bytes.clone())),
            Span::There {
                area,
                offset,
                length,
            } => {
                let mut bytes = vec![0; *length];
                let mut digest = PieceDigest::default();
                let mut offset = *offset;
                for leaf in bytes.chunks_mut(LEAF_SIZE_BYTES) {
                    area.copy(offset, leaf)?;
                    digest.add_leaf(leaf);
                    offset += leaf.len() as u64;
                }
                Ok((digest, Bytes::from(bytes)))
            }
        }
    }
}
