//! A daemon inside the test: the real service over a real directory, on a thread of its own, and
//! front-ends that speak frames to it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use uuid::Uuid;
use wolfdisk_common::cluster_key::ClusterKey;
use wolfdisk_common::config::{Arguments, Config};
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::identity::Identity;
use wolfdisk_common::node_id::NodeId;
use wolfdisk_common::paths::Paths;
use wolfdisk_common::ticket::Tickets;
use wolfdisk_meta::index::invariants::check;
use wolfdisk_meta::service::{self, Keys, Service};
use wolfdisk_meta::tasks::checkpoint;
use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::{self, MetaClient};

/// Longest a test waits for anything.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A directory with a node in it.
pub struct Node {
    directory: tempfile::TempDir,
}

/// A running daemon.
pub struct Daemon {
    socket: PathBuf,
    service: Arc<Service>,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<Arc<Service>>>,
}

impl Node {
    pub fn new() -> Node {
        let directory = tempfile::tempdir().expect("a directory");
        let node = Node { directory };
        let id = NodeId::parse("test").expect("an id");
        Identity::init(&node.config().paths(), id).expect("initialised");
        node
    }

    /// What is configured; `group`: where it looks for others.
    pub fn config_in(&self, group: &str) -> Config {
        // A file of its own, so that nothing of this machine's configuration gets in.
        let config = self.directory.path().join("config.toml");
        let text = format!("[node]\nbind = \"127.0.0.1:0\"\n[cluster]\ndiscovery = \"{group}\"\n");
        std::fs::write(&config, text).expect("written");
        let data_dir = Some(self.directory.path().join("data"));
        let arguments = Arguments {
            config: Some(config),
            data_dir,
            ..Arguments::default()
        };
        Config::load(&arguments).expect("a configuration")
    }

    fn config(&self) -> Config {
        self.config_in("none")
    }

    /// The service without a socket; nothing runs it.
    pub fn open(&self) -> Arc<Service> {
        self.try_open().expect("an index")
    }

    /// The same, if that can be.
    pub fn try_open(&self) -> anyhow::Result<Arc<Service>> {
        let config = self.config();
        let identity = Identity::load_for(&config).expect("an identity");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        wolfdisk_meta::run::open(&disk, &config.paths().meta_dir(), &identity, &config)
    }

    /// Where its things are.
    pub fn paths(&self) -> Paths {
        self.config().paths()
    }

    /// Its cluster.
    pub fn volume(&self) -> Uuid {
        Identity::load_for(&self.config())
            .expect("an identity")
            .volume
    }

    /// What its cluster proves to its members.
    pub fn tickets(&self) -> Tickets {
        Tickets::new(&ClusterKey::load(&self.config().paths()).expect("a key"))
    }

    pub fn start(&self) -> Daemon {
        let paths = self.config().paths();
        paths.create_run_dir().expect("a directory");
        let service = self.open();
        let keys = Keys::load(&paths).expect("keys");
        service.trust().hold(keys);
        let bound = service::bind(&self.config().node).expect("bound");
        let listener = bound.expect("a listener");
        let (socket, stop) = (paths.meta_socket(), Arc::new(Notify::new()));
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = {
            let (socket, stop, service) = (socket.clone(), stop.clone(), service.clone());
            std::thread::spawn(move || run(service, listener, &socket, &stop, ready))
        };
        is_ready
            .recv_timeout(DEADLINE)
            .expect("the daemon is ready");
        let daemon = Daemon {
            socket,
            service,
            stop,
            thread: Some(thread),
        };
        daemon.wait_until_reachable();
        daemon
    }

    /// That of its cluster.
    pub fn cluster_key(&self) -> ClusterKey {
        ClusterKey::load(&self.config().paths()).expect("a key")
    }
}

fn run(
    service: Arc<Service>,
    listener: std::net::TcpListener,
    socket: &Path,
    stop: &Notify,
    ready: std::sync::mpsc::Sender<()>,
) -> Arc<Service> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let told = || ready.send(()).expect("the test waits");
        tokio::select! {
            () = stop.notified() => {}
            outcome = service::listen(service.clone(), socket, told) => outcome.expect("listening"),
            () = service.run_batches() => {}
            () = service.run_timer() => {}
            outcome = service::serve_others(service.clone(), listener) => outcome.expect("listening"),
        }
    });
    service.abandon();
    service
}

impl Daemon {
    /// The service itself.
    pub fn service(&self) -> Arc<Service> {
        self.service.clone()
    }

    pub fn status(&self) -> v1::MetaStatus {
        let meta = MetaClient(Arc::new(Pool::new(self.socket.clone())));
        meta.status(&mut options(), &v1::Empty {})
            .expect("a status")
    }

    /// It has registered itself and listens for other machines.
    fn wait_until_reachable(&self) {
        let until = std::time::Instant::now() + DEADLINE;
        while self.status().listens.is_empty() {
            assert!(std::time::Instant::now() < until, "it listens");
            std::thread::yield_now();
        }
    }

    /// Ends without a checkpoint: what is not in the log is lost.
    pub fn kill(mut self) {
        self.end();
    }

    /// Ends with a checkpoint.
    pub fn stop(mut self) {
        let service = self.end().expect("it ran");
        checkpoint::once(&service, None).expect("a checkpoint");
    }

    /// Ends; all that always holds of an index must hold.
    pub fn stop_well(mut self) {
        let service = self.end().expect("it ran");
        let core = service.core();
        let breaches = check(core.index.records()).expect("readable");
        assert_eq!(breaches, Vec::new());
    }

    fn end(&mut self) -> Option<Arc<Service>> {
        self.stop.notify_one();
        self.thread
            .take()
            .map(|thread| thread.join().expect("the daemon did not panic"))
    }

    /// A new front-end.
    pub fn session(&self, frontend: &str) -> Session {
        let pool = Arc::new(Pool::new(self.socket.clone()));
        Session::open(MetaClient(pool), frontend)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// A front-end's session. It outlives a restart of the daemon.
#[derive(Clone)]
pub struct Session {
    pub meta: MetaClient<Arc<Pool>>,
    pub id: u64,
    sequence: Arc<std::sync::atomic::AtomicU64>,
    opens: Arc<std::sync::atomic::AtomicU64>,
}

impl Session {
    fn open(meta: MetaClient<Arc<Pool>>, frontend: &str) -> Session {
        let request = v1::OpenSessionRequest {
            frontend: frontend.into(),
            ..Default::default()
        };
        let reply = meta
            .open_session(&mut options(), &request)
            .expect("a session");
        Session {
            meta,
            id: reply.session,
            sequence: Arc::default(),
            opens: Arc::default(),
        }
    }

    /// The request for a mutation with the next number.
    pub fn request(&self, op: Op) -> v1::MutateRequest {
        let sequence = self
            .sequence
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
            + 1;
        v1::MutateRequest {
            session: self.id,
            sequence,
            acknowledged: sequence.saturating_sub(64),
            op: Some(op),
            ..Default::default()
        }
    }

    pub fn send(&self, request: &v1::MutateRequest) -> v1::MutateReply {
        self.meta
            .mutate(&mut options(), request)
            .expect("an answer")
    }

    pub fn mutate(&self, op: Op) -> v1::MutateReply {
        self.send(&self.request(op))
    }

    /// Creates a file in the root directory; answers its inode.
    pub fn create(&self, name: &str) -> u64 {
        let reply = self.mutate(create(name));
        assert_eq!(reply.errno, 0, "create {name}");
        reply.attrs.first().expect("attributes").ino
    }

    pub fn lookup(&self, name: &str) -> v1::LookupReply {
        let name = Bytes::copy_from_slice(name.as_bytes());
        let request = v1::LookupRequest {
            session: self.id,
            parent: 1,
            name,
        };
        self.meta
            .lookup(&mut options(), &request)
            .expect("an answer")
    }

    /// One of the daemon's counters.
    pub fn counter(&self, name: &str) -> u64 {
        let status = self
            .meta
            .status(&mut options(), &v1::Empty {})
            .expect("a status");
        status.counters.get(name).copied().expect("a counter")
    }

    pub fn attr(&self, ino: u64) -> Option<v1::Attr> {
        let request = v1::GetAttrRequest {
            session: self.id,
            ino,
        };
        self.meta
            .get_attr(&mut options(), &request)
            .ok()
            .and_then(|reply| reply.attr)
    }

    /// The number of the last open.
    pub fn last_open(&self) -> u64 {
        self.opens.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub fn open_file(&self, ino: u64, write: bool) -> v1::OpenReply {
        let number = self
            .opens
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
            + 1;
        let request = v1::OpenRequest {
            session: self.id,
            ino,
            write,
            with_map: true,
            number,
        };
        self.meta.open(&mut options(), &request).expect("opened")
    }

    /// All bytes of a small file.
    pub fn content(&self, ino: u64) -> Vec<u8> {
        let map = self.open_file(ino, false).map.expect("a map");
        assert_eq!(map.covered_to, map.size);
        let mut bytes = Vec::new();
        for piece in map.pieces {
            match piece.source.expect("a source") {
                v1::piece::Source::Data(data) => bytes.extend_from_slice(&data),
                v1::piece::Source::Hole(_) => bytes.resize(bytes.len() + piece.length as usize, 0),
                v1::piece::Source::Chunk(_) => panic!("nothing is in chunks here"),
            }
        }
        bytes
    }

    pub fn feed(&self, confirmed: u64, wait: Duration) -> v1::FeedReply {
        let request = v1::FeedRequest {
            session: self.id,
            confirmed,
            wait_ms: wait.as_millis() as u32,
            ..Default::default()
        };
        self.meta.feed(&mut options(), &request).expect("a feed")
    }

    /// Feeds until something is to be dropped.
    pub fn told(&self, confirmed: u64) -> v1::FeedReply {
        let until = std::time::Instant::now() + DEADLINE;
        while std::time::Instant::now() < until {
            let reply = self.feed(confirmed, Duration::from_millis(500));
            if !reply.invalidations.is_empty() {
                return reply;
            }
        }
        panic!("nothing was told");
    }
}

pub fn options() -> Options {
    Options::within(DEADLINE)
}

pub fn create(name: &str) -> Op {
    Op::Create(v1::Create {
        parent: 1,
        name: Bytes::copy_from_slice(name.as_bytes()),
        mode: libc::S_IFREG | 0o644,
        ..Default::default()
    })
}

pub fn unlink(name: &str) -> Op {
    let name = Bytes::copy_from_slice(name.as_bytes());
    Op::Unlink(v1::Unlink {
        parent: 1,
        name,
        directory: false,
    })
}

pub fn truncate(ino: u64, size: u64) -> Op {
    Op::Setattr(v1::SetAttr {
        ino,
        size: Some(size),
        ..Default::default()
    })
}

pub fn write(ino: u64, offset: u64, data: &[u8]) -> Op {
    let piece = v1::WritePiece {
        offset,
        length: data.len() as u64,
        source: Some(v1::write_piece::Source::Data(Bytes::copy_from_slice(data))),
    };
    Op::Write(v1::Write {
        ino,
        pieces: vec![piece],
        ..Default::default()
    })
}

pub fn lock(ino: u64, owner: u64, kind: v1::set_lock::Type, wait_ms: u32) -> Op {
    Op::Lock(v1::SetLock {
        ino,
        owner,
        r#type: kind as i32,
        end: u64::MAX,
        wait_ms,
        ..Default::default()
    })
}
