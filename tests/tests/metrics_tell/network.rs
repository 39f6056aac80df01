//! What is told of other machines: members, their connections and handshakes, and what was refused to them; what a mount
//! on one of them keeps of chunks.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wolfdisk_client::KnownNodes;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::limits::HALF_OPEN_PER_ADDRESS_MAX;
use wolfdisk_proto::noise::{Connection, Pool};
use wolfdisk_proto::v1::{self, CHUNK_SERVICE, ChunkClient, META_SERVICE, MetaClient};
use wolfdisk_tests::{
    Daemon, Node, Numbers, Plan, Random, program, run, wait_until, write_durably,
};

use crate::{grown, grown_of, is_same, meta, mount, same};

const CALL_DEADLINE: Duration = Duration::from_secs(10);
const CONNECTIONS: u32 = 7;
const GARBLED: u32 = 11;
const CROWDED: u32 = 5;
const BYTES: u32 = 4 << 20;

/// The data directory of a machine that joined.
fn join(node: &Node, name: &str, options: &[&str]) -> PathBuf {
    let token = node.control(&[&["join-token"], options].concat());
    assert_eq!(token.code, Some(0), "{token:?}");
    let data = node.scratch().path().join(name);
    let mut control = Command::new(program("wolfdiskctl"));
    let join = [
        "init",
        "--join",
        token.stdout.trim(),
        "--id",
        name,
        "--data-dir",
    ];
    let joined = run(control.args(join).arg(&data));
    assert_eq!(joined.code, Some(0), "{joined:?}");
    data
}

/// One of the daemons, as another machine reaches it.
struct Listener {
    address: SocketAddr,
    service: u8,
    prefix: &'static str,
    admin: String,
}

impl Listener {
    fn both(node: &Node, own: &Credentials) -> [Listener; 2] {
        let address = own.addresses.first().expect("an address");
        let address: SocketAddr = address.parse().expect("an address");
        let listener = |address, service, prefix, daemon| Listener {
            address,
            service,
            prefix,
            admin: node.admin(daemon),
        };
        let meta = listener(address, META_SERVICE, "wolfdisk_meta", Daemon::Meta);
        let port = meta.shake(own).expect("a member").welcome().chunk_port;
        let address = SocketAddr::new(address.ip(), port);
        let chunkd = listener(address, CHUNK_SERVICE, "wolfdisk_chunk", Daemon::Chunkd);
        [meta, chunkd]
    }

    fn shake(&self, own: &Credentials) -> Result<Connection, wolfdisk_proto::Failure> {
        Connection::open(self.address, self.service, own, CALL_DEADLINE)
    }

    fn silent(&self) -> TcpStream {
        TcpStream::connect(self.address).expect("connected")
    }

    fn pool(&self, own: &Arc<Credentials>) -> Pool {
        let nodes = KnownNodes::new(vec![self.address.to_string()]);
        Pool::new(Arc::clone(own), self.service, Arc::new(nodes))
    }

    /// One of its numbers, by its name without what it begins with.
    fn now(&self, name: &str) -> f64 {
        Numbers::at(&self.admin).of(&format!("{}_{name}", self.prefix))
    }

    fn refused(&self, reason: &str) -> f64 {
        self.now(&format!(
            "lan_connections_refused_total{{reason=\"{reason}\"}}"
        ))
    }

    /// What somebody who comes over the network does, and what is told of it meanwhile.
    fn is_told(&self, own: &Credentials) {
        let names = [
            "lan_connections_open",
            "lan_connections_total",
            "lan_handshakes_open",
        ];
        wait_until("nobody is connected", || {
            is_same(self.now("lan_connections_open"), 0.0)
        });
        let before = names.map(|name| self.now(name));
        let reasons = ["garbled", "over_limit", "late"];
        let refused = reasons.map(|reason| self.refused(reason));
        let connections: Vec<_> = (0..CONNECTIONS)
            .map(|_| self.shake(own).expect("in"))
            .collect();
        let after = names.map(|name| self.now(name));
        for (number, expected) in [CONNECTIONS, CONNECTIONS, 0].into_iter().enumerate() {
            same(after[number] - before[number], expected, names[number]);
        }
        drop(connections);
        wait_until("they are gone", || {
            is_same(self.now("lan_connections_open"), 0.0)
        });

        for _ in 0..GARBLED {
            let mut stream = self.silent();
            stream.write_all(&[255; 600]).expect("sent");
        }
        wait_until("nonsense is refused", || {
            is_same(self.refused("garbled") - refused[0], f64::from(GARBLED))
        });
        let room = HALF_OPEN_PER_ADDRESS_MAX as u32;
        let silent: Vec<_> = (0..room + CROWDED).map(|_| self.silent()).collect();
        wait_until("the first have to go", || {
            is_same(self.refused("over_limit") - refused[1], f64::from(CROWDED))
                && is_same(self.now("lan_handshakes_open"), f64::from(room))
        });
        wait_until("the others are too late", || {
            is_same(self.refused("late") - refused[2], f64::from(room))
                && is_same(self.now("lan_handshakes_open"), 0.0)
        });
        drop(silent);
    }
}

#[test]
fn members_and_whom_is_let_in_and_what_they_may_not_are_told() {
    let node = Node::start();
    let clients = || meta(&node).of("wolfdisk_meta_members{kind=\"client\"}");
    same(
        meta(&node).of("wolfdisk_meta_members{kind=\"node\"}"),
        1_u32,
        "nodes",
    );
    same(clients(), 0_u32, "clients");
    let data = join(&node, "desk", &["--read-only"]);
    join(&node, "lap", &[]);
    same(clients(), 2_u32, "clients");
    let own = Credentials::of_member(&Paths::new(data))
        .expect("read")
        .expect("it joined");
    let own = Arc::new(own);
    let daemons = Listener::both(&node, &own);
    std::thread::scope(|scope| {
        for daemon in &daemons {
            let own = &own;
            scope.spawn(move || daemon.is_told(own));
        }
    });

    // It may only read.
    let [index, chunks] = &daemons;
    let denied = [index, chunks].map(|daemon| daemon.now("lan_calls_denied_total"));
    let client = MetaClient(index.pool(&own));
    let call = || Options::within(CALL_DEADLINE);
    let opening = v1::OpenSessionRequest {
        frontend: "fuse".to_owned(),
        ..Default::default()
    };
    let opened = client
        .open_session(&mut call(), &opening)
        .expect("a session");
    let create = v1::Create {
        parent: opened.root,
        name: Bytes::from_static(b"new"),
        mode: libc::S_IFREG | 0o600,
        ..Default::default()
    };
    let request = v1::MutateRequest {
        session: opened.session,
        sequence: 1,
        op: Some(v1::mutate_request::Op::Create(create)),
        ..Default::default()
    };
    let answer = client.mutate(&mut call(), &request).expect("an answer");
    assert_eq!(answer.errno, libc::EROFS as u32);
    same(
        index.now("lan_calls_denied_total") - denied[0],
        1_u32,
        "changes",
    );
    let source = Some(v1::put_request::Source::Data(Bytes::from_static(b"new")));
    let put = v1::PutRequest {
        source,
        ..Default::default()
    };
    ChunkClient(chunks.pool(&own))
        .put(&mut call(), &put)
        .expect_err("it may not");
    same(
        chunks.now("lan_calls_denied_total") - denied[1],
        1_u32,
        "puts",
    );

    drop(client);
    let refused = index.refused("denied");
    let removed = node.control(&["node", "remove", "desk"]);
    assert_eq!(removed.code, Some(0), "{removed:?}");
    same(clients(), 1_u32, "clients");
    assert!(index.shake(&own).is_err(), "it is no member");
    same(index.refused("denied") - refused, 1_u32, "refused");
}

#[test]
fn what_a_mount_keeps_of_chunks_of_another_machine_is_told() {
    let node = Node::start();
    write_durably(&node.path("file"), &Random::new().bytes(BYTES as usize));
    let data = Some(join(&node, "desk", &["--no-squash-root"]));
    let desk = Node::start_as(Plan {
        data,
        ..Plan::default()
    });
    let before = mount(&desk);
    assert!(before.of("wolfdisk_volume_cached_range_limit_bytes") > f64::from(BYTES));
    same(
        before.of("wolfdisk_volume_cached_range_bytes"),
        0_u32,
        "before it was read",
    );
    assert_eq!(
        fs::read(desk.path("file")).expect("read").len(),
        BYTES as usize
    );
    let after = mount(&desk);
    same(
        grown(&before, &after, "wolfdisk_volume_cached_range_bytes"),
        BYTES,
        "as it was read",
    );
    let event = |name: &str| {
        let name = format!("wolfdisk_volume_events_total{{event=\"{name}\"}}");
        grown_of(&before, &after, &name)
    };
    same(event("bytes_read"), BYTES, "bytes read");
    assert!(event("range_misses") > 0.5, "somebody had to wait");
}

/// Users who may not use a node are turned away, and counted.
#[test]
fn strangers_of_this_machine_are_told() {
    const STRANGER: u32 = 65_533;
    const TIMES: u32 = 3;
    let node = Node::start();
    for (daemon, prefix, socket) in [
        (Daemon::Meta, "wolfdisk_meta", "meta.sock"),
        (Daemon::Chunkd, "wolfdisk_chunk", "chunkd.sock"),
    ] {
        let name = format!("{prefix}_local_connections_refused_total{{reason=\"stranger\"}}");
        let refused = || Numbers::at(&node.admin(daemon)).of(&name);
        let path = node.data().join("run").join(socket);
        reachable(&path, node.scratch().path());
        let before = refused();
        let connect = format!(
            "import os, socket\nos.setgroups([])\nos.setgid({STRANGER})\nos.setuid({STRANGER})\nfor _ in range({TIMES}):\n \
             one = socket.socket(socket.AF_UNIX)\n one.connect('{}')\n one.recv(1)\n",
            path.display()
        );
        let outcome = run(Command::new("python3").args(["-c", &connect]));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        wait_until("each is counted", || {
            is_same(refused() - before, f64::from(TIMES))
        });
    }
}

/// Lets everybody come to a socket below a folder, whom the daemon itself has then to turn away.
fn reachable(socket: &Path, folder: &Path) {
    for path in socket.ancestors().take_while(|path| *path != folder) {
        let permissions = fs::Permissions::from_mode(0o777);
        fs::set_permissions(path, permissions).expect("changed");
    }
}
