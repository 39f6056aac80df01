//! Daemons that ask each other: connections are shared, made anew, and opened only to whom they are meant for.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::member::{MemberKind, Principal, Restrictions, Who};
use zeroize::Zeroizing;

use super::{AsyncPool, Door, Guests, PublicKey, Setup, Welcome, serve};
use crate::call::{AsyncCaller, Call};
use crate::calls::Calls;
use crate::failure::Failure;
use crate::framed::{Dispatch, HEADER_BYTES};

const SERVICE: u8 = 9;
const DEADLINE: Duration = Duration::from_secs(20);
/// What methods do.
const ECHO: u8 = 1;
const WAIT: u8 = 2;
const DENY: u8 = 3;

#[derive(Clone, Default)]
struct Node {
    /// Those that wait are answered.
    enough: Arc<Notify>,
    waiting: Arc<AtomicU64>,
}

impl Dispatch for Node {
    const SERVICE: u8 = SERVICE;
    const NAME: &'static str = "Node";

    fn calls(&self) -> &Calls {
        static CALLS: LazyLock<Calls> = LazyLock::new(|| Calls::new(&[]));
        &CALLS
    }

    async fn dispatch(&self, _: &mut Call, method: u8, body: Bytes) -> Result<Vec<u8>, Failure> {
        match method {
            WAIT => {
                let enough = self.enough.notified();
                self.waiting.fetch_add(1, Ordering::Relaxed);
                enough.await;
            }
            DENY => return Err(Failure::Denied("another".into())),
            _ => {}
        }
        Ok([&[0; HEADER_BYTES][..], &body].concat())
    }
}

struct Open;

impl Door for Open {
    fn shared_key(&self, _: Who) -> Option<Zeroizing<[u8; 32]>> {
        Some(Zeroizing::new([9; 32]))
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
        Welcome {
            protocol: crate::PROTOCOL_VERSION,
            cluster: [4; 16],
            ..Welcome::default()
        }
    }
}

/// A daemon.
struct Daemon {
    address: SocketAddr,
    node: Node,
    guests: Arc<Guests>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Daemon {
    async fn start(address: SocketAddr) -> Daemon {
        let listener = TcpListener::bind(address).await.expect("an address");
        let (node, guests) = (Node::default(), Arc::new(Guests::default()));
        let setup = Setup {
            static_key: Zeroizing::new([1; 32]),
            door: Arc::new(Open),
            guests: guests.clone(),
            on_close: Arc::new(|_| ()),
        };
        Daemon {
            address: listener.local_addr().expect("an address"),
            node: node.clone(),
            guests,
            serving: tokio::spawn(serve(listener, node, setup)),
        }
    }

    async fn anywhere() -> Daemon {
        Daemon::start((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Ends, with its connections.
    async fn end(self) {
        self.serving.abort();
        self.serving.await.ok();
        self.guests.expel_others(|_| false);
    }

    fn accepted(&self) -> u64 {
        let counters = self.guests.counters();
        let accepted = counters
            .iter()
            .find(|(name, _)| *name == "connections_accepted");
        accepted.expect("it is counted").1
    }
}

fn credentials() -> Credentials {
    Credentials {
        cluster: Some(Uuid::from_bytes([4; 16])),
        who: Who::Node,
        kind: MemberKind::Node,
        name: "beta".into(),
        shared_key: Zeroizing::new([9; 32]),
        static_key: Zeroizing::new([3; 32]),
        node_key: None,
        addresses: Vec::new(),
    }
}

fn pool(addresses: Vec<SocketAddr>) -> AsyncPool {
    pool_of(credentials(), addresses)
}

fn pool_of(credentials: Credentials, addresses: Vec<SocketAddr>) -> AsyncPool {
    AsyncPool::new(Arc::new(credentials), SERVICE, move || addresses.clone())
}

async fn ask(pool: &AsyncPool, method: u8, within: Duration) -> Result<Bytes, Failure> {
    let frame = [&[0; HEADER_BYTES][..], b"hello"].concat();
    pool.call(within, SERVICE, method, frame).await
}

#[tokio::test]
async fn one_connection_is_used_again_and_calls_at_a_time_have_their_own() {
    let daemon = Daemon::anywhere().await;
    let pool = pool(vec![daemon.address]);
    for _ in 0..10 {
        assert_eq!(ask(&pool, ECHO, DEADLINE).await.expect("answered"), "hello");
    }
    assert_eq!(daemon.accepted(), 1);
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let pool = pool.clone();
        calls.spawn(async move { ask(&pool, WAIT, DEADLINE).await });
    }
    let since = Instant::now();
    while daemon.node.waiting.load(Ordering::Relaxed) < 3 {
        assert!(since.elapsed() < DEADLINE, "they come");
        tokio::task::yield_now().await;
    }
    daemon.node.enough.notify_waiters();
    for answer in calls.join_all().await {
        assert_eq!(answer.expect("answered"), "hello");
    }
    assert_eq!(daemon.accepted(), 3);
    daemon.end().await;
}

#[tokio::test]
async fn a_daemon_that_starts_again_is_reached_within_one_call() {
    let daemon = Daemon::anywhere().await;
    let pool = pool(vec![daemon.address]);
    ask(&pool, ECHO, DEADLINE).await.expect("answered");
    let address = daemon.address;
    daemon.end().await;
    let again = Daemon::start(address).await;
    ask(&pool, ECHO, DEADLINE).await.expect("answered");
    again.end().await;
    let gone = ask(&pool, ECHO, DEADLINE).await;
    assert!(matches!(gone, Err(Failure::Disconnected(_))), "{gone:?}");
}

#[tokio::test]
async fn a_call_that_is_not_answered_ends_in_time_and_its_connection_with_it() {
    let daemon = Daemon::anywhere().await;
    let pool = pool(vec![daemon.address]);
    ask(&pool, ECHO, DEADLINE).await.expect("answered");
    let late = ask(&pool, WAIT, Duration::from_millis(50)).await;
    assert!(matches!(late, Err(Failure::Deadline(_))), "{late:?}");
    // Its answer, if it came now, would not be taken for that of the next.
    assert_eq!(ask(&pool, ECHO, DEADLINE).await.expect("answered"), "hello");
    assert_eq!(daemon.accepted(), 2);
    daemon.end().await;
}

#[tokio::test]
async fn who_says_that_another_is_meant_is_not_kept() {
    let daemon = Daemon::anywhere().await;
    let pool = pool(vec![daemon.address]);
    let denied = ask(&pool, DENY, DEADLINE).await;
    assert_eq!(denied, Err(Failure::Denied("another".into())));
    ask(&pool, ECHO, DEADLINE).await.expect("answered");
    assert_eq!(daemon.accepted(), 2);
    daemon.end().await;
}

#[tokio::test]
async fn an_address_where_nobody_is_does_not_hold_up_the_next() {
    let daemon = Daemon::anywhere().await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    // It accepts and says nothing.
    let silent = taken.local_addr().expect("an address");
    let since = Instant::now();
    let pool = pool(vec![silent, daemon.address]);
    ask(&pool, ECHO, DEADLINE).await.expect("answered");
    assert!(since.elapsed() < crate::limits::HANDSHAKE_DEADLINE);
    daemon.end().await;
}

#[tokio::test]
async fn nobody_is_reached_with_another_key_or_in_another_cluster() {
    let daemon = Daemon::anywhere().await;
    let stranger = Credentials {
        shared_key: Zeroizing::new([8; 32]),
        ..credentials()
    };
    let elsewhere = Credentials {
        cluster: Some(Uuid::from_bytes([5; 16])),
        ..credentials()
    };
    for refused in [stranger, elsewhere] {
        let pool = pool_of(refused, vec![daemon.address]);
        let asked = ask(&pool, ECHO, DEADLINE).await;
        assert!(matches!(asked, Err(Failure::Denied(_))), "{asked:?}");
    }
    let unknown = ask(&pool(Vec::new()), ECHO, DEADLINE).await;
    assert!(
        matches!(unknown, Err(Failure::Disconnected(_))),
        "{unknown:?}"
    );
    daemon.end().await;
}
