//! Which other nodes keep chunks: what wolfdisk-chunkd is told, to store at the leader and to read of them all.

use std::net::SocketAddr;

use bytes::Bytes;
use wolfdisk_common::member::MemberKind;
use wolfdisk_proto::limits::ADDRESSES_TRIED_MAX;
use wolfdisk_proto::v1;

use super::rpc::Service;
use crate::index::table::TableError;

impl Service {
    /// The other nodes that keep chunks, as wolfdisk-chunkd is to be told of them. `own` is the number of this node among the
    /// members, `leader` that of the one that leads (0: nobody), `addresses` says where the wolfdisk-chunkd of a member
    /// listens, the most promising first; none: it is not known yet, and is waited for.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn peers(
        &self,
        own: u64,
        leader: u64,
        addresses: impl Fn(u64) -> Vec<SocketAddr>,
    ) -> Result<v1::PeersRequest, TableError> {
        let members = self.core().index.members()?;
        let others = members.into_iter().filter(|(number, member)| {
            !member.removed && member.kind == MemberKind::Node && *number != own
        });
        let nodes: Vec<_> = others
            .map(|(number, member)| v1::PeerNode {
                number,
                name: member.name,
                public_key: Bytes::copy_from_slice(&member.public_key),
                addresses: (addresses(number).iter().take(ADDRESSES_TRIED_MAX))
                    .map(SocketAddr::to_string)
                    .collect(),
            })
            .collect();
        let leads = |node: &v1::PeerNode| node.number == leader;
        Ok(v1::PeersRequest {
            among_others: !nodes.is_empty(),
            leader: if nodes.iter().any(leads) { leader } else { 0 },
            nodes,
        })
    }
}
