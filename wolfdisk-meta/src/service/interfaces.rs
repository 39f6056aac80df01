//! The addresses of this machine, as others may use them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use crate::limits::ADDRESSES_MAX;

/// Where what is bound to `bound` is reached. Of one that is bound to all addresses: at those of all interfaces, IPv4
/// first; on a machine without a network at its loopback address.
pub(super) fn reachable(bound: SocketAddr) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let mut found = all();
    found.retain(|ip| bound.is_ipv6() || ip.is_ipv4());
    // Stable, so interfaces stay in the order of the system.
    found.sort_by_key(IpAddr::is_ipv6);
    found.truncate(ADDRESSES_MAX);
    if found.is_empty() {
        found.push(match bound {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let port = bound.port();
    found
        .into_iter()
        .map(|ip| SocketAddr::new(ip, port))
        .collect()
}

/// Of interfaces that are up. Those of a link or of the machine itself are of no use to others.
fn all() -> Vec<IpAddr> {
    let interfaces = match getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            tracing::warn!(%error, "the addresses of this machine are not known");
            return Vec::new();
        }
    };
    let up = interfaces.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP));
    let mut found: Vec<IpAddr> = Vec::new();
    for address in up.filter_map(|interface| interface.address) {
        let v4 = address
            .as_sockaddr_in()
            .map(|address| IpAddr::V4(address.ip()));
        let v6 = address
            .as_sockaddr_in6()
            .map(|address| IpAddr::V6(address.ip()));
        match v4.or(v6) {
            Some(ip) if is_of_use(ip) && !found.contains(&ip) => found.push(ip),
            _ => {}
        }
    }
    found
}

fn is_of_use(ip: IpAddr) -> bool {
    let of_a_link = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(ip.is_loopback() || ip.is_unspecified() || of_a_link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_itself_and_all_are_those_of_the_interfaces() {
        let one: SocketAddr = "127.0.0.1:77".parse().expect("an address");
        assert_eq!(reachable(one), [one]);
        let all = reachable("0.0.0.0:77".parse().expect("an address"));
        assert!(!all.is_empty() && all.len() <= ADDRESSES_MAX);
        let fits = |address: &SocketAddr| {
            address.port() == 77 && address.is_ipv4() && !address.ip().is_unspecified()
        };
        assert!(all.iter().all(fits), "{all:?}");
    }

    #[test]
    fn addresses_of_a_link_are_of_no_use_to_others() {
        for (text, of_use) in [
            ("10.0.0.1", true),
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("fe80::1", false),
            ("::1", false),
            ("fd00::1", true),
        ] {
            assert_eq!(
                is_of_use(text.parse().expect("an address")),
                of_use,
                "{text}"
            );
        }
    }
}
