//! The interfaces of this machine that beacons go through: those that are up and reach others, and the loopback.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use crate::limits::INTERFACES_MAX;

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// Its number in the kernel.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its IPv4 addresses, in order.
    pub v4: Vec<Ipv4Addr>,
    /// Whether it has a link-local IPv6 address.
    pub v6: bool,
    /// Whether it reaches this machine only.
    pub loopback: bool,
}

/// Where the list comes from.
pub trait Interfaces: Send {
    /// Those there are at present.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<Interface>>;
}

/// Those of the kernel, in this network namespace.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemInterfaces;

impl Interfaces for SystemInterfaces {
    fn list(&self) -> io::Result<Vec<Interface>> {
        let mut found: BTreeMap<String, Interface> = BTreeMap::new();
        for entry in getifaddrs()? {
            let loopback = entry.flags.contains(InterfaceFlags::IFF_LOOPBACK);
            let reaches = loopback || entry.flags.contains(InterfaceFlags::IFF_MULTICAST);
            let Some(address) = entry.address else {
                continue;
            };
            if !entry.flags.contains(InterfaceFlags::IFF_UP) || !reaches {
                continue;
            }
            let interface = found.entry(entry.interface_name.clone());
            let interface = interface.or_insert_with(|| Interface {
                name: entry.interface_name,
                loopback,
                ..Interface::default()
            });
            if let Some(v4) = address.as_sockaddr_in() {
                interface.v4.push(v4.ip());
            }
            if let Some(v6) = address.as_sockaddr_in6() {
                interface.v6 |= v6.ip().is_unicast_link_local();
            }
        }
        let mut interfaces = Vec::new();
        for (name, mut interface) in found {
            // One that has just vanished has no number any more.
            let Ok(index) = if_nametoindex(name.as_str()) else {
                continue;
            };
            interface.index = index;
            interface.v4.sort();
            if interface.v6 || !interface.v4.is_empty() {
                interfaces.push(interface);
            }
        }
        // Of too many, those that people have given addresses to.
        interfaces.sort_by_key(|one| (!one.loopback, one.v4.is_empty(), one.index));
        interfaces.truncate(INTERFACES_MAX);
        Ok(interfaces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_loopback() {
        let interfaces = SystemInterfaces.list().expect("a list");
        let loopback = interfaces.iter().find(|one| one.loopback);
        let loopback = loopback.expect("one that is up");
        assert!(loopback.v4.contains(&Ipv4Addr::LOCALHOST) && loopback.index > 0);
        assert!(interfaces.len() <= INTERFACES_MAX);
    }
}
