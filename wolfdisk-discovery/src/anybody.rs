//! Looking around before a machine decides what it becomes.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Instant;

use uuid::Uuid;
use wolfdisk_common::config;
use wolfdisk_common::node_id::NodeId;
use wolfdisk_proto::Failure;
use wolfdisk_proto::noise;
use wolfdisk_proto::v1::META_SERVICE;

use crate::discovery::Discovery;
use crate::heard::Trust;
use crate::interfaces::SystemInterfaces;
use crate::limits::{ANYBODY_WITHIN, PEER_ANSWERS_WITHIN};

/// Who else there is. Nothing that anybody says is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Company {
    /// Nobody is heard, and nobody is named.
    None,
    /// A node, of whatever cluster.
    Node {
        /// Its name.
        node: NodeId,
        /// Where it is, if it says so.
        address: Option<SocketAddr>,
    },
    /// Peers are named, and none of them answers: why the last does not.
    Silent(String),
}

/// Looks for nodes among those that are named, `host:port` each, and, for [`ANYBODY_WITHIN`], those that are heard if there
/// is a group to listen to.
///
/// # Errors
/// The system has no thread, descriptor or random number left.
pub fn anybody(group: config::Discovery, peers: &[&str]) -> io::Result<Company> {
    let nobody = Trust::default();
    let discovery = Discovery::start(group, nobody, None, Box::new(SystemInterfaces))?;
    let until = Instant::now() + ANYBODY_WITHIN;
    let mut silent = None;
    for peer in peers {
        match ask(peer) {
            Ok((node, address, _)) => {
                let address = Some(address);
                return Ok(Company::Node { node, address });
            }
            Err(failure) => silent = Some(failure.to_string()),
        }
    }
    let heard = match discovery.is_listening() {
        true => discovery.view().wait_for_anybody(until),
        false => None,
    };
    Ok(match (heard, silent) {
        (Some(sight), _) => Company::Node {
            node: sight.node,
            address: sight.addresses.first().copied(),
        },
        (None, Some(why)) => Company::Silent(why),
        (None, None) => Company::None,
    })
}

/// Those of the peers of a node of this cluster that do not answer, or belong to another, and what is wrong with each.
pub fn silent_peers(cluster: Uuid, peers: &[&str]) -> Vec<String> {
    let trouble = |peer: &str| match ask(peer) {
        Ok((_, _, of)) if of == cluster => None,
        Ok((node, ..)) => Some(format!(
            "{peer} of cluster.peers is node {node} of another cluster; name it no more"
        )),
        Err(failure) => Some(format!(
            "{peer} of cluster.peers does not answer ({failure}); if a node is to be there, start it, or name it no more"
        )),
    };
    // All at once: each may take as long as it has.
    std::thread::scope(|scope| {
        let asked = peers.iter().map(|peer| scope.spawn(|| trouble(peer)));
        let asked: Vec<_> = asked.collect();
        let told = asked.into_iter().filter_map(|thread| thread.join().ok());
        told.flatten().collect()
    })
}

/// Who is there, at which of the addresses of the name, and of which cluster.
fn ask(peer: &str) -> Result<(NodeId, SocketAddr, Uuid), Failure> {
    let unknown = |error: io::Error| Failure::Disconnected(format!("{peer}: {error}"));
    let mut failure = Failure::Disconnected(format!("{peer} has no address"));
    for address in peer.to_socket_addrs().map_err(unknown)? {
        let told = noise::who_is_there(address, META_SERVICE, PEER_ANSWERS_WITHIN);
        let told = told.and_then(|welcome| match NodeId::parse(&welcome.node) {
            Ok(node) => Ok((node, address, Uuid::from_bytes(welcome.cluster))),
            Err(error) => Err(Failure::Invalid(format!("{address}: {error}"))),
        });
        match told {
            Ok(told) => return Ok(told),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn peers_that_do_not_answer_are_not_nobody() {
        let none = config::Discovery::None;
        assert_eq!(anybody(none, &[]).expect("looked"), Company::None);
        // It was free a moment ago.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let free = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let found = anybody(none, &["no.such.name.invalid:9500", &free]).expect("looked");
        assert!(matches!(found, Company::Silent(why) if why.contains(&free)));
    }
}
