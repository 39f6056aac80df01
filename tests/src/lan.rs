//! Several machines on one network: network namespaces whose only way to each other is a bridge in a namespace of its
//! own. All goes with the value.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::command::run;

/// Every network is one of its own, so that all have the same addresses.
const SUBNET: [u8; 3] = [10, 77, 0];
const SUBNET_V6: u16 = 0xfd77;
const BRIDGE: &str = "br0";
/// The name of a host's interface, inside it.
const INTERFACE: &str = "eth0";

/// What is out of the ordinary about a network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wires {
    /// The bridge passes multicast on only to those whose membership it has seen.
    pub snooping: bool,
    /// There is no IPv4.
    pub only_v6: bool,
}

impl Wires {
    /// The address of the machine of this number.
    pub fn address(self, number: u8) -> IpAddr {
        let [a, b, c] = SUBNET;
        match self.only_v6 {
            true => Ipv6Addr::new(SUBNET_V6, 0, 0, 0, 0, 0, 0, number.into()).into(),
            false => Ipv4Addr::new(a, b, c, number).into(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Lan {
    prefix: String,
    hosts: Vec<Host>,
}

/// A machine on it.
#[derive(Clone, Debug)]
pub struct Host {
    namespace: String,
    /// Its interface's end on the bridge.
    port: String,
    bridge: String,
    address: IpAddr,
}

impl Lan {
    /// A network with so many machines.
    pub fn of(hosts: u8, wires: Wires) -> Lan {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("wd{}-{number}", std::process::id());
        let bridge = format!("{prefix}-lan");
        let mut lan = Lan {
            prefix,
            hosts: Vec::new(),
        };
        ip(&["netns", "add", &bridge]);
        ip(&["-n", &bridge, "link", "set", "lo", "up"]);
        let snooping = if wires.snooping { "1" } else { "0" };
        ip(&[
            "-n",
            &bridge,
            "link",
            "add",
            BRIDGE,
            "type",
            "bridge",
            "mcast_snooping",
            snooping,
        ]);
        ip(&["-n", &bridge, "link", "set", BRIDGE, "up"]);
        for number in 1..=hosts {
            lan.add(&bridge, number, wires.address(number));
        }
        lan
    }

    fn add(&mut self, bridge: &str, number: u8, address: IpAddr) {
        let namespace = format!("{}-{number}", self.prefix);
        let port = format!("port{number}");
        let host = Host {
            namespace: namespace.clone(),
            port: port.clone(),
            bridge: bridge.to_owned(),
            address,
        };
        ip(&["netns", "add", &namespace]);
        self.hosts.push(host.clone());
        ip(&["-n", &namespace, "link", "set", "lo", "up"]);
        ip(&[
            "-n", bridge, "link", "add", &port, "type", "veth", "peer", "name", INTERFACE, "netns",
            &namespace,
        ]);
        ip(&["-n", bridge, "link", "set", &port, "master", BRIDGE, "up"]);
        host.set_address(host.address);
        ip(&["-n", &namespace, "link", "set", INTERFACE, "up"]);
    }

    /// From now on larger packets are lost on the wire of a machine, and nobody is told.
    pub fn narrow(&self, host: &Host, bytes: u32) {
        for any in &self.hosts {
            // The kernel would carry several packets as one, whatever their length.
            let one = ["gso_max_segs", "1"];
            ip(&[&["-n", &any.namespace, "link", "set", INTERFACE], &one[..]].concat());
        }
        let bytes = bytes.to_string();
        ip(&["-n", &host.bridge, "link", "set", &host.port, "mtu", &bytes]);
    }

    /// The machines.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let namespaces = self.hosts.iter().map(|host| host.namespace.clone());
        for name in namespaces.chain([format!("{}-lan", self.prefix)]) {
            let ended = run(Command::new("ip").args(["netns", "delete", &name]));
            if ended.code != Some(0) {
                eprintln!("the namespace {name} is left: {}", ended.stderr);
            }
        }
    }
}

impl Host {
    /// What stands before a program to run it on this machine.
    pub fn prefix(&self) -> Vec<OsString> {
        // Mounts stay where everybody sees them, other than with `ip netns exec`.
        let net = format!("--net={}", self.namespace().display());
        vec!["nsenter".into(), net.into()]
    }

    /// The file that the kernel knows its network by.
    pub fn namespace(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.namespace)
    }

    /// A program that is to run on this machine.
    pub fn command(&self, program: &Path) -> Command {
        let words = self.prefix();
        let mut command = Command::new("nsenter");
        command.args(words.iter().skip(1)).arg(program);
        command
    }

    /// Its address at first.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Gives it another address on the same network.
    pub fn set_address(&self, address: IpAddr) {
        // Without the second in which the kernel asks whether others have an IPv6 address already.
        let (with_mask, at_once) = match address {
            IpAddr::V4(_) => (format!("{address}/24"), &[][..]),
            IpAddr::V6(_) => (format!("{address}/64"), &["nodad"][..]),
        };
        ip(&[
            "-n",
            &self.namespace,
            "address",
            "flush",
            "dev",
            INTERFACE,
            "scope",
            "global",
        ]);
        let add = ["address", "add", &with_mask, "dev", INTERFACE];
        ip(&[&["-n", &self.namespace], &add[..], at_once].concat());
    }

    /// Pulls its cable.
    pub fn unplug(&self) {
        ip(&["-n", &self.bridge, "link", "set", &self.port, "down"]);
    }

    /// Puts it in again.
    pub fn plug(&self) {
        ip(&["-n", &self.bridge, "link", "set", &self.port, "up"]);
    }
}

fn ip(arguments: &[&str]) {
    let done = run(Command::new("ip").args(arguments));
    assert_eq!(done.code, Some(0), "ip {arguments:?}: {}", done.stderr);
}
