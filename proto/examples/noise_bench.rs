//! Measures calls over loopback between two processes, encrypted: one round trip, and chunks that are put and read.
//!
//! ```text
//! cargo run --release -p wolfdisk-proto --example noise_bench
//! ```
//!
//! Prints the median and the 99th percentile of a round trip in microseconds, and MiB/s of calls that carry 4 MiB, one
//! after the other on one connection and on two.

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::member::{MemberKind, Principal, Restrictions, Who};
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::noise::{Connection, Door, Guests, PublicKey, Setup, Welcome, serve};
use wolfdisk_proto::v1::{self, ChunkClient, ChunkFramed};
use zeroize::Zeroizing;

const SERVICE: u8 = 2;
const SHARED_KEY: [u8; 32] = [9; 32];
const WARM_UP: usize = 500;
const CALLS: usize = 10_000;
const LARGE_BYTES: usize = 4 << 20;
const LARGE_CALLS: usize = 100;
const HANDSHAKES: usize = 200;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => answer(),
        _ => measure(),
    }
}

/// Lets everybody in.
struct Open;

impl Door for Open {
    fn shared_key(&self, _: Who) -> Option<Zeroizing<[u8; 32]>> {
        Some(Zeroizing::new(SHARED_KEY))
    }

    fn admit(&self, who: Who, key: &PublicKey, _: SocketAddr) -> Result<Principal, Failure> {
        Ok(Principal {
            who,
            kind: MemberKind::Node,
            member: 1,
            name: "beta".into(),
            public_key: *key,
            restrictions: Restrictions::default(),
        })
    }

    fn welcome(&self) -> Welcome {
        Welcome::default()
    }
}

/// Serves until the standard input ends.
fn answer() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("an address");
        println!("{}", listener.local_addr().expect("an address"));
        let setup = Setup {
            static_key: Zeroizing::new([1; 32]),
            door: Arc::new(Open),
            guests: Arc::new(Guests::default()),
            on_close: Arc::new(|_| ()),
        };
        let (stop, stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let mut rest = Vec::new();
            let read = std::io::stdin().read_to_end(&mut rest);
            read.expect("standard input");
            stop.send(())
        });
        let service = ChunkFramed(Arc::new(common::Toy::default()));
        tokio::select! {
            ended = serve(listener, service, setup) => ended.expect("it goes on"),
            _ = stopped => {}
        }
    });
}

struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("the server ends");
    }
}

fn connect(address: SocketAddr) -> Connection {
    let credentials = Credentials {
        cluster: None,
        who: Who::Node,
        kind: MemberKind::Node,
        name: "beta".into(),
        shared_key: Zeroizing::new(SHARED_KEY),
        static_key: Zeroizing::new([3; 32]),
        node_key: None,
        addresses: Vec::new(),
    };
    let within = Duration::from_secs(5);
    Connection::open(address, SERVICE, &credentials, within).expect("let in")
}

fn measure() {
    let own = std::env::current_exe().expect("a program");
    let child = Command::new(own)
        .arg("serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a server");
    let mut serving = Serving(child);
    let mut line = String::new();
    let said = serving.0.stdout.as_mut().expect("a pipe");
    let said = BufReader::new(said).read_line(&mut line);
    said.expect("the server is ready");
    let address: SocketAddr = line.trim().parse().expect("an address");

    let start = Instant::now();
    (0..HANDSHAKES).for_each(|_| drop(connect(address)));
    let each = start.elapsed().as_secs_f64() * 1e6 / HANDSHAKES as f64;
    println!("handshake  {each:8.1} us");

    let client = ChunkClient(Mutex::new(connect(address)));
    let hello = || {
        let answer = client.hello(&mut Options::default(), &v1::Empty {});
        answer.expect("an answer");
    };
    (0..WARM_UP).for_each(|_| hello());
    let mut figures: Vec<f64> = (0..CALLS)
        .map(|_| {
            let start = Instant::now();
            hello();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    let at = |part: f64| figures[((figures.len() - 1) as f64 * part) as usize];
    println!("round trip {:8.1} us   99 % {:6.1} us", at(0.5), at(0.99));

    for connections in [1, 2] {
        println!(
            "put 4 MiB  {:8.0} MiB/s on {connections}",
            throughput(address, connections, put)
        );
        println!(
            "read 4 MiB {:8.0} MiB/s on {connections}",
            throughput(address, connections, read)
        );
    }
}

type Client = ChunkClient<Mutex<Connection>>;

fn put(client: &Client) {
    let request = v1::PutRequest {
        claimed_id: vec![4; 32].into(),
        source: Some(v1::put_request::Source::Data(vec![8; LARGE_BYTES].into())),
        privileged: false,
    };
    client
        .put(&mut Options::default(), &request)
        .expect("an answer");
}

fn read(client: &Client) {
    let request = v1::ReadRequest {
        length: LARGE_BYTES as u32,
        ..v1::ReadRequest::default()
    };
    let reply = client.read(&mut Options::default(), &request);
    assert_eq!(reply.expect("an answer").data.len(), LARGE_BYTES);
}

/// MiB/s of a call on so many connections at once.
fn throughput(address: SocketAddr, connections: usize, call: fn(&Client)) -> f64 {
    let clients: Vec<_> = (0..connections)
        .map(|_| ChunkClient(Mutex::new(connect(address))))
        .collect();
    clients.iter().for_each(call);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for client in &clients {
            scope.spawn(move || (0..LARGE_CALLS).for_each(|_| call(client)));
        }
    });
    let bytes = connections * LARGE_CALLS * LARGE_BYTES;
    bytes as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64()
}
