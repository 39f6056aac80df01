//! The calls of the nodes that keep the index together with this one.

use std::sync::Arc;

use wolfdisk_proto::call::Call;
use wolfdisk_proto::{Failure, v1};

use super::rpc::Service;
use crate::consensus::raft::Voter;
use crate::consensus::raft::wire::{RaftPeer, sender};

impl Service {
    /// From now on `peer` answers other nodes.
    pub fn keeps_with_others(&self, peer: Arc<dyn RaftPeer>) {
        // Once, at the start.
        let _ = self.peer.set(peer);
    }

    /// Who asks, and who answers.
    fn peer(&self, call: &Call) -> Result<(Voter, &dyn RaftPeer), Failure> {
        let from = sender(call)?;
        match self.peer.get() {
            Some(peer) => Ok((from, &**peer)),
            None => Err(Failure::Unavailable(
                "this node keeps no index with others".to_owned(),
            )),
        }
    }

    pub(super) async fn raft_append(
        &self,
        call: &mut Call,
        request: v1::RaftAppendRequest,
    ) -> Result<v1::RaftAppendReply, Failure> {
        let (from, peer) = self.peer(call)?;
        peer.append(from, request).await
    }

    pub(super) async fn raft_vote(
        &self,
        call: &mut Call,
        request: v1::RaftVoteRequest,
    ) -> Result<v1::RaftVoteReply, Failure> {
        let (from, peer) = self.peer(call)?;
        peer.vote(from, request).await
    }

    pub(super) async fn raft_install(
        &self,
        call: &mut Call,
        request: v1::RaftInstallRequest,
    ) -> Result<v1::RaftInstallReply, Failure> {
        let (from, peer) = self.peer(call)?;
        peer.install(from, request).await
    }

    pub(super) async fn raft_hand_over(
        &self,
        call: &mut Call,
        request: v1::RaftHandOverRequest,
    ) -> Result<v1::RaftHandOverReply, Failure> {
        let (from, peer) = self.peer(call)?;
        peer.hand_over(from, request).await
    }
}
