//! The index over a log that several nodes share, as a daemon has it: the same core, driven by what the log tells.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use openraft::type_config::TypeConfigExt;
use tokio::sync::{Notify, watch};
use wolfdisk_common::ids::{LogIndex, Term};
use wolfdisk_common::time::Timestamp;

use super::super::log::RaftLog;
use super::SimTypes;
use super::faulty::Fault;
use super::machine::State;
use super::network::Peer;
use super::record::Record;
use super::time::Moment;
use super::world::{ELECTION_MS, Host};
use crate::consensus::{Accepted, Replication, ReplicationError, Ticket, Watermarks};
use crate::log::LogCounts;
use crate::service::Driven;

/// Two clocks of which one is a fifth faster than the other must not make a node sure that another was elected by the time
/// of.
const LEASE: Duration = Duration::from_millis(ELECTION_MS * 3 / 4);
/// How often a daemon looks at the time.
const TICK: Duration = Duration::from_millis(50);

/// What the clocks of the machine show that asks.
pub fn times() -> (Timestamp, Duration) {
    let now = Moment::since_begin(SimTypes::now());
    let wall = Timestamp {
        seconds: now.as_secs() as i64,
        nanos: now.subsec_nanos(),
    };
    (wall, now)
}

/// Puts an index over the log of a node that has started, on the machine where this runs.
pub fn start(
    peer: &Peer,
    host: Host,
    record: Record,
    fault: Option<Fault>,
) -> Result<Arc<Driven>, String> {
    let log = RaftLog::new(
        peer.node.clone(),
        peer.store.inner().clone(),
        peer.state.committed(),
        LogIndex(0),
        LEASE,
    );
    let log: Box<dyn Replication> = match fault {
        Some(Fault::DecidesEarly) => Box::new(Early {
            node: peer.node.clone(),
            log,
        }),
        _ => Box::new(log),
    };
    let (_, now) = times();
    let daemon = Arc::new(Driven::new(log, now).map_err(|error| error.to_string())?);
    drop(SimTypes::spawn(run(daemon.clone(), host, record, fault)));
    Ok(daemon)
}

async fn run(daemon: Arc<Driven>, host: Host, record: Record, fault: Option<Fault>) {
    loop {
        // Nothing to do in that time is no mistake.
        SimTypes::timeout(TICK, daemon.wait()).await.ok();
        let (wall, now) = times();
        match daemon.turn(wall, now) {
            Ok(()) if fault == Some(Fault::SkipsLeases) => daemon.skip_leases(now),
            Ok(()) => {}
            Err(_) if host.failing.load(Relaxed) || host.disk.is_off() => return,
            Err(error) => {
                return record.fail(format!("the daemon of {} has ended: {error}", host.voter));
            }
        }
    }
}

/// A log that has its node decide as soon as it is elected.
struct Early {
    node: super::Node,
    log: RaftLog<SimTypes, State>,
}

impl Replication for Early {
    fn leads(&self) -> Option<Term> {
        self.node.is_leader().then(|| self.log.term())
    }

    fn is_sure(&self) -> bool {
        self.log.is_sure()
    }

    fn news(&self) -> Option<Arc<Notify>> {
        self.log.news()
    }

    fn propose(&mut self, payload: Bytes) -> Result<Ticket, ReplicationError> {
        self.log.propose(payload)
    }

    fn flush(&mut self, awaited: bool) -> Result<(), ReplicationError> {
        self.log.flush(awaited)
    }

    fn take_accepted(&mut self, limit: usize) -> Result<Vec<Accepted>, ReplicationError> {
        self.log.take_accepted(limit)
    }

    fn take_refused(&mut self) -> Vec<Ticket> {
        self.log.take_refused()
    }

    fn watermarks(&self) -> Watermarks {
        self.log.watermarks()
    }

    fn durable(&self) -> watch::Receiver<LogIndex> {
        self.log.durable()
    }

    fn want_durable(&mut self, index: LogIndex) {
        self.log.want_durable(index);
    }

    fn read(&self, index: LogIndex, offset: u32, length: u32) -> Result<Bytes, ReplicationError> {
        self.log.read(index, offset, length)
    }

    fn entry(&self, index: LogIndex) -> Result<(Term, Bytes), ReplicationError> {
        self.log.entry(index)
    }

    fn truncate_before(&mut self, index: LogIndex) -> Result<(), ReplicationError> {
        self.log.truncate_before(index)
    }

    fn log_bytes(&self) -> u64 {
        self.log.log_bytes()
    }

    fn counts(&self) -> Arc<LogCounts> {
        self.log.counts()
    }

    fn term(&self) -> Term {
        self.log.term()
    }
}
