//! Looking around before a machine decides what it becomes.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Instant;

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
            Ok((node, address)) => {
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

/// Who is there, and at which of the addresses of the name.
fn ask(peer: &str) -> Result<(NodeId, SocketAddr), Failure> {
    let unknown = |error: io::Error| Failure::Disconnected(format!("{peer}: {error}"));
    let mut failure = Failure::Disconnected(format!("{peer} has no address"));
    for address in peer.to_socket_addrs().map_err(unknown)? {
        let told = noise::who_is_there(address, META_SERVICE, PEER_ANSWERS_WITHIN);
        match told.map(|welcome| NodeId::parse(&welcome.node)) {
            Ok(Ok(node)) => return Ok((node, address)),
            Ok(Err(error)) => failure = Failure::Invalid(format!("{address}: {error}")),
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
