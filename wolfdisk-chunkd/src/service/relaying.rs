//! Whom the relay is asked for: front-ends of this machine, and members that are no nodes. What another node asks is answered
//! with what is here.

use std::sync::Arc;

use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1;

use super::ChunkServer;
use super::network::Asker;
use crate::relay::Relay;

impl ChunkServer {
    /// What asks other nodes for this one; none: it stands alone, or somebody asks who is not passed on.
    pub(super) fn relay_for(&self, asker: &Asker) -> Option<&Arc<Relay>> {
        let relay = self.relay.as_ref()?;
        match asker {
            Asker::Local | Asker::Member(..) => relay.is_among_others().then_some(relay),
            Asker::Node => None,
        }
    }

    pub(super) async fn take_peers(&self, request: v1::PeersRequest) -> Result<v1::Empty, Failure> {
        match self.relay.clone() {
            Some(relay) => self.pool.run(move || relay.replace(request)).await??,
            None if request.among_others => {
                let text = "this daemon serves no other machines";
                return Err(Failure::Unsupported(text.to_owned()));
            }
            None => {}
        }
        Ok(v1::Empty {})
    }
}
