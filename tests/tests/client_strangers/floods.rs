//! Hundreds of connections that say nothing, say nonsense, or stay idle, while a member goes on working.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use wolfdisk_proto::Failure;
use wolfdisk_proto::limits::{
    CONNECTIONS_PER_KEY_MAX, HALF_OPEN_PER_ADDRESS_MAX, HANDSHAKE_DEADLINE,
};
use wolfdisk_tests::{Cluster, Node, ctl, joined, wait_until};

use crate::raw::{Listener, credentials, shake};

/// Connections that are opened at once.
const FLOOD: usize = 300;
/// Files that the member writes in the meantime.
const ROUNDS: usize = 50;

/// A node, its daemons as a stranger reaches them, and a member with a mount, which ends first.
fn under_attack() -> (Cluster, [Listener; 2], Node) {
    let cluster = Cluster::start();
    let data = cluster.joined("desk", &["--no-squash-root"]);
    let daemons = Listener::both(&credentials(&data));
    let desk = cluster.up(data);
    (cluster, daemons, desk)
}

/// A member works, and machines come in anew.
fn works(cluster: &Cluster, desk: &Node) {
    for round in 0..ROUNDS {
        let text = format!("{round}");
        fs::write(desk.path("file"), &text).expect("written");
        let read = fs::read(cluster.node().path("file")).expect("read");
        assert_eq!(read, text.as_bytes());
    }
    let status = ctl(desk.data(), &["status"]);
    assert_eq!(status.code, Some(0), "{status:?}");
}

/// Nothing, and then the end.
fn gets_nothing(mut stream: TcpStream) {
    stream
        .set_read_timeout(Some(4 * HANDSHAKE_DEADLINE))
        .expect("set");
    let mut told = Vec::new();
    match stream.read_to_end(&mut told) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => assert!(told.is_empty(), "{told:?}"),
    }
}

#[test]
fn connections_that_say_nothing_keep_nobody_out() {
    let (cluster, daemons, desk) = under_attack();
    let over = |daemon: &Listener| daemon.counter(&cluster, "connections_over_limit");
    let late = |daemon: &Listener| daemon.counter(&cluster, "handshakes_late");
    let open = |daemon: &Listener| daemon.counter(&cluster, "handshakes_open");
    let before = daemons.map(|daemon| over(&daemon));
    // They come from the address of the member itself.
    let silent = daemons.map(|daemon| {
        let one = |_| TcpStream::connect(daemon.address).expect("connected");
        (0..FLOOD).map(one).collect::<Vec<_>>()
    });
    works(&cluster, &desk);
    for (daemon, before) in daemons.iter().zip(before) {
        let least = before + (FLOOD - HALF_OPEN_PER_ADDRESS_MAX) as u64;
        wait_until("the oldest have to go", || over(daemon) >= least);
        assert!(open(daemon) <= HALF_OPEN_PER_ADDRESS_MAX as u64);
    }
    // The last do too, by and by.
    silent.into_iter().flatten().for_each(gets_nothing);
    for daemon in &daemons {
        wait_until("all are gone", || open(daemon) == 0);
        assert!(late(daemon) > 0, "those that were left were too late");
    }
    works(&cluster, &desk);
}

#[test]
fn a_flood_that_goes_on_keeps_nobody_out() {
    let (cluster, daemons, desk) = under_attack();
    let garbled = |daemon: &Listener| daemon.counter(&cluster, "handshakes_garbled");
    let before = daemons.map(|daemon| garbled(&daemon));
    let floods = daemons.map(|daemon| {
        std::thread::spawn(move || {
            for number in 0..FLOOD {
                let mut stream = TcpStream::connect(daemon.address).expect("connected");
                // A request of another protocol, a message that is too long, and one that is no handshake.
                let nonsense: &[u8] = match number % 3 {
                    0 => b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
                    1 => &[255; 600],
                    _ => &[64, 0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9],
                };
                stream.write_all(nonsense).expect("sent");
                stream.shutdown(std::net::Shutdown::Write).expect("ended");
                gets_nothing(stream);
            }
        })
    });
    works(&cluster, &desk);
    for flood in floods {
        joined("a flood", flood);
    }
    for (daemon, before) in daemons.iter().zip(before) {
        wait_until("each is counted", || {
            garbled(daemon) == before + FLOOD as u64
        });
    }
    works(&cluster, &desk);
}

#[test]
fn a_member_with_hundreds_of_idle_connections_takes_no_place_of_others() {
    let cluster = Cluster::start();
    let greedy = credentials(&cluster.joined("greedy", &[]));
    let desk = cluster.up(cluster.joined("desk", &["--no-squash-root"]));
    for daemon in Listener::both(&greedy) {
        let over = || daemon.counter(&cluster, "connections_over_limit");
        let open = || daemon.counter(&cluster, "connections_open");
        // Its first is still being closed.
        wait_until("only the mount is there", || open() < 100);
        let before = over();
        let (mut held, mut refused) = (Vec::new(), 0);
        for _ in 0..FLOOD {
            match shake(&daemon, &greedy) {
                Ok(connection) => held.push(connection),
                Err(Failure::Unavailable(why)) => {
                    assert!(why.contains("close some"), "{why}");
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(held.len() <= CONNECTIONS_PER_KEY_MAX, "{}", held.len());
        assert!(refused >= FLOOD - CONNECTIONS_PER_KEY_MAX, "{refused}");
        wait_until("each is counted", || over() == before + refused as u64);
        works(&cluster, &desk);
        drop(held);
        wait_until("their places are free", || open() < 100);
        wait_until("it comes in again", || shake(&daemon, &greedy).is_ok());
    }
}
