//! What the one thread owns: index, log, and the memory of sessions, under one lock.
//!
//! The lock is held for short sections without await. Threads beside the reactor take it too, for as
//! short: to list what to destage, to freeze an overlay.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use wolfdisk_common::ids::{Incarnation, LogIndex, SessionId, Term, Version};

use super::batch::{InFlight, Pending, Touched};
use crate::consensus::Replication;
use crate::consensus::raft::leader_of;
use crate::index::Index;
use crate::index::checkpoint::RedbTable;
use crate::index::overlay::State;
use crate::index::table::TableError;
use crate::machine::barrier::{BarrierId, Wait};
use crate::machine::coherence::Coherence;
use crate::machine::liveness::Liveness;
use crate::machine::lock_wait::{LockWaits, WaiterId};

/// The index over its checkpoint.
pub type Store = Index<State<RedbTable>>;

/// See the module.
pub struct Core {
    /// The state at the last accepted entry.
    pub index: Store,
    /// Where entries go.
    pub log: Box<dyn Replication>,
    /// The term in which this node decides; none: another does, or nobody.
    pub(super) leads: Option<Term>,
    /// This life of the daemon.
    incarnation: Incarnation,
    pub(super) coherence: Coherence,
    pub(super) liveness: Liveness,
    pub(super) lock_waits: LockWaits,
    /// Requests that wait for a lock.
    pub(super) lock_parked: HashMap<WaiterId, Pending>,
    pub(super) queue: VecDeque<Pending>,
    /// Proposed and not accepted yet, in the order of their tickets, and what they touch.
    pub(super) in_flight: VecDeque<InFlight>,
    pub(super) touched: Touched,
    pub(super) barriers: HashMap<BarrierId, oneshot::Sender<()>>,
    /// Nothing more is queued.
    pub(super) closed: bool,
    pub(super) feeds: HashMap<SessionId, Arc<Notify>>,
    /// The sessions that belong to members, and to which.
    pub(super) members: HashMap<SessionId, u64>,
    /// Entries that are applied and not durable: which version each made.
    pub(super) undurable: VecDeque<(LogIndex, Version)>,
    /// Mutations applied, batches made, and so on, since the start.
    pub(super) counters: Counts,
    /// Mutations applied, by what they do.
    pub(super) operations: BTreeMap<&'static str, u64>,
}

/// Counters of one process, for people.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub mutations: u64,
    pub batches: u64,
    pub barriers: u64,
    pub lock_waits: u64,
    pub repeated: u64,
    pub expired_sessions: u64,
    pub repacked_bytes: u64,
    /// What members of other machines asked for and may not have.
    pub denied: u64,
}

impl Core {
    /// Puts the parts together. If it is for this node to decide, sessions in the index are adopted.
    ///
    /// # Errors
    /// The index could not be read.
    pub fn new(
        index: Store,
        log: Box<dyn Replication>,
        incarnation: Incarnation,
        now: Duration,
    ) -> Result<Core, TableError> {
        let mut core = Core {
            index,
            log,
            leads: None,
            incarnation,
            coherence: Coherence::new(0),
            liveness: Liveness::default(),
            feeds: HashMap::new(),
            members: HashMap::new(),
            closed: false,
            lock_waits: LockWaits::default(),
            lock_parked: HashMap::new(),
            queue: VecDeque::new(),
            in_flight: VecDeque::new(),
            touched: Touched::default(),
            barriers: HashMap::new(),
            undurable: VecDeque::new(),
            counters: Counts::default(),
            operations: BTreeMap::new(),
        };
        core.look_who_leads(now)?;
        Ok(core)
    }

    /// The number of the first notice of a time of deciding: greater than all of times before, which sessions may still
    /// confirm. 2^40 notices to a session in one such time are never reached, nor 2^23 starts of a node that stands alone,
    /// nor that many elections.
    pub(super) fn notices_from(&self, term: Term) -> u64 {
        const NOTICE_BITS: u32 = 40;
        const ELECTED: u64 = 1 << 23;
        let time = match leader_of(term).term {
            0 => self.incarnation.0,
            elected => ELECTED | elected,
        };
        time << NOTICE_BITS
    }

    /// So many bytes of sparse chunks were packed anew.
    pub fn count_repacked(&mut self, bytes: u64) {
        self.counters.repacked_bytes += bytes;
    }

    /// Whether a session is open and that of this member; of 0: of nobody on another machine but a node.
    pub(super) fn is_session_of(&self, session: SessionId, member: u64) -> bool {
        self.owner(session) == member && self.coherence.knows(session)
    }

    /// Whether a session is open and that of another.
    pub(super) fn is_foreign(&self, session: SessionId, member: u64) -> bool {
        self.owner(session) != member && self.coherence.knows(session)
    }

    /// The open sessions of a member.
    pub(super) fn sessions_of(&self, member: u64) -> Vec<SessionId> {
        let sessions = self.members.iter();
        let own = sessions.filter(|(_, of)| **of == member);
        own.map(|(session, _)| *session).collect()
    }

    fn owner(&self, session: SessionId) -> u64 {
        self.members.get(&session).copied().unwrap_or_default()
    }

    /// Opens a barrier; its end is told on the receiver. None: nothing to wait for.
    pub(super) fn open_barrier(&mut self, waits: &[Wait]) -> Option<oneshot::Receiver<()>> {
        for wait in waits {
            self.wake_feed(wait.session);
        }
        let id = self.coherence.barrier(waits)?;
        self.counters.barriers += 1;
        let (sender, receiver) = oneshot::channel();
        self.barriers.insert(id, sender);
        Some(receiver)
    }

    pub(super) fn barriers_fell(&mut self, fallen: Vec<BarrierId>) {
        for id in fallen {
            if let Some(sender) = self.barriers.remove(&id) {
                // An asker that has gone away needs no answer.
                let _ = sender.send(());
            }
        }
    }

    pub(super) fn wake_feed(&self, session: SessionId) {
        if let Some(feed) = self.feeds.get(&session) {
            feed.notify_one();
        }
    }

    /// The last version that survives a power cut: what precedes the first entry that does not.
    pub(super) fn durable_version(&mut self) -> Version {
        let version = self.index.version();
        self.entry_of(version);
        match self.undurable.front() {
            Some((_, first)) => Version(first.0.saturating_sub(1)),
            None => version,
        }
    }

    /// The log entry that must be durable for everything up to `version` to be. None: it is.
    pub(super) fn entry_of(&mut self, version: Version) -> Option<LogIndex> {
        let durable = self.log.watermarks().durable;
        while self
            .undurable
            .front()
            .is_some_and(|(index, _)| *index <= durable)
        {
            self.undurable.pop_front();
        }
        let mut before = self
            .undurable
            .iter()
            .rev()
            .skip_while(|(_, made)| *made > version);
        before.next().map(|(index, _)| *index)
    }
}
