//! Nodes by a list of names that somebody gave.

use std::net::{SocketAddr, ToSocketAddrs};

use parking_lot::Mutex;
use wolfdisk_proto::Failure;
use wolfdisk_proto::noise::{Targets, Welcome};

/// See the module. The names are looked up whenever they are wanted: what they stand for may change.
#[derive(Debug)]
pub struct KnownNodes {
    names: Vec<String>,
    /// Where a node answered last.
    good: Mutex<Option<SocketAddr>>,
}

impl KnownNodes {
    /// Those at `host:port` each.
    pub fn new(names: Vec<String>) -> KnownNodes {
        KnownNodes {
            names,
            good: Mutex::default(),
        }
    }
}

impl Targets for KnownNodes {
    fn addresses(&self) -> Vec<SocketAddr> {
        let mut found: Vec<SocketAddr> = self.good.lock().iter().copied().collect();
        for name in &self.names {
            match name.to_socket_addrs() {
                Ok(addresses) => {
                    for address in addresses {
                        if !found.contains(&address) {
                            found.push(address);
                        }
                    }
                }
                Err(error) => tracing::debug!(name, %error, "the address of a node is unknown"),
            }
        }
        found
    }

    fn reached(&self, address: SocketAddr, _welcome: &Welcome) {
        *self.good.lock() = Some(address);
    }

    fn failed(&self, address: SocketAddr, failure: &Failure) {
        tracing::debug!(%address, %failure, "a node does not answer");
        let mut good = self.good.lock();
        if *good == Some(address) {
            *good = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answered_is_asked_first_until_it_does_not() {
        let names = [
            "127.0.0.1:1",
            "no-such-host.invalid:1",
            "127.0.0.2:1",
            "127.0.0.1:1",
        ];
        let nodes = KnownNodes::new(names.map(str::to_owned).into());
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let (first, second) = (address("127.0.0.1:1"), address("127.0.0.2:1"));
        assert_eq!(nodes.addresses(), [first, second]);
        nodes.reached(second, &Welcome::default());
        assert_eq!(nodes.addresses(), [second, first]);
        nodes.failed(first, &Failure::Disconnected("x".to_owned()));
        assert_eq!(nodes.addresses(), [second, first]);
        nodes.failed(second, &Failure::Disconnected("x".to_owned()));
        assert_eq!(nodes.addresses(), [first, second]);
    }
}
