//! Three nodes of Raft over real connections, one of which lacks what is gone from the log.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::impls::EmptyNode;
use openraft::{Config, Raft, SnapshotPolicy};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::ids::{Ino, LogIndex};
use wolfdisk_common::member::Who;
use wolfdisk_common::name::FileName;
use wolfdisk_common::time::Timestamp;
use wolfdisk_proto::noise::{self, Guests, Setup};
use zeroize::Zeroizing;

use super::super::{Intake, Snapshot};
use super::site::{Held, OPTIONS, Site, VOLUME, apply};
use crate::consensus::raft::machine::Machine;
use crate::consensus::raft::store::RaftStore;
use crate::consensus::raft::wire::tests::{
    Answering, Book, CLUSTER_KEY, HEARTBEAT_MS, SETTLED, TestDoor, credentials, eventually, voter,
};
use crate::consensus::raft::wire::{Answers, Network, SnapshotSink, Taken};
use crate::consensus::raft::{Types, place_of};
use crate::index::key::Key;
use crate::index::op::{Entry, Kind, Op};
use crate::index::record::Voters;
use crate::index::records::Read;
use crate::log::{LogOptions, Syncing};
use crate::storage::StorageOptions;

/// Content of a file, which rides in the log: five of them make four parts.
const CONTENT_BYTES: usize = 700_000;

/// What goes wrong with a part when it comes for the first time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// A bit of it is another.
    Damaged,
    /// Nobody hears that it was taken.
    Unheard,
}

/// What is told of parts to a node, and what goes wrong with them.
#[derive(Default)]
struct Told {
    harms: BTreeMap<u64, Harm>,
    /// The numbers of those that came.
    came: Vec<u64>,
}

struct Sink {
    intake: Arc<Intake>,
    told: Arc<Mutex<Told>>,
}

impl SnapshotSink for Sink {
    type Data = Snapshot;

    fn wanted(&self, id: &[u8; 16]) -> u64 {
        self.intake.wanted(id)
    }

    fn take(&self, id: &[u8; 16], number: u64, part: &[u8]) -> io::Result<Taken<Snapshot>> {
        let harm = {
            let mut told = self.told.lock();
            told.came.push(number);
            told.harms.remove(&number)
        };
        let mut part = part.to_vec();
        if harm == Some(Harm::Damaged)
            && let Some(byte) = part.last_mut()
        {
            *byte ^= 1;
        }
        let taken = self.intake.take(id, number, &part);
        match harm {
            Some(Harm::Unheard) => Err(io::ErrorKind::ConnectionReset.into()),
            _ => taken,
        }
    }
}

struct Host {
    number: u8,
    raft: Raft<Types, Machine>,
    site: Site,
    told: Arc<Mutex<Told>>,
    guests: Arc<Guests>,
    serving: JoinHandle<io::Result<()>>,
    applying: JoinHandle<()>,
    directory: TempDir,
}

impl Host {
    async fn start(directory: TempDir, number: u8, book: &Book, told: Told) -> Host {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let options = StorageOptions {
            log: LogOptions {
                syncing: Syncing::Thread {
                    interval: Duration::from_millis(20),
                },
                segment_bytes: 64 * 1024,
                ..OPTIONS.log
            },
            ..OPTIONS
        };
        let site = Site::open(&disk, directory.path(), VOLUME, &options).expect("it starts");
        let applied = site.applied();
        let voters = site.voters();
        let (sending, installing) = (site.sending.clone(), site.installing.clone());
        let machine = Machine::new(applied, voters.as_ref(), sending, installing);
        let config = Config {
            heartbeat_interval: HEARTBEAT_MS,
            election_timeout_min: 4 * HEARTBEAT_MS,
            election_timeout_max: 6 * HEARTBEAT_MS,
            enable_leader_restore: Some(false),
            enable_pre_vote: Some(true),
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: 0,
            ..Config::default()
        };
        let config = Arc::new(config.validate().expect("a configuration"));
        let own = credentials(Who::Node, number, CLUSTER_KEY);
        let network = Network::new(voter(number), own, Arc::new(book.clone()));
        let store = site.store.clone();
        let raft = Raft::new(voter(number), config, network, store, machine.clone());
        let raft = raft.await.expect("it starts");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("an address");
        let address = listener.local_addr().expect("an address");
        let mut known = book.0.lock().expect("nobody panicked");
        known.insert(voter(number), address);
        drop(known);
        let guests = Arc::new(Guests::default());
        let setup = Setup {
            static_key: Zeroizing::new([number; 32]),
            door: Arc::new(TestDoor),
            guests: guests.clone(),
            on_close: Arc::new(|_| ()),
        };
        let told = Arc::new(Mutex::new(told));
        let sink = Arc::new(Sink {
            intake: site.intake.clone(),
            told: told.clone(),
        });
        let answers = Answers::new(voter(number), raft.clone(), sink);
        let serving = noise::serve(listener, Answering(Arc::new(answers)), setup);
        let applying = follow(site.held.clone(), site.store.clone(), machine);
        Host {
            number,
            raft,
            told,
            guests,
            serving: tokio::spawn(serving),
            applying: tokio::spawn(applying),
            site,
            directory,
        }
    }

    fn came(&self) -> Vec<u64> {
        self.told.lock().came.clone()
    }

    /// Writes a checkpoint and gives back what it covers of the log.
    async fn checkpoint(&self) {
        self.site.checkpoint().expect("written");
        self.raft.trigger().snapshot().await.expect("it runs");
        let applied = self.site.applied().index;
        eventually("what the checkpoint covers is purged", || {
            let purged = self.site.store.purged()?;
            (place_of(purged.index) >= applied).then_some(())
        })
        .await;
        let held = self.site.sending.held().expect("readable");
        self.site.store.truncate_before(held).expect("cut");
    }

    async fn end(self) -> TempDir {
        self.serving.abort();
        self.serving.await.ok();
        self.guests.expel_others(|_| false);
        self.raft.shutdown().await.expect("it ends");
        self.applying.abort();
        self.applying.await.ok();
        self.directory
    }
}

impl Site {
    fn voters(&self) -> Option<Voters> {
        let index = self.held.index.lock();
        index.records().load(&Key::Voters).expect("readable")
    }
}

/// What a daemon does with what is committed.
async fn follow(held: Arc<Held>, store: RaftStore, machine: Machine) {
    let mut committed = machine.committed();
    loop {
        let upto = *committed.borrow_and_update();
        {
            let mut index = held.index.lock();
            while index.records().applied().index < upto {
                let next = LogIndex(index.records().applied().index.0 + 1);
                let (term, payload) = store.read_entry(next).expect("it is there");
                apply(&mut index, next, term, payload).expect("applied");
            }
        }
        if committed.changed().await.is_err() {
            return;
        }
    }
}

async fn started(book: &Book) -> Vec<Host> {
    let mut hosts = Vec::new();
    for number in 1..=3 {
        let directory = TempDir::new().expect("room");
        hosts.push(Host::start(directory, number, book, Told::default()).await);
    }
    let voters = (1..=3).map(|number| (voter(number), EmptyNode {}));
    let begun = hosts[0].raft.initialize(voters.collect::<BTreeMap<_, _>>());
    begun.await.expect("begun");
    hosts
}

async fn leader(hosts: &[Host]) -> &Host {
    eventually("one leads", || {
        hosts.iter().find(|host| host.raft.is_leader())
    })
    .await
}

/// Has one lead. Another may win the election that a request makes, which is then asked again.
async fn lead(hosts: &[Host], which: usize) {
    let raft = &hosts[which].raft;
    let leading = async {
        while !raft.is_leader() {
            let other = leader(hosts).await;
            let handed = other.raft.trigger().transfer_leader(*raft.node_id()).await;
            handed.expect("it runs");
            let followed = eventually("another leads", || {
                hosts
                    .iter()
                    .find(|host| host.raft.is_leader() && host.number != other.number)
            });
            followed.await;
        }
    };
    timeout(SETTLED, leading).await.expect("it leads");
}

/// Has whoever leads write it; twice if that changes meanwhile.
async fn write(hosts: &[Host], op: Op) {
    let payload = Entry {
        time: Timestamp::default(),
        origin: None,
        op,
    };
    let payload = payload.encode();
    let writing = async {
        loop {
            let raft = &leader(hosts).await.raft;
            if raft.client_write(payload.clone().into()).await.is_ok() {
                return;
            }
        }
    };
    timeout(SETTLED, writing).await.expect("written");
}

async fn make(hosts: &[Host], text: &str) {
    let name = FileName::new(text.as_bytes()).expect("a name");
    let create = Op::Create {
        parent: Ino::ROOT,
        name,
        kind: Kind::File,
        permissions: 0o644,
        umask: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        symlink: Bytes::new(),
    };
    write(hosts, create).await;
    let leading = leader(hosts).await;
    let ino = eventually("it is applied", || {
        let index = leading.site.held.index.lock();
        let found = index.lookup(Ino::ROOT, text.as_bytes()).expect("readable");
        found.map(|(ino, _)| ino)
    })
    .await;
    let data = vec![text.len() as u8; CONTENT_BYTES].into();
    let kill_suid = false;
    write(
        hosts,
        Op::Append {
            ino,
            data,
            kill_suid,
        },
    )
    .await;
}

/// All hold the same, and all that it needs.
async fn check(hosts: &[Host]) {
    eventually("all have come as far", || {
        let at = hosts.iter().map(|host| host.site.applied().index);
        let (first, last) = (at.clone().min(), at.max());
        let written = hosts.iter().map(|host| host.site.store.written()).max();
        (first == last && last == written).then_some(())
    })
    .await;
    for host in hosts {
        assert!(host.site.content() == hosts[0].site.content());
        host.site.check_needed();
        assert!(host.site.left_over().is_empty());
    }
}

/// Ends node 3 and has the others write what it then lacks.
async fn without_the_third(book: &Book) -> (Vec<Host>, TempDir) {
    let mut hosts = started(book).await;
    make(&hosts, "all have it").await;
    check(&hosts).await;
    let away = hosts.pop().expect("the third").end().await;
    for text in ["one", "three", "seventeen", "four"] {
        make(&hosts, text).await;
    }
    check(&hosts).await;
    for host in &hosts {
        host.checkpoint().await;
    }
    (hosts, away)
}

#[tokio::test]
async fn a_node_that_was_away_gets_the_index_however_often_the_transfer_breaks_off() {
    let book = Book::default();
    let (mut hosts, away) = without_the_third(&book).await;
    let harms = [(1, Harm::Damaged), (2, Harm::Unheard)];
    let told = Told {
        harms: harms.into(),
        came: Vec::new(),
    };
    hosts.push(Host::start(away, 3, &book, told).await);
    check(&hosts).await;
    // The damaged part came again, what nobody heard of did not.
    assert_eq!(hosts[2].came(), [0, 1, 1, 2, 3]);
    assert_eq!(hosts[2].site.manifest().generation, 2);

    // It goes on with the others, also from what it has on its disk, and may lead.
    make(&hosts, "afterwards").await;
    check(&hosts).await;
    hosts[2].checkpoint().await;
    let gone = hosts.pop().expect("the third").end().await;
    hosts.push(Host::start(gone, 3, &book, Told::default()).await);
    check(&hosts).await;
    lead(&hosts, 2).await;
    make(&hosts, "by the third").await;
    check(&hosts).await;
    for host in hosts {
        host.end().await;
    }
}

#[tokio::test]
async fn a_node_that_is_restarted_in_a_transfer_goes_on_with_it() {
    let book = Book::default();
    let (mut hosts, away) = without_the_third(&book).await;
    let harmed = Told {
        harms: [(2, Harm::Damaged)].into(),
        came: Vec::new(),
    };
    let third = Host::start(away, 3, &book, harmed).await;
    eventually("the third part has come", || {
        third.told.lock().harms.is_empty().then_some(())
    })
    .await;
    let away = third.end().await;
    hosts.push(Host::start(away, 3, &book, Told::default()).await);
    check(&hosts).await;
    let came = hosts[2].came();
    assert!(!came.contains(&0) && !came.contains(&1), "{came:?}");
    for host in hosts {
        host.end().await;
    }
}
