//! The interfaces: whether beacons go out of one, and whether packets of a usual length do.

use std::path::Path;

use wolfdisk_common::config::Discovery;
use wolfdisk_discovery::interfaces::{Interface, Interfaces, SystemInterfaces};

use super::finding::Finding;
use super::ground::Ground;

const NAME: &str = "network";
/// The least that IPv6 allows.
const MTU_MIN: u32 = 1280;

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    let interfaces = match SystemInterfaces.list() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            let says = format!("the interfaces cannot be listed: {error}");
            return vec![Finding::warn(NAME, says, "see: ip address")];
        }
    };
    let mtu = |one: &Interface| {
        let file = Path::new("/sys/class/net").join(&one.name).join("mtu");
        let text = std::fs::read_to_string(file).ok()?;
        text.trim().parse::<u32>().ok()
    };
    let seen: Vec<_> = interfaces.iter().map(|one| (one, mtu(one))).collect();
    let multicast = matches!(ground.config.cluster.discovery, Discovery::Multicast(_));
    judge(multicast, !ground.config.cluster.peers.is_empty(), &seen)
}

/// Of interfaces that are up and carry multicast.
fn judge(
    multicast: bool,
    has_peers: bool,
    interfaces: &[(&Interface, Option<u32>)],
) -> Vec<Finding> {
    let others = interfaces.iter().filter(|(one, _)| !one.loopback);
    let small = others.clone().filter_map(|(one, mtu)| {
        let mtu = mtu.filter(|mtu| *mtu < MTU_MIN)?;
        Some(Finding::warn(
            NAME,
            format!("{} has an MTU of {mtu}: large packets of other machines do not arrive", one.name),
            format!("run: ip link set dev {} mtu {MTU_MIN}, or more if every link on the way carries it", one.name),
        ))
    });
    let mut found: Vec<Finding> = small.collect();
    let names: Vec<&str> = others.map(|(one, _)| one.name.as_str()).collect();
    match (names.as_slice(), multicast, has_peers) {
        ([], true, false) => found.push(Finding::warn(
            NAME,
            "no interface but loopback is up and carries multicast: other nodes are not found",
            "see: ip address; or name the others in cluster.peers",
        )),
        ([], _, _) => found.push(Finding::ok(NAME, "loopback only")),
        (names, true, _) => found.push(Finding::ok(
            NAME,
            format!("beacons go through {}", names.join(", ")),
        )),
        (names, false, _) => found.push(Finding::ok(
            NAME,
            format!("up: {}; no beacons (cluster.discovery)", names.join(", ")),
        )),
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn interface(name: &str, loopback: bool) -> Interface {
        Interface {
            name: name.to_owned(),
            loopback,
            ..Interface::default()
        }
    }

    #[test]
    fn beacons_need_an_interface_and_packets_their_room() {
        let (lo, lan) = (interface("lo", true), interface("eth0", false));
        let levels = |multicast, peers, seen: &[(&Interface, Option<u32>)]| {
            let found = judge(multicast, peers, seen);
            found.into_iter().map(|one| one.level).collect::<Vec<_>>()
        };
        assert_eq!(
            levels(true, false, &[(&lo, Some(65_536)), (&lan, Some(1500))]),
            [Level::Ok]
        );
        assert_eq!(levels(true, false, &[(&lo, None)]), [Level::Warn]);
        assert_eq!(levels(true, true, &[(&lo, None)]), [Level::Ok]);
        assert_eq!(levels(false, false, &[]), [Level::Ok]);
        assert_eq!(
            levels(false, false, &[(&lan, Some(576))]),
            [Level::Warn, Level::Ok]
        );
        assert_eq!(
            levels(true, false, &[(&lo, Some(500)), (&lan, None)]),
            [Level::Ok]
        );
    }
}
