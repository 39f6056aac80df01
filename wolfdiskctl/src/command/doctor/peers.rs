//! Whether a machine without data reaches the nodes that it knows.

use std::collections::BTreeSet;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use wolfdisk_common::config::Peer;

use super::finding::Finding;
use super::ground::Ground;
use super::within::begin;

const NAME: &str = "peers";
/// A packet there and back over any network, several times.
const CONNECT: Duration = Duration::from_secs(2);
/// The same for each address of a name, which has to be looked up.
const ALL: Duration = Duration::from_secs(8);

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    let Some(member) = ground.member() else {
        // A node asks its own: `daemons` tells.
        return Vec::new();
    };
    let configured = ground.config.cluster.peers.iter().map(Peer::as_str);
    let known = member.addresses.iter().map(String::as_str);
    let places: BTreeSet<String> = configured.chain(known).map(str::to_owned).collect();
    let asked: Vec<_> = places
        .into_iter()
        .map(|place| {
            let of = place.clone();
            (place, begin(move || reached(&of)))
        })
        .collect();
    let answers = asked.into_iter().map(|(place, answer)| {
        let late = || Err("no answer in time".to_owned());
        (place, answer.recv_timeout(ALL).unwrap_or_else(|_| late()))
    });
    judge(&answers.collect::<Vec<_>>())
}

fn reached(place: &str) -> Result<(), String> {
    let addresses = place.to_socket_addrs();
    let mut why = "it has no address".to_owned();
    for address in addresses.map_err(|error| error.to_string())? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(_) => return Ok(()),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

fn judge(places: &[(String, Result<(), String>)]) -> Vec<Finding> {
    let good = places.iter().filter(|(_, answer)| answer.is_ok()).count();
    let silent: Vec<String> = places
        .iter()
        .filter_map(|(place, answer)| Some(format!("{place} ({})", answer.as_ref().err()?)))
        .collect();
    let todo = "see that a node runs there, that its address is still that, and that no firewall is between (TCP ports 9500 \
                and 9502 of the node)";
    match (good, silent.as_slice()) {
        (0, []) => vec![Finding::ok(
            NAME,
            "none is known by address: nodes are found by their beacons",
        )],
        (_, []) => vec![Finding::ok(NAME, format!("{good} reached"))],
        (0, silent) => vec![Finding::fail(
            NAME,
            format!("no known node is reached: {}", silent.join(", ")),
            todo,
        )],
        (_, silent) => vec![Finding::warn(
            NAME,
            format!("not reached: {}", silent.join(", ")),
            todo,
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn one_that_is_reached_is_enough() {
        let of = |place: &str, answer: Result<(), &str>| {
            (place.to_owned(), answer.map_err(str::to_owned))
        };
        let level = |places: &[(String, Result<(), String>)]| judge(places)[0].level;
        let (good, bad) = (of("a:1", Ok(())), of("b:1", Err("refused")));
        assert_eq!(level(&[]), Level::Ok);
        assert_eq!(level(std::slice::from_ref(&good)), Level::Ok);
        assert_eq!(level(&[good, bad.clone()]), Level::Warn);
        assert_eq!(level(std::slice::from_ref(&bad)), Level::Fail);
        assert!(judge(&[bad])[0].says.contains("b:1 (refused)"));
    }
}
