//! Who asks daemons for mutations, and asks again until there is an answer: each is done once, whoever decided about it and
//! how often it was asked for. What a session was told is looked for by it, and a lock that it was given is nobody else's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::type_config::TypeConfigExt;
use parking_lot::Mutex;
use rand::Rng;
use wolfdisk_common::ids::{Ino, Sequence, SessionId, Version};
use wolfdisk_common::name::FileName;

use super::super::Voter;
use super::SimTypes;
use super::daemon::times;
use super::faulty::Fault;
use super::network::{Net, Peer};
use super::record::{Begun, Order, Record};
use super::rights::{Held, beat, way};
use super::runtime::{Machine, OUTSIDE, by_chance, note, spawn_on};
use crate::index::op::{Answer, Kind, LockMode, Op, Origin};
use crate::index::record::Access;
use crate::service::Seen;

/// An attempt takes no longer; the next may be made of another node.
const PATIENCE: Duration = Duration::from_millis(1500);
const THINKING_MS: u64 = 80;
/// Between two looks of who does nothing else.
const LOOKING_MS: u64 = 20;
/// Names that all use.
const SHARED: u32 = 3;
/// The file that is locked.
const LOCKED: &str = "locked";

/// What sessions were told, in the order of versions. All copies are the same one.
#[derive(Clone)]
pub struct History {
    told: Arc<Mutex<Told>>,
    record: Record,
}

#[derive(Default)]
struct Told {
    order: Order,
    /// Who was given the lock and has not asked for its end.
    holder: Option<i64>,
    answers: usize,
    looks: u64,
    /// Looks that a session answered for itself, by what it held.
    held: u64,
    /// The last change of each name that somebody was told of.
    names: BTreeMap<String, Version>,
}

impl History {
    /// What is wrong is told to `record`.
    pub fn new(record: Record) -> History {
        History {
            told: Arc::default(),
            record,
        }
    }

    /// How many mutations were answered, and how many looks.
    pub fn done(&self) -> (usize, u64) {
        let told = self.told.lock();
        (told.answers, told.looks)
    }

    /// How many looks a session answered for itself.
    pub fn held(&self) -> u64 {
        self.told.lock().held
    }

    fn begin(&self) -> Begun {
        self.told.lock().order.begin()
    }

    fn keep(&self, outcome: Result<(), String>) {
        if let Err(what) = outcome {
            self.record.fail(what);
        }
    }

    fn answered(&self, begun: Begun, answer: &Answer) {
        let mut told = self.told.lock();
        told.answers += 1;
        let kept = match answer.errno {
            0 => told.order.wrote(begun, answer.version.0),
            _ => told.order.read(begun, Some(answer.version.0)),
        };
        drop(told);
        self.keep(kept);
    }

    fn looked(&self, begun: Begun, version: u64) {
        let mut told = self.told.lock();
        told.looks += 1;
        let kept = told.order.read(begun, Some(version));
        drop(told);
        self.keep(kept);
    }

    fn last_change(&self, name: &str) -> Version {
        self.told
            .lock()
            .names
            .get(name)
            .copied()
            .unwrap_or_default()
    }

    /// A name was made or removed.
    fn changed(&self, name: &str, version: Version) {
        let mut told = self.told.lock();
        let last = told.names.entry(name.to_owned()).or_default();
        *last = version.max(*last);
    }

    /// A name was seen as it was at `version`, by who knew of a change of it when it began to look.
    fn saw(&self, changed: Version, name: &str, version: Version, held: bool) {
        self.told.lock().held += u64::from(held);
        if version < changed {
            let what = format!("{name} was seen as of {version:?} after its change at {changed:?}");
            self.record.fail(what);
        }
    }

    fn locked(&self, by: i64) {
        if let Some(other) = self.told.lock().holder.replace(by) {
            self.record
                .fail(format!("{by} was given a lock that {other} has"));
        }
    }

    fn gives_back(&self) {
        self.told.lock().holder = None;
    }
}

struct Session {
    number: i64,
    net: Net,
    history: History,
    fault: Option<Fault>,
    id: SessionId,
    sequence: u64,
    held: Held,
}

/// See the module. Goes on until the run ends.
pub async fn session(number: i64, net: Net, history: History, fault: Option<Fault>) {
    let mut session = Session {
        number,
        net,
        history,
        fault,
        id: SessionId(0),
        sequence: 0,
        held: Held::default(),
    };
    session.open().await;
    let (held, net) = (session.held.clone(), session.net.clone());
    drop(spawn_on(OUTSIDE, beat(session.id, held, net)));
    let lock = session.lock_file().await;
    for round in 0.. {
        match by_chance(|random| random.random_range(0..8)) {
            0 => session.hold(lock).await,
            1..=4 => session.share().await,
            _ => session.come_and_go(round).await,
        }
    }
}

/// Looks at shared names all the time, and holds nothing. Goes on until the run ends.
pub async fn looker(net: Net, history: History, fault: Option<Fault>) {
    let looker = Session {
        number: 0,
        net,
        history,
        fault,
        id: SessionId(0),
        sequence: 0,
        held: Held::default(),
    };
    loop {
        let text = shared();
        let changed = looker.history.last_change(&text);
        let seen = looker.look(&text).await;
        looker.history.saw(changed, &text, seen.version, false);
        let pause = by_chance(|random| random.random_range(1..=LOOKING_MS));
        SimTypes::sleep(Duration::from_millis(pause)).await;
    }
}

fn shared() -> String {
    format!(
        "shared-{}",
        by_chance(|random| random.random_range(0..SHARED))
    )
}

fn name(text: &str) -> FileName {
    FileName::new(text.as_bytes()).expect("a name")
}

fn create(text: &str) -> Op {
    Op::Create {
        parent: Ino::ROOT,
        name: name(text),
        kind: Kind::File,
        permissions: 0o644,
        umask: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        symlink: Bytes::new(),
    }
}

fn unlink(text: &str) -> Op {
    Op::Unlink {
        parent: Ino::ROOT,
        name: name(text),
        directory: false,
        keep_open: false,
        openers: Vec::new(),
    }
}

impl Session {
    async fn think() {
        let thinking = by_chance(|random| random.random_range(1..=THINKING_MS));
        SimTypes::sleep(Duration::from_millis(thinking)).await;
    }

    /// A node that may decide, or any.
    fn choose(&self) -> Option<(Voter, Peer)> {
        let mut peers = self.net.peers();
        let leads = |peer: &Peer| peer.daemon.as_ref().is_some_and(|daemon| daemon.leads());
        let any = by_chance(|random| random.random_ratio(1, 10));
        if !any && peers.iter().any(|(_, peer)| leads(peer)) {
            peers.retain(|(_, peer)| leads(peer));
        }
        match peers.len() {
            0 => None,
            count => Some(peers.swap_remove(by_chance(|random| random.random_range(0..count)))),
        }
    }

    /// Opened by whoever answers; one of which the answer got lost is left behind.
    async fn open(&mut self) {
        let op = Op::OpenSession {
            frontend: "sim".to_owned(),
            place: self.number.to_string(),
            pid: 0,
            access: Access::Shared,
            member: 0,
        };
        let opened = self.ask(op, None).await;
        self.id = opened.session.expect("a session was opened");
    }

    async fn mutate(&mut self, op: Op) -> Answer {
        self.sequence += 1;
        let origin = Origin {
            session: self.id,
            sequence: Sequence(self.sequence),
            acknowledged: Sequence(self.sequence - 1),
        };
        self.ask(op, Some(origin)).await
    }

    /// Asks until there is an answer.
    async fn ask(&self, op: Op, origin: Option<Origin>) -> Answer {
        let begun = self.history.begin();
        loop {
            Session::think().await;
            let Some((voter, peer)) = self.choose() else {
                continue;
            };
            let Some(daemon) = peer.daemon else {
                continue;
            };
            let op = op.clone();
            let asked = spawn_on(Machine(voter.0.0), async move {
                daemon.ask(op, origin)?.answer().await
            });
            match SimTypes::timeout(PATIENCE, asked).await {
                Ok(Ok(Some(answer))) => {
                    note(format_args!(
                        "session {} is told {} of {origin:?} by {voter}, version {}",
                        self.number, answer.errno, answer.version.0
                    ));
                    self.history.answered(begun, &answer);
                    return answer;
                }
                Ok(_) => {}
                Err(_) => note(format_args!("session {} gives up on {voter}", self.number)),
            }
        }
    }

    /// What a name means, by whoever says that he knows.
    async fn look(&self, text: &str) -> Seen {
        let begun = self.history.begin();
        loop {
            way().await;
            let Some((voter, peer)) = self.held.choose(&self.net) else {
                continue;
            };
            let Some(daemon) = peer.daemon else {
                continue;
            };
            let (asked, sure) = (text.to_owned(), self.fault != Some(Fault::AnswersUnsure));
            let id = self.id;
            let seen = spawn_on(Machine(voter.0.0), async move {
                daemon.lookup(id, asked.as_bytes(), times().1, sure)
            });
            let seen = seen.await;
            way().await;
            match seen {
                Ok(Ok(Some(seen))) => {
                    self.history.looked(begun, seen.version.0);
                    self.held.keep(text, &seen);
                    return seen;
                }
                Ok(Err(error)) => self.fail(format!("{voter} cannot read: {error}")),
                Ok(Ok(None)) | Err(_) => {}
            }
        }
    }

    fn fail(&self, what: String) {
        self.history
            .record
            .fail(format!("session {}: {what}", self.number));
    }

    async fn lock_file(&mut self) -> Ino {
        let made = self.mutate(create(LOCKED)).await;
        if ![0, libc::EEXIST].contains(&made.errno) {
            self.fail(format!("it cannot be made: {}", made.errno));
        }
        match self.look(LOCKED).await.found {
            Some(ino) => ino,
            None => {
                self.fail("what was made is not there".to_owned());
                std::future::pending().await
            }
        }
    }

    /// A name that nobody else uses: it is made once and removed once.
    async fn come_and_go(&mut self, round: u64) {
        let text = format!("{}-{round}", self.number);
        let made = self.mutate(create(&text)).await;
        if made.errno != 0 {
            self.fail(format!("making {text} gave {}", made.errno));
        }
        if self.look(&text).await.found.is_none() {
            self.fail(format!("{text} was made and is not there"));
        }
        let removed = self.mutate(unlink(&text)).await;
        if removed.errno != 0 {
            self.fail(format!("removing {text} gave {}", removed.errno));
        }
        if self.look(&text).await.found.is_some() {
            self.fail(format!("{text} was removed and is there"));
        }
    }

    /// A name that all make and remove, and look at.
    async fn share(&mut self) {
        let text = shared();
        let changed = self.history.last_change(&text);
        let (op, refused) = match by_chance(|random| random.random_range(0..6)) {
            0 => (create(&text), libc::EEXIST),
            1 => (unlink(&text), libc::ENOENT),
            _ => {
                let seen = self.held.seen(&text);
                let version = match seen {
                    Some((version, _)) => version,
                    None => self.look(&text).await.version,
                };
                self.history.saw(changed, &text, version, seen.is_some());
                return Session::think().await;
            }
        };
        self.held.forget(&text);
        let answer = self.mutate(op).await;
        match answer.errno {
            0 => self.history.changed(&text, answer.version),
            errno if errno == refused => {}
            errno => self.fail(format!("{text} gave {errno}")),
        }
    }

    async fn hold(&mut self, ino: Ino) {
        let set = |mode| Op::SetLock {
            ino,
            owner: 1,
            mode,
            start: 0,
            end: u64::MAX,
            pid: 0,
        };
        match self.mutate(set(LockMode::Write)).await.errno {
            0 => {}
            libc::EAGAIN => return,
            errno => return self.fail(format!("locking gave {errno}")),
        }
        self.history.locked(self.number);
        Session::think().await;
        self.history.gives_back();
        let errno = self.mutate(set(LockMode::Unlock)).await.errno;
        if errno != 0 {
            self.fail(format!("unlocking gave {errno}"));
        }
    }
}
