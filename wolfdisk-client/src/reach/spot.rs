//! Which node is being used: its wolfdisk-chunkd is at the address at which its wolfdisk-meta answered, at the port that
//! this named.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use wolfdisk_proto::Failure;
use wolfdisk_proto::noise::{Targets, Welcome};

/// Where wolfdisk-meta is, and who answered last.
pub(crate) struct Spot {
    nodes: Arc<dyn Targets>,
    answered: Mutex<Option<(SocketAddr, Welcome)>>,
}

impl Spot {
    pub(crate) fn new(nodes: Arc<dyn Targets>) -> Spot {
        Spot {
            nodes,
            answered: Mutex::default(),
        }
    }

    pub(crate) fn answered(&self) -> Option<(SocketAddr, Welcome)> {
        self.answered.lock().clone()
    }
}

impl Targets for Spot {
    fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.addresses()
    }

    fn reached(&self, address: SocketAddr, welcome: &Welcome) {
        *self.answered.lock() = Some((address, welcome.clone()));
        self.nodes.reached(address, welcome);
    }

    fn failed(&self, address: SocketAddr, failure: &Failure) {
        self.nodes.failed(address, failure);
    }

    fn have_left(&self, address: SocketAddr) -> bool {
        self.nodes.have_left(address)
    }
}

/// Where wolfdisk-chunkd is: nowhere until wolfdisk-meta has answered.
pub(crate) struct ChunkSpot(pub(crate) Arc<Spot>);

impl Targets for ChunkSpot {
    fn addresses(&self) -> Vec<SocketAddr> {
        let answered = self.0.answered();
        let listening = answered.filter(|(address, welcome)| {
            // Where it is now is known as soon as wolfdisk-meta has answered there.
            welcome.chunk_port != 0 && !self.0.have_left(*address)
        });
        let at = listening.map(|(mut address, welcome)| {
            address.set_port(welcome.chunk_port);
            address
        });
        at.into_iter().collect()
    }

    fn reached(&self, _address: SocketAddr, _welcome: &Welcome) {}

    fn failed(&self, address: SocketAddr, failure: &Failure) {
        tracing::debug!(%address, %failure, "a chunk store does not answer");
    }

    fn have_left(&self, address: SocketAddr) -> bool {
        let answered = self.0.answered();
        answered.is_some_and(|(meta, _)| meta.ip() != address.ip() || self.0.have_left(meta))
    }
}

#[cfg(test)]
mod tests {
    use super::super::KnownNodes;
    use super::*;

    #[test]
    fn chunks_are_where_the_index_was_reached() {
        let nodes = KnownNodes::new(vec!["127.0.0.1:9500".to_owned()]);
        let spot = Arc::new(Spot::new(Arc::new(nodes)));
        let chunks = ChunkSpot(spot.clone());
        assert!(chunks.addresses().is_empty());
        let mut welcome = Welcome::default();
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        spot.reached(address("127.0.0.1:9500"), &welcome);
        assert!(chunks.addresses().is_empty(), "it listens nowhere");
        welcome.chunk_port = 9502;
        spot.reached(address("[fe80::1%3]:9500"), &welcome);
        assert_eq!(chunks.addresses(), [address("[fe80::1%3]:9502")]);
        let (at, said) = spot.answered().expect("an answer");
        assert_eq!((at, said.chunk_port), (address("[fe80::1%3]:9500"), 9502));
    }
}
