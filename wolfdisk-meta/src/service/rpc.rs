//! The service itself, and the table from the protocol's calls to the functions that answer them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};
use uuid::Uuid;
use wolfdisk_common::ids::{ChunkId, Incarnation, LogIndex, NodeNumber, SessionId};
use wolfdisk_common::ticket::Tickets;
use wolfdisk_common::time::{Clock, Timestamp};
use wolfdisk_discovery::View;
use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::calls::Calls;
use wolfdisk_proto::v1;

use super::callers::Callers;
use super::core::Core;
use super::error::ServiceError;
use super::guard;
use super::room::Rounds;
use super::space::SpaceView;
use super::trust::Trust;
use super::work::Work;
use crate::check::job::Jobs;
use crate::consensus::raft::wire::RaftPeer;
use crate::export::job::Exports;
use crate::index::table::TableError;
use crate::storage::Generations;

/// What the service is told once.
#[derive(Clone, Debug)]
pub struct ServiceOptions {
    /// The node's name.
    pub node: String,
    /// Its number in the index.
    pub number: NodeNumber,
    /// Its configured role.
    pub role: String,
    /// The replication mode, for people.
    pub mode: String,
    /// The volume.
    pub volume: Uuid,
    /// Of new chunks.
    pub chunk_size_bytes: usize,
    /// This life of the daemon.
    pub incarnation: Incarnation,
    /// For members of other machines.
    pub tickets: Tickets,
}

/// See the module.
pub struct Service {
    core: Mutex<Core>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: ServiceOptions,
    /// There is something in the queue.
    pub(super) work: Notify,
    /// A deadline may be earlier than before.
    pub(super) timer: Notify,
    /// Less is undestaged than before.
    pub(super) room: Notify,
    pub(super) durable: watch::Receiver<LogIndex>,
    pub(super) space: SpaceView,
    pub(super) rounds: Rounds,
    trust: Trust,
    /// What is heard of other nodes.
    pub(super) heard: OnceLock<View>,
    /// Who answers the nodes that keep the index with this one; none: it stands alone.
    pub(super) peer: OnceLock<Arc<dyn RaftPeer>>,
    abandoned: Mutex<BTreeSet<ChunkId>>,
    /// Taken by whoever writes a checkpoint, before the core.
    generations: Mutex<Generations>,
    pub(super) failure: watch::Sender<Option<Arc<ServiceError>>>,
    pub(super) started: Duration,
    checks: Jobs,
    exports: Exports,
    /// Files that cannot be read whole, for people.
    damaged_files: Mutex<Vec<String>>,
    checkpoint_wanted: AtomicBool,
    calls: Calls,
    /// What the threads beside the reactor have done.
    pub done: Work,
}

impl Service {
    /// A service over `core`. It answers reads; mutations need [`Service::run_batches`] to run.
    pub fn new(
        core: Core,
        clock: Arc<dyn Clock>,
        space: SpaceView,
        generations: Generations,
        options: ServiceOptions,
    ) -> Arc<Service> {
        let durable = core.log.durable();
        let started = clock.monotonic();
        Arc::new(Service {
            core: Mutex::new(core),
            clock,
            options,
            work: Notify::new(),
            timer: Notify::new(),
            room: Notify::new(),
            durable,
            space,
            rounds: Rounds::default(),
            trust: Trust::default(),
            heard: OnceLock::new(),
            peer: OnceLock::new(),
            abandoned: Mutex::default(),
            generations: Mutex::new(generations),
            failure: watch::Sender::new(None),
            started,
            checks: Jobs::default(),
            exports: Exports::default(),
            damaged_files: Mutex::default(),
            checkpoint_wanted: AtomicBool::new(false),
            calls: Calls::new(v1::META_METHODS),
            done: Work::new(started),
        })
    }

    /// The core, for a short section without await.
    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock()
    }

    /// The files of checkpoints. Whoever writes one holds this, and takes it before the core.
    pub fn generations(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock()
    }

    /// Chunks that were put and that their writers will not name: the next sweep may take them.
    pub fn abandoned(&self) -> MutexGuard<'_, BTreeSet<ChunkId>> {
        self.abandoned.lock()
    }

    /// What it was told.
    pub fn options(&self) -> &ServiceOptions {
        &self.options
    }

    /// What is known of the room on disk.
    pub fn space(&self) -> &SpaceView {
        &self.space
    }

    /// What it counts of its calls.
    pub(super) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// What it is to other machines.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Checks that tools ask for.
    pub fn checks(&self) -> &Jobs {
        &self.checks
    }

    /// Exports that tools ask for.
    pub fn exports(&self) -> &Exports {
        &self.exports
    }

    /// What time it is, for people.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A checkpoint is to be written soon, whether it is due or not.
    pub fn want_checkpoint(&self) {
        self.checkpoint_wanted.store(true, Ordering::Relaxed);
    }

    /// One was written.
    pub fn checkpointed(&self, took: Duration) {
        self.done.checkpointed(self.clock.monotonic(), took);
    }

    /// Whether somebody wants one; from then on nobody does.
    pub fn take_wanted_checkpoint(&self) -> bool {
        self.checkpoint_wanted.swap(false, Ordering::Relaxed)
    }

    /// Says which files cannot be read whole.
    pub fn set_damaged_files(&self, lines: Vec<String>) {
        *self.damaged_files.lock() = lines;
    }

    pub(super) fn damaged_files(&self) -> Vec<String> {
        self.damaged_files.lock().clone()
    }

    fn check(
        &self,
        _call: &mut Call,
        request: v1::CheckRequest,
    ) -> Result<v1::CheckReply, Failure> {
        self.checks.ask(&request)
    }

    async fn export(
        &self,
        _call: &mut Call,
        request: v1::ExportRequest,
    ) -> Result<v1::ExportReply, Failure> {
        self.exports.ask(request).await
    }

    /// The daemon cannot go on.
    pub fn fail(&self, error: ServiceError) {
        tracing::error!(%error, "the daemon ends");
        self.failure.send_modify(|known| {
            known.get_or_insert_with(|| Arc::new(error));
        });
    }

    /// Why the daemon cannot go on, if it cannot.
    pub fn failure(&self) -> Option<Arc<ServiceError>> {
        self.failure.borrow().clone()
    }

    /// Waits until the daemon cannot go on.
    pub async fn failed(&self) -> Arc<ServiceError> {
        let mut failure = self.failure.subscribe();
        loop {
            if let Some(error) = failure.borrow_and_update().clone() {
                return error;
            }
            // `self` holds the sender, so this cannot end.
            if failure.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// As an answer: a failure of the state ends the daemon.
    pub(super) fn broken(&self, error: TableError) -> Failure {
        self.fail(error.into());
        Failure::Unavailable("the index cannot be read".into())
    }

    pub(super) fn stopping() -> Failure {
        Failure::Unavailable("the daemon is stopping".into())
    }

    /// Whoever decides is to be asked.
    pub(super) fn not_leading() -> Failure {
        Failure::Unavailable("this node does not lead".into())
    }

    /// Judges a call from another machine, and counts it if it is refused.
    fn let_in(
        &self,
        callers: Callers,
        call: &Call,
        request: &mut impl guard::Asks,
    ) -> Result<Option<guard::Asker>, Failure> {
        let judged = callers.check(call);
        let judged = judged.and_then(|()| self.guard(call, request));
        if judged.is_err() {
            self.count_denied();
        }
        judged
    }

    /// Somebody asked for what it may not have.
    pub(super) fn count_denied(&self) {
        self.core().counters.denied += 1;
    }

    /// Locks the core for a call that names `session`, which must be the caller's.
    pub(super) fn enter(
        &self,
        call: &Call,
        session: u64,
    ) -> Result<(MutexGuard<'_, Core>, SessionId, Duration), Failure> {
        let member = guard::member_of(call)?;
        let session = SessionId(session);
        let now = self.clock.monotonic();
        let mut core = self.core();
        if !core.may_answer() {
            return Err(Service::not_leading());
        }
        if !core.is_session_of(session, member) {
            return Err(Failure::StaleSession);
        }
        core.liveness.heard(session, now);
        Ok((core, session, now))
    }
}

macro_rules! answers {
    ($($call:ident($request:ident) -> $reply:ident $how:tt, $who:ident;)*) => {
        impl v1::MetaService for Service {
            fn calls(&self) -> &Calls {
                &self.calls
            }

            $(answers!(@one $call $request $reply $how $who);)*
        }
    };
    (@one $call:ident $request:ident $reply:ident inline $who:ident) => {
        async fn $call(&self, call: &mut Call, mut request: v1::$request) -> Result<v1::$reply, Failure> {
            let asker = self.let_in(Callers::$who, call, &mut request)?;
            let mut reply = self.$call(call, request)?;
            if let Some(asker) = asker {
                self.conceal(&asker, &mut reply)?;
            }
            Ok(reply)
        }
    };
    (@one $call:ident $request:ident $reply:ident waits $who:ident) => {
        async fn $call(&self, call: &mut Call, mut request: v1::$request) -> Result<v1::$reply, Failure> {
            let asker = self.let_in(Callers::$who, call, &mut request)?;
            let mut reply = Service::$call(self, call, request).await?;
            if let Some(asker) = asker {
                self.conceal(&asker, &mut reply)?;
            }
            Ok(reply)
        }
    };
}

// Each call with how it is answered and who of other machines may make it.
answers! {
    open_session(OpenSessionRequest) -> OpenSessionReply waits, Members;
    close_session(CloseSessionRequest) -> Empty waits, Members;
    feed(FeedRequest) -> FeedReply waits, Members;
    lookup(LookupRequest) -> LookupReply inline, Members;
    get_attr(GetAttrRequest) -> GetAttrReply inline, Members;
    open(OpenRequest) -> OpenReply waits, Members;
    map(MapRequest) -> MapReply inline, Members;
    read_dir(ReadDirRequest) -> ReadDirReply inline, Members;
    list_xattr(ListXattrRequest) -> ListXattrReply inline, Members;
    get_xattr(GetXattrRequest) -> GetXattrReply inline, Members;
    stat_fs(StatFsRequest) -> StatFsReply inline, Members;
    get_lock(GetLockRequest) -> GetLockReply inline, Members;
    mutate(MutateRequest) -> MutateReply waits, Members;
    sync(SyncRequest) -> SyncReply waits, Members;
    status(Empty) -> MetaStatus inline, Members;
    make_room(MakeRoomRequest) -> MakeRoomReply waits, Members;
    check(CheckRequest) -> CheckReply inline, Nodes;
    lookup_object(LookupObjectRequest) -> LookupObjectReply inline, Members;
    list_keys(ListKeysRequest) -> ListKeysReply inline, Members;
    issue_token(IssueTokenRequest) -> IssueTokenReply waits, Nodes;
    join(JoinRequest) -> JoinReply waits, Joining;
    list_members(Empty) -> ListMembersReply inline, Nodes;
    change_member(ChangeMemberRequest) -> ChangeMemberReply waits, Nodes;
    gateway_keys(Empty) -> GatewayKeysReply inline, Gateways;
    servers(Empty) -> ServersReply inline, Members;
    export(ExportRequest) -> ExportReply waits, Local;
    raft_append(RaftAppendRequest) -> RaftAppendReply waits, Nodes;
    raft_vote(RaftVoteRequest) -> RaftVoteReply waits, Nodes;
    raft_install(RaftInstallRequest) -> RaftInstallReply waits, Nodes;
    raft_hand_over(RaftHandOverRequest) -> RaftHandOverReply waits, Nodes;
}
