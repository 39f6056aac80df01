//! Nodes that talk over real connections, and those that may not.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use openraft::alias::{SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::async_runtime::WatchReceiver;
use openraft::errors::{ReplicationClosed, StreamingError};
use openraft::impls::EmptyNode;
use openraft::network::RPCOption;
use openraft::raft::SnapshotResponse;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{Config, EntryPayload, Raft, RaftNetworkV2, SnapshotPolicy};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::ids::{LogIndex, NodeNumber};
use wolfdisk_common::member::{MemberKind, Principal, Restrictions, Who};
use wolfdisk_common::time::Timestamp;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::calls::Calls;
use wolfdisk_proto::framed::{self, Dispatch};
use wolfdisk_proto::noise::{self, AsyncPool, Door, Guests, PublicKey, Setup, Welcome};
use wolfdisk_proto::v1::{self, META_METHODS, META_SERVICE, MetaAsyncClient};
use wolfdisk_proto::{Failure, PROTOCOL_VERSION};
use zeroize::Zeroizing;

use super::answering::{Answers, RaftPeer, SnapshotSink, Taken, sender};
use super::asking::{Addresses, Line, Network, Sendable};
use crate::consensus::raft::snapshot::SnapshotParts;
use crate::consensus::raft::store::RaftStore;
use crate::consensus::raft::{Leader, LogId, Types, Vote, Voter, payload, place_of};
use crate::index::op::{Entry, Op};
use crate::index::table::Applied;
use crate::log::LogOptions;
use crate::log::store::Log;

pub(in crate::consensus::raft) const HEARTBEAT_MS: u64 = 250;
/// Whatever happened, it is in order by then.
pub(in crate::consensus::raft) const SETTLED: Duration = Duration::from_secs(60);
const ENTRIES: u32 = 1000;
/// Of each snapshot.
const PARTS: usize = 5;
/// The key that nodes share, and that of one client.
pub(in crate::consensus::raft) const CLUSTER_KEY: [u8; 32] = [9; 32];
const CLIENT_KEY: [u8; 32] = [8; 32];
/// The number of that client.
const CLIENT: u8 = 77;

/// A snapshot that is no more than its parts.
#[derive(Clone, Default)]
struct Parts {
    id: [u8; 16],
    parts: Vec<Bytes>,
    /// Which ones were asked for.
    asked: Arc<Mutex<Vec<u64>>>,
    /// One that cannot be read.
    damaged: Option<u64>,
}

impl Parts {
    fn asked(&self) -> Vec<u64> {
        self.asked.lock().expect("nobody panicked").clone()
    }
}

impl SnapshotParts for Parts {
    fn id(&self) -> [u8; 16] {
        self.id
    }

    fn part(&self, number: u64) -> io::Result<Option<Bytes>> {
        self.asked.lock().expect("nobody panicked").push(number);
        match self.damaged == Some(number) {
            true => Err(io::ErrorKind::InvalidData.into()),
            false => Ok(self.parts.get(number as usize).cloned()),
        }
    }
}

impl Sendable for Parts {
    fn parts(self) -> Option<Arc<dyn SnapshotParts>> {
        Some(Arc::new(self))
    }
}

/// Keeps parts in memory. A snapshot has [`PARTS`].
#[derive(Default)]
struct Memory(Mutex<Parts>);

impl SnapshotSink for Memory {
    type Data = Parts;

    fn wanted(&self, id: &[u8; 16]) -> u64 {
        let known = self.0.lock().expect("nobody panicked");
        match *id == known.id {
            true => known.parts.len() as u64,
            false => 0,
        }
    }

    fn take(&self, id: &[u8; 16], number: u64, part: &[u8]) -> io::Result<Taken<Parts>> {
        let mut known = self.0.lock().expect("nobody panicked");
        if *id != known.id {
            *known = Parts {
                id: *id,
                ..Parts::default()
            };
        }
        if number == known.parts.len() as u64 {
            known.parts.push(Bytes::copy_from_slice(part));
        }
        Ok(match known.parts.len() {
            PARTS => Taken::Whole(std::mem::take(&mut known)),
            count => Taken::Next(count as u64),
        })
    }
}

/// What a node has applied, and the snapshot that it was given.
#[derive(Clone)]
struct Machine {
    state: Arc<Mutex<State>>,
    store: RaftStore,
}

#[derive(Default)]
struct State {
    applied: Option<LogId>,
    membership: StoredMembershipOf<Types>,
    entries: Vec<Bytes>,
    snapshot: Vec<Bytes>,
}

impl Machine {
    fn entries(&self) -> Vec<Bytes> {
        let state = self.state.lock().expect("nobody panicked");
        state.entries.clone()
    }

    fn snapshot(&self) -> Vec<Bytes> {
        let state = self.state.lock().expect("nobody panicked");
        state.snapshot.clone()
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = Parts;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<Types, Parts>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Parts;
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembershipOf<Types>)> {
        let state = self.state.lock().expect("nobody panicked");
        Ok((state.applied, state.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + Send,
    {
        while let Some(entry) = entries.next().await {
            let (entry, responder) = entry?;
            let mut state = self.state.lock().expect("nobody panicked");
            state.applied = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Normal(proposal) => state.entries.push(proposal.payload),
                EntryPayload::Membership(membership) => {
                    state.membership =
                        StoredMembershipOf::<Types>::new(Some(entry.log_id), membership);
                }
                EntryPayload::Blank => {}
            }
            if let Some(responder) = responder {
                responder.send(());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Machine {
        self.clone()
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMetaOf<Types>,
        snapshot: Parts,
    ) -> io::Result<()> {
        let last = meta.last_log_id.expect("it is of something");
        self.store.begin_at(LogIndex(place_of(last.index).0 + 1));
        let mut state = self.state.lock().expect("nobody panicked");
        state.applied = meta.last_log_id;
        state.membership = meta.last_membership.clone();
        state.snapshot = snapshot.parts;
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<Types, Parts>>> {
        Ok(None)
    }
}

/// Where the nodes are.
#[derive(Clone, Default)]
pub(in crate::consensus::raft) struct Book(
    pub(in crate::consensus::raft) Arc<Mutex<BTreeMap<Voter, SocketAddr>>>,
);

impl Addresses for Book {
    fn of(&self, voter: Voter) -> Vec<SocketAddr> {
        let known = self.0.lock().expect("nobody panicked");
        known.get(&voter).copied().into_iter().collect()
    }
}

/// Lets in nodes, whose static keys are their numbers, and one client.
pub(in crate::consensus::raft) struct TestDoor;

impl Door for TestDoor {
    fn shared_key(&self, who: Who) -> Option<Zeroizing<[u8; 32]>> {
        match who {
            Who::Node => Some(Zeroizing::new(CLUSTER_KEY)),
            Who::Member(number) => {
                (number == u64::from(CLIENT)).then_some(Zeroizing::new(CLIENT_KEY))
            }
            Who::Joining(_) => None,
        }
    }

    fn admit(&self, who: Who, key: &PublicKey, _: SocketAddr) -> Result<Principal, Failure> {
        let is_of = |number: &u8| noise::public_key(&[*number; 32]).is_ok_and(|own| own == *key);
        let number = (1..=CLIENT).find(is_of);
        let number = number.ok_or_else(|| Failure::Denied("nobody".into()))?;
        Ok(Principal {
            who,
            kind: match who {
                Who::Node => MemberKind::Node,
                Who::Member(_) | Who::Joining(_) => MemberKind::Client,
            },
            member: number.into(),
            name: String::new(),
            public_key: *key,
            restrictions: Restrictions::default(),
        })
    }

    fn welcome(&self) -> Welcome {
        Welcome {
            protocol: PROTOCOL_VERSION,
            ..Welcome::default()
        }
    }
}

pub(in crate::consensus::raft) fn credentials(
    who: Who,
    number: u8,
    shared_key: [u8; 32],
) -> Arc<Credentials> {
    Arc::new(Credentials {
        cluster: None,
        who,
        kind: MemberKind::Node,
        name: String::new(),
        shared_key: Zeroizing::new(shared_key),
        static_key: Zeroizing::new([number; 32]),
        node_key: None,
        addresses: Vec::new(),
    })
}

pub(in crate::consensus::raft) fn voter(number: u8) -> Voter {
    Voter(NodeNumber(number.into()))
}

/// As much of the service as nodes ask each other for.
#[derive(Clone)]
pub(in crate::consensus::raft) struct Answering(pub(in crate::consensus::raft) Arc<dyn RaftPeer>);

impl Dispatch for Answering {
    const SERVICE: u8 = META_SERVICE;
    const NAME: &'static str = "Meta";

    fn calls(&self) -> &Calls {
        static CALLS: LazyLock<Calls> = LazyLock::new(|| Calls::new(META_METHODS));
        &CALLS
    }

    async fn dispatch(&self, call: &mut Call, method: u8, body: Bytes) -> Result<Vec<u8>, Failure> {
        let from = sender(call)?;
        match META_METHODS[usize::from(method) - 1] {
            "raft_append" => {
                let reply = self.0.append(from, framed::decode(body)?).await?;
                Ok(framed::encode(&reply))
            }
            "raft_vote" => {
                let reply = self.0.vote(from, framed::decode(body)?).await?;
                Ok(framed::encode(&reply))
            }
            "raft_install" => {
                let reply = self.0.install(from, framed::decode(body)?).await?;
                Ok(framed::encode(&reply))
            }
            "raft_hand_over" => {
                let reply = self.0.hand_over(from, framed::decode(body)?).await?;
                Ok(framed::encode(&reply))
            }
            other => Err(Failure::Unsupported(other.to_owned())),
        }
    }
}

struct Host {
    number: u8,
    raft: Raft<Types, Machine>,
    machine: Machine,
    guests: Arc<Guests>,
    serving: JoinHandle<io::Result<()>>,
    directory: TempDir,
}

impl Host {
    async fn start(number: u8, book: &Book) -> Host {
        Host::start_in(TempDir::new().expect("room"), number, book).await
    }

    /// The same on what it had before.
    async fn start_in(directory: TempDir, number: u8, book: &Book) -> Host {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let options = LogOptions {
            segment_bytes: 1 << 20,
            ..LogOptions::default()
        };
        let log = Log::open(disk.clone(), &directory.path().join("log"), &options);
        let log = log.expect("a log");
        let store = RaftStore::open(&disk, directory.path(), log, Applied::default());
        let store = store.expect("a store");
        let machine = Machine {
            state: Arc::default(),
            store: store.clone(),
        };
        let config = Config {
            heartbeat_interval: HEARTBEAT_MS,
            election_timeout_min: 4 * HEARTBEAT_MS,
            election_timeout_max: 6 * HEARTBEAT_MS,
            enable_leader_restore: Some(false),
            enable_pre_vote: Some(true),
            snapshot_policy: SnapshotPolicy::Never,
            ..Config::default()
        };
        let config = Arc::new(config.validate().expect("a configuration"));
        let network = network(number, book);
        let raft = Raft::new(voter(number), config, network, store, machine.clone());
        let raft = raft.await.expect("it starts");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("an address");
        let address = listener.local_addr().expect("an address");
        let mut known = book.0.lock().expect("nobody panicked");
        known.insert(voter(number), address);
        let guests = Arc::new(Guests::default());
        let setup = Setup {
            static_key: Zeroizing::new([number; 32]),
            door: Arc::new(TestDoor),
            guests: guests.clone(),
            on_close: Arc::new(|_| ()),
        };
        let sink = Arc::new(Memory::default());
        let answers = Answers::new(voter(number), raft.clone(), sink);
        let serving = noise::serve(listener, Answering(Arc::new(answers)), setup);
        Host {
            number,
            raft,
            machine,
            guests,
            serving: tokio::spawn(serving),
            directory,
        }
    }

    fn vote(&self) -> Vote {
        self.raft.metrics().borrow_watched().vote
    }

    /// Ends. Gives what it leaves on its disk.
    async fn end(self) -> TempDir {
        self.serving.abort();
        self.serving.await.ok();
        self.guests.expel_others(|_| false);
        self.raft.shutdown().await.expect("it ends");
        self.directory
    }
}

fn network(number: u8, book: &Book) -> Network<Parts> {
    let credentials = credentials(Who::Node, number, CLUSTER_KEY);
    Network::new(voter(number), credentials, Arc::new(book.clone()))
}

pub(in crate::consensus::raft) async fn eventually<T>(
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> T {
    let looking = async {
        loop {
            match look() {
                Some(found) => return found,
                None => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let found = timeout(SETTLED, looking).await;
    found.unwrap_or_else(|_| panic!("{what}"))
}

/// Who leads.
async fn leader(hosts: &[Host]) -> &Host {
    eventually("one leads", || {
        hosts.iter().find(|host| host.raft.is_leader())
    })
    .await
}

async fn started(count: u8, book: &Book) -> Vec<Host> {
    let mut hosts = Vec::new();
    for number in 1..=count {
        hosts.push(Host::start(number, book).await);
    }
    let voters = (1..=count).map(|number| (voter(number), EmptyNode {}));
    let begun = hosts[0].raft.initialize(voters.collect::<BTreeMap<_, _>>());
    begun.await.expect("begun");
    hosts
}

fn mutation(number: u32) -> Bytes {
    let time = Timestamp {
        seconds: number.into(),
        nanos: 0,
    };
    let entry = Entry {
        time,
        origin: None,
        op: Op::MakeSystemRoot,
    };
    entry.encode()
}

/// Writes these by whoever leads; if that changes meanwhile some may come twice.
async fn write(hosts: &[Host], numbers: std::ops::Range<u32>) {
    let mut left: Vec<u32> = numbers.collect();
    let writing = async {
        while !left.is_empty() {
            let raft = &leader(hosts).await.raft;
            let mut writes = JoinSet::new();
            for number in left.drain(..) {
                let raft = raft.clone();
                writes.spawn(async move {
                    let written = raft.client_write(mutation(number).into()).await;
                    written.is_err().then_some(number)
                });
            }
            left.extend(writes.join_all().await.into_iter().flatten());
        }
    };
    timeout(SETTLED, writing).await.expect("written");
}

/// All have applied the same, and all of these.
async fn check(hosts: &[Host], numbers: std::ops::Range<u32>) {
    let wanted: Vec<Bytes> = numbers.map(mutation).collect();
    for host in hosts {
        eventually("everything is everywhere", || {
            let entries = host.machine.entries();
            wanted.iter().all(|one| entries.contains(one)).then_some(())
        })
        .await;
    }
    let all: Vec<_> = hosts.iter().map(|host| host.machine.entries()).collect();
    let shortest = all.iter().map(Vec::len).min().unwrap_or_default();
    for entries in &all {
        assert_eq!(entries[..shortest], all[0][..shortest]);
    }
}

#[tokio::test]
async fn three_nodes_elect_replicate_hand_over_and_go_on_without_one() {
    let book = Book::default();
    let mut hosts = started(3, &book).await;
    write(&hosts, 0..ENTRIES).await;
    check(&hosts, 0..ENTRIES).await;

    let first = leader(&hosts).await;
    let next = hosts.iter().find(|host| host.number != first.number);
    let next = next.expect("another").number;
    let handed = first.raft.trigger().transfer_leader(voter(next)).await;
    handed.expect("it leads");
    eventually("the other leads", || {
        (leads(&hosts) == Some(next)).then_some(())
    })
    .await;

    let gone = hosts.iter().position(|host| host.number == next);
    let left = hosts.remove(gone.expect("it is there")).end().await;
    write(&hosts, ENTRIES..ENTRIES + 10).await;
    check(&hosts, 0..ENTRIES + 10).await;

    // It comes back at another address.
    hosts.push(Host::start_in(left, next, &book).await);
    check(&hosts, 0..ENTRIES + 10).await;
    for host in hosts {
        host.end().await;
    }
}

/// Whom all agree on.
fn leads(hosts: &[Host]) -> Option<u8> {
    let leader = hosts.iter().find(|host| host.raft.is_leader())?;
    let told = |host: &Host| host.raft.metrics().borrow_watched().current_leader;
    let all = hosts
        .iter()
        .all(|host| told(host) == Some(voter(leader.number)));
    all.then_some(leader.number)
}

/// What somebody with these credentials is answered by node 1.
async fn asked(
    book: &Book,
    who: Arc<Credentials>,
    message: v1::RaftVoteRequest,
) -> Result<v1::RaftVoteReply, Failure> {
    let addresses = book.of(voter(1));
    let pool = AsyncPool::new(who, META_SERVICE, move || addresses.clone());
    MetaAsyncClient(pool).raft_vote(SETTLED, &message).await
}

#[tokio::test]
async fn only_nodes_take_part_and_each_speaks_for_itself() {
    let book = Book::default();
    let host = Host::start(1, &book).await;
    let before = host.vote();
    let message = v1::RaftVoteRequest {
        from: 2,
        to: 1,
        ballot: Some(v1::RaftBallot {
            term: 9,
            leader: 2,
            committed: false,
        }),
        ..Default::default()
    };
    let stranger = credentials(Who::Node, 2, [7; 32]);
    match asked(&book, stranger, message).await {
        Err(Failure::Denied(told)) => assert!(told.contains("let this machine in"), "{told}"),
        other => panic!("a stranger: {other:?}"),
    }

    let client = credentials(Who::Member(CLIENT.into()), CLIENT, CLIENT_KEY);
    let as_client = v1::RaftVoteRequest {
        from: CLIENT.into(),
        ..message
    };
    let elsewhere = v1::RaftVoteRequest { to: 3, ..message };
    let for_another = v1::RaftVoteRequest { from: 3, ..message };
    let node = |number| credentials(Who::Node, number, CLUSTER_KEY);
    for (who, message, why) in [
        (client, as_client, "only nodes"),
        (node(3), message, "may not speak as node 2"),
        (node(2), elsewhere, "for node 3"),
    ] {
        match asked(&book, who, message).await {
            Err(Failure::Denied(told)) => assert!(told.contains(why), "{told}"),
            other => panic!("{why}: {other:?}"),
        }
    }
    // By its own name, for another.
    let refused = asked(&book, node(3), for_another).await;
    assert!(matches!(refused, Err(Failure::Invalid(_))), "{refused:?}");
    assert_eq!(host.vote(), before, "none of them changed anything");

    let granted = asked(&book, node(2), message).await.expect("answered");
    assert!(granted.granted);
    host.end().await;
}

fn vote(term: u64) -> Vote {
    let node_id = voter(1);
    Vote {
        leader_id: Leader { term, node_id },
        committed: true,
    }
}

fn meta(index: u64) -> SnapshotMetaOf<Types> {
    let leader_id = vote(1).leader_id;
    let last = Some(LogId { leader_id, index });
    let membership = payload::membership(&[vec![NodeNumber(1), NodeNumber(2)]], &[]);
    SnapshotMetaOf::<Types> {
        last_log_id: last,
        last_membership: StoredMembershipOf::<Types>::new(last, membership),
    }
}

/// Node 1 sends a snapshot of everything up to `index`.
async fn send(
    line: &mut Line<Parts>,
    vote: Vote,
    index: u64,
    parts: &Parts,
) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
    let snapshot = SnapshotOf::<Types, Parts> {
        meta: meta(index),
        snapshot: parts.clone(),
    };
    let never = std::future::pending::<ReplicationClosed>();
    let option = RPCOption::new(SETTLED);
    line.full_snapshot(vote, snapshot, never, option).await
}

#[tokio::test]
async fn a_snapshot_goes_on_where_it_stopped() {
    let book = Book::default();
    let host = Host::start(2, &book).await;
    let mut line = network(1, &book).line(voter(2));
    let parts = |id, damaged| Parts {
        id: [id; 16],
        parts: (0..PARTS as u8)
            .map(|number| vec![number + id; 1000].into())
            .collect(),
        asked: Arc::default(),
        damaged,
    };
    let damaged = parts(1, Some(3));
    let stopped = send(&mut line, vote(2), 9, &damaged).await;
    let stopped = stopped.expect_err("it cannot be read").to_string();
    assert!(
        stopped.contains("node 2: part 3 of the snapshot"),
        "{stopped}"
    );
    assert_eq!(damaged.asked(), [0, 1, 2, 3]);

    let whole = parts(1, None);
    let sent = send(&mut line, vote(2), 9, &whole).await.expect("sent");
    assert_eq!(sent.vote, vote(2));
    assert_eq!(whole.asked(), [3, 4]);
    assert_eq!(host.machine.snapshot(), whole.parts);

    // What is there is not sent again.
    let again = parts(1, None);
    send(&mut line, vote(2), 9, &again).await.expect("sent");
    assert!(again.asked().is_empty());

    // Nor does one send that leads no more, whom the answer tells so.
    let late = parts(3, None);
    let told = send(&mut line, vote(1), 19, &late).await.expect("answered");
    assert_eq!(told.vote, vote(2));
    assert!(late.asked().is_empty());

    // Another snapshot begins anew, and so does one between whose parts another came.
    let other = parts(4, Some(2));
    send(&mut line, vote(2), 19, &other)
        .await
        .expect_err("damaged");
    let other = parts(5, None);
    send(&mut line, vote(2), 29, &other).await.expect("sent");
    assert_eq!(other.asked(), [0, 1, 2, 3, 4]);
    assert_eq!(host.machine.snapshot(), other.parts);
    host.end().await;
}
