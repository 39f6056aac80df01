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
use super::network::{Asker, own_in_flight};
use crate::area::{Area, AreaError};
use crate::digest::{Digest, PieceDigest};
use crate::limits;
use crate::relay::Waits;
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
        mut request: v1::PutRequest,
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
        let whole = match request.source.take() {
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
        if let Some(reply) = self.put_there(asker, &whole, &request).await? {
            return self.reply_to(asker, length as u32, reply);
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
        self.reply_to(asker, length as u32, self.put_reply(&receipt))
    }

    /// What is said of a stored chunk, here or at the leader.
    fn reply_to(
        &self,
        asker: &Asker,
        length: u32,
        reply: v1::PutReply,
    ) -> Result<v1::PutReply, Failure> {
        match (asker, &self.network) {
            (Asker::Member(number, _), Some(network)) => {
                prove(network.tickets(), *number, length, reply)
            }
            _ => Ok(reply),
        }
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

    /// Has the leader store a chunk, if that is another node; none: it is to be stored here. What is moved out of the log is
    /// put by the leader's own wolfdisk-meta, whatever was last said of who leads.
    async fn put_there(
        &self,
        asker: &Asker,
        whole: &Span,
        request: &v1::PutRequest,
    ) -> Result<Option<v1::PutReply>, Failure> {
        let is_moved = request.privileged && !matches!(asker, Asker::Member(..));
        let Some(relay) = self.relay_for(asker).filter(|_| !is_moved) else {
            return Ok(None);
        };
        let length = whole.len() as u32;
        let _own = own_in_flight(asker, length).await?;
        let Some(there) = relay.puts_go(length).await? else {
            return Ok(None);
        };
        let span = whole.clone();
        let data = match whole {
            Span::Here(data) => data.clone(),
            Span::There { .. } => self.pool.run(move || span.copy()).await??,
        };
        let request = v1::PutRequest {
            claimed_id: request.claimed_id.clone(),
            source: Some(Source::Data(data)),
            privileged: false,
        };
        relay.put(there, request).await.map(Some)
    }

    /// Members were given no places: what was answered to one before is durable when all that is here is.
    pub(super) async fn flush_for(
        &self,
        asker: &Asker,
        request: v1::FlushRequest,
    ) -> Result<v1::FlushReply, Failure> {
        let waits = match asker {
            Asker::Local | Asker::Node => Waits::ForPlace,
            Asker::Member(..) => Waits::ForAll,
        };
        let place = request.place;
        let reply = match self.relay_for(asker).filter(|_| !self.is_own(&request)) {
            Some(relay) => relay.flush(request, waits).await?,
            None => None,
        };
        let reply = match reply {
            Some(reply) => reply,
            None => self.flush_here(request, waits).await?,
        };
        Ok(match waits {
            Waits::ForPlace => reply,
            Waits::ForAll => v1::FlushReply {
                durable_place: place,
                ..reply
            },
        })
    }

    /// Whether a flush is for what was put here in this life.
    fn is_own(&self, request: &v1::FlushRequest) -> bool {
        (request.node, request.incarnation) == (self.node.0, self.store.incarnation())
    }

    async fn flush_here(
        &self,
        request: v1::FlushRequest,
        waits: Waits,
    ) -> Result<v1::FlushReply, Failure> {
        if request.incarnation != 0 && !self.is_own(&request) {
            // The place is of another store, or another life of this one.
            return Ok(v1::FlushReply {
                durable_place: 0,
                incarnation: self.store.incarnation(),
                node: self.node.0,
            });
        }
        match waits {
            Waits::ForPlace => self.flush_to(request.place).await,
            Waits::ForAll => self.flush_to(self.store.end().0).await,
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
            node: self.node.0,
        })
    }
}

/// What a member is told: that it put the chunk, and that it may read it. Not whether the chunk was there before, which
/// the place would tell as well: whoever guesses what others have stored is not to learn that it was right.
fn prove(
    tickets: &Tickets,
    member: u64,
    length: u32,
    reply: v1::PutReply,
) -> Result<v1::PutReply, Failure> {
    let id = parse_id(&reply.id)?;
    let put = ticket::Put {
        id,
        node: NodeNumber(reply.node),
        incarnation: Incarnation(reply.incarnation),
        epoch: PutEpoch(reply.epoch),
    };
    let whole = ticket::Span {
        id,
        offset: 0,
        length,
    };
    Ok(v1::PutReply {
        place: 0,
        deduplicated: false,
        proof: Bytes::copy_from_slice(&tickets.put(member, &put)),
        ticket: Bytes::copy_from_slice(&tickets.read(member, &whole)),
        ..reply
    })
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

    /// Makes the bytes private.
    fn copy(&self) -> Result<Bytes, AreaError> {
        match self {
            Span::Here(bytes) => Ok(bytes.clone()),
            Span::There {
                area,
                offset,
                length,
            } => {
                let mut bytes = vec![0; *length];
                area.copy(*offset, &mut bytes)?;
                Ok(Bytes::from(bytes))
            }
        }
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
