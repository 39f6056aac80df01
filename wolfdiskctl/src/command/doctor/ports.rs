//! The addresses of the configuration: free, or held by the daemon that they are for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::finding::Finding;
use super::ground::Ground;
use super::running::Running;
use crate::users::{Process, holders_of};

const NAME: &str = "ports";
/// How the kernel's table calls a socket that listens.
const LISTENS: &str = "0A";

/// An address that a daemon is to have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) daemon: &'static str,
    /// The setting that says it.
    pub(super) option: &'static str,
    pub(super) address: SocketAddr,
    /// Somebody chose it; else the daemon goes on without.
    pub(super) is_chosen: bool,
}

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listener {
    address: SocketAddr,
    number: u64,
}

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    let mut listeners = Vec::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        // A machine without IPv6 has no second table.
        let text = std::fs::read_to_string(file).unwrap_or_default();
        listeners.extend(text.lines().filter_map(listener));
    }
    let wanted = wanted(ground);
    let taken = |one: &Wanted| {
        listeners
            .iter()
            .find(|held| overlap(one.address, held.address))
    };
    let numbers: Vec<u64> = wanted
        .iter()
        .filter_map(taken)
        .map(|held| held.number)
        .collect();
    let holders = holders_of(&numbers);
    let judged = wanted.iter().filter_map(|one| {
        let held = taken(one).map(|held| {
            let of = holders.iter().find(|(number, _)| *number == held.number);
            of.map(|(_, process)| process)
        });
        judge(one, held, &ground.running)
    });
    let found: Vec<Finding> = judged.collect();
    match found.is_empty() {
        true => {
            let list: Vec<String> = wanted
                .iter()
                .map(|one| one.address.port().to_string())
                .collect();
            let list = match list.is_empty() {
                true => "none is needed".to_owned(),
                false => format!(
                    "{} are free, or held by the daemons they are for",
                    list.join(", ")
                ),
            };
            vec![Finding::ok(NAME, list)]
        }
        false => found,
    }
}

/// Those of the daemons that run here, or are to run.
pub(super) fn wanted(ground: &Ground) -> Vec<Wanted> {
    let config = &ground.config;
    let (node, admin) = (&config.node, &config.admin);
    let mut wanted = Vec::new();
    let mut want = |daemon, option, address, is_chosen| {
        wanted.push(Wanted {
            daemon,
            option,
            address,
            is_chosen,
        });
    };
    if ground.is_node() {
        want("wolfdisk-meta", "node.bind", node.bind, node.bind_is_chosen);
        want(
            "wolfdisk-chunkd",
            "node.chunk_bind",
            node.chunk_bind,
            node.bind_is_chosen,
        );
        want(
            "wolfdisk-meta",
            "admin.bind",
            admin.bind,
            admin.bind_is_chosen,
        );
        want(
            "wolfdisk-chunkd",
            "admin.bind",
            admin.chunk_bind,
            admin.bind_is_chosen,
        );
    }
    if let Some(s3) = ground.plan().and_then(|plan| plan.s3) {
        want("wolfdisk-s3", "s3.bind", s3, true);
        want(
            "wolfdisk-s3",
            "admin.bind",
            admin.s3_bind,
            admin.bind_is_chosen,
        );
    }
    // Whichever is free.
    wanted.retain(|one| one.address.port() != 0);
    wanted
}

/// What is wrong with a port; none: it is free or where it belongs. `held`: by whom, if somebody listens and it is seen
/// who.
fn judge(wanted: &Wanted, held: Option<Option<&Process>>, running: &[Running]) -> Option<Finding> {
    let holder = held?;
    let ours = running.iter().find(|one| one.name == wanted.daemon);
    let who = match (holder, ours) {
        (Some(process), Some(ours)) if process.pid == ours.pid => return None,
        // Who it is is not to be seen by this user, or is not known from a lock file: the name has to do.
        (Some(process), None) if process.name == wanted.daemon => return None,
        (None, Some(_)) => return None,
        (Some(process), _) if process.name.starts_with("wolfdisk-") => {
            format!("{} of another node, process {}", process.name, process.pid)
        }
        (Some(process), _) => format!("{}, process {}", process.name, process.pid),
        // It may well be ours, run by another user.
        (None, None) => "by another user; as root see: ss -ltnp".to_owned(),
    };
    let says = format!(
        "port {} of {} is in use ({who})",
        wanted.address.port(),
        wanted.daemon
    );
    let todo = format!(
        "stop that, or set another {} in the configuration",
        wanted.option
    );
    Some(match (wanted.is_chosen, holder) {
        (true, Some(_)) => Finding::fail(NAME, says, todo),
        (true, None) => Finding::warn(NAME, says, todo),
        (false, _) => Finding::warn(NAME, format!("{says}; the daemon goes on without it"), todo),
    })
}

/// Whether nobody can have the one while somebody has the other.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (left, right) = (one.ip().to_canonical(), other.ip().to_canonical());
    let any = |address: IpAddr| address.is_unspecified();
    one.port() == other.port()
        && (left == right
            || any(left) && (left.is_ipv4() == right.is_ipv4() || left.is_ipv6())
            || any(right) && (left.is_ipv4() == right.is_ipv4() || right.is_ipv6()))
}

/// A line of the kernel's table (`proc_pid_net(5)`), if it listens.
fn listener(line: &str) -> Option<Listener> {
    let mut fields = line.split_whitespace();
    let address = fields.nth(1)?;
    let state = fields.nth(1)?;
    let number = fields.nth(5)?.parse().ok()?;
    (state == LISTENS).then_some(())?;
    let (ip, port) = address.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(Listener {
        address: SocketAddr::new(ip_of(ip)?, port),
        number,
    })
}

/// An address as the kernel writes it: words of 32 bits, each in the byte order of the machine.
fn ip_of(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = digits.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    match digits.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let mut bytes = [0; 16];
            for (byte, from) in bytes.iter_mut().zip(words.iter().flatten()) {
                *byte = *from;
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_listener_is_read_and_a_connection_is_none() {
        if cfg!(target_endian = "little") {
            let line = "   0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 16812 1 0";
            let found = listener(line).expect("it listens");
            assert_eq!(
                (found.address.to_string().as_str(), found.number),
                ("127.0.0.1:9000", 16_812)
            );
            let six = "   0: 00000000000000000000000001000000:2328 00000000000000000000000000000000:0000 0A 00000000:00000000 \
                       00:00000000 00000000     0        0 7 1 0";
            let found = listener(six).expect("it listens");
            assert_eq!(found.address.to_string(), "[::1]:9000");
        }
        let connected = "   0: 0100007F:2328 0100007F:1000 01 00000000:00000000 00:00000000 00000000     0        0 16812 1 0";
        assert_eq!(listener(connected), None);
        assert_eq!(
            listener("  sl  local_address rem_address   st tx_queue"),
            None
        );
    }

    #[test]
    fn addresses_that_exclude_each_other() {
        for (one, other, expected) in [
            ("0.0.0.0:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "[::]:1", true),
            ("0.0.0.0:1", "[::1]:1", false),
            ("[::1]:1", "[::]:1", true),
        ] {
            let (one, other) = (one.parse().expect("one"), other.parse().expect("one"));
            assert_eq!(overlap(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn who_may_hold_it() {
        let wanted = |is_chosen| Wanted {
            daemon: "wolfdisk-meta",
            option: "node.bind",
            address: "0.0.0.0:9500".parse().expect("an address"),
            is_chosen,
        };
        let process = |pid, name: &str| Process {
            pid,
            name: name.to_owned(),
        };
        let (ours, twin) = (process(3, "wolfdisk-meta"), process(4, "wolfdisk-meta"));
        let other = process(5, "nginx");
        let running = [Running {
            name: "wolfdisk-meta",
            pid: 3,
        }];
        let level = |chosen, held, running: &[Running]| {
            judge(&wanted(chosen), held, running).map(|found| found.level)
        };
        assert_eq!(level(true, None, &running), None);
        assert_eq!(level(true, Some(Some(&ours)), &running), None);
        assert_eq!(level(true, Some(Some(&twin)), &running), Some(Level::Fail));
        assert_eq!(level(true, Some(Some(&twin)), &[]), None);
        assert_eq!(level(true, Some(Some(&other)), &running), Some(Level::Fail));
        assert_eq!(level(false, Some(Some(&other)), &[]), Some(Level::Warn));
        assert_eq!(level(true, Some(None), &running), None);
        assert_eq!(level(true, Some(None), &[]), Some(Level::Warn));
    }
}
