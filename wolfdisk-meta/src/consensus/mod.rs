//! The log as the state machine sees it: one trait for the node that stands alone and for Raft.
//!
//! A proposal is queued by [`Replication::propose`] and named by a ticket, becomes *written* (with Raft: accepted, written by
//! a majority) and is then handed out once by [`Replication::take_accepted`], in log order and with its ticket; or never, if
//! this node ceases to lead before. Later it becomes *durable* (with Raft: committed). State is applied when an entry is accepted; an answer that
//! promises stable storage waits for the durable watermark.
//!
//! The caller is one task. It proposes what it has gathered, calls [`Replication::flush`] once for all
//! of it, applies what is accepted and answers.

pub mod raft;
pub mod solo;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Notify, watch};
use wolfdisk_common::ids::{LogIndex, Term};

use crate::log::LogCounts;

/// What a majority has written and what it has synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// Entries up to here have been handed out, or will be by the next call.
    pub accepted: LogIndex,
    /// Entries up to here survive a power cut.
    pub durable: LogIndex,
}

/// A proposal of this node, until it is handed out. Later ones have greater tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// An entry of the log that may be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its position.
    pub index: LogIndex,
    /// The term it was proposed in.
    pub term: Term,
    /// The payload as it was proposed.
    pub payload: Bytes,
    /// The proposal that it was; none: another node's, or one of a life before. Those of this node with lesser tickets that
    /// were not handed out will not be.
    pub ticket: Option<Ticket>,
}

/// Why a node cannot go on. The daemon ends; its restart recovers from what is durable.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    /// Reading or writing the log failed.
    #[error("the log at {path}: {source}")]
    Io {
        /// The file concerned.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The log was found damaged where it was known to be synced.
    #[error(
        "{path} is damaged at offset {offset}, below what was synced: {what}; restore it from a copy"
    )]
    Damaged {
        /// The file concerned.
        path: std::path::PathBuf,
        /// Byte offset in that file.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The log was written by a newer release.
    #[error(
        "{path} has format {found}, this release reads up to {known}: install the newer release"
    )]
    NewerFormat {
        /// The file concerned.
        path: std::path::PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// An entry that is gone, or was never written, was asked for.
    #[error("log entry {0} is not in the log")]
    NoEntry(LogIndex),
    /// Only the leader may propose.
    #[error("this node does not lead")]
    NotLeader,
}

/// See the module.
pub trait Replication: Send + 'static {
    /// The term in which this node decides: it may propose, and everything that others decided before has been handed out.
    /// None: another does, or nobody. As long as it is the same, no other node has decided anything in between.
    fn leads(&self) -> Option<Term>;

    /// Whether no other node can have begun to decide by now, without this one knowing: only then is what it holds the
    /// newest there is.
    fn is_sure(&self) -> bool;

    /// Told when there may be something to take, or [`Replication::leads`] may have changed. None: nothing comes but by
    /// what the caller proposes.
    fn news(&self) -> Option<Arc<Notify>>;

    /// Queues an entry. Nothing is written yet.
    ///
    /// # Errors
    /// `NotLeader`; nothing was queued then.
    fn propose(&mut self, payload: Bytes) -> Result<Ticket, ReplicationError>;

    /// Writes everything queued with as few system calls as it takes. A sync is started at once if that is `awaited`, else
    /// at the latest 20 ms later, without being asked.
    ///
    /// # Errors
    /// The daemon must end: what was written is unknown.
    fn flush(&mut self, awaited: bool) -> Result<(), ReplicationError>;

    /// Entries that became accepted since the last call, in order. After a start this first hands out
    /// what follows the applied index that the log was opened with.
    ///
    /// # Errors
    /// The log could not be read.
    fn take_accepted(&mut self, limit: usize) -> Result<Vec<Accepted>, ReplicationError>;

    /// Proposals that were refused since the last call, though this node may go on to decide: they are not handed out, or
    /// only as another's.
    fn take_refused(&mut self) -> Vec<Ticket>;

    /// The watermarks now.
    fn watermarks(&self) -> Watermarks;

    /// Changes whenever the durable watermark moves. Its sender is dropped when a sync failed: the
    /// daemon must end then.
    fn durable(&self) -> watch::Receiver<LogIndex>;

    /// Somebody waits for `index` to be durable: sync now rather than at the next interval. Waiters
    /// that come while a sync is under way share the next one.
    fn want_durable(&mut self, index: LogIndex);

    /// Bytes of the payload of an entry that the log still holds.
    ///
    /// # Errors
    /// `NoEntry`, or what reading gave.
    fn read(&self, index: LogIndex, offset: u32, length: u32) -> Result<Bytes, ReplicationError>;

    /// Reads a whole entry that the log still holds and verifies it, with what ties it to the one before: its term
    /// and its payload.
    ///
    /// # Errors
    /// `NoEntry`, `Damaged`, or what reading gave.
    fn entry(&self, index: LogIndex) -> Result<(Term, Bytes), ReplicationError>;

    /// Entries below `index` will not be asked for any more; their space may be used again.
    ///
    /// # Errors
    /// What removing gave.
    fn truncate_before(&mut self, index: LogIndex) -> Result<(), ReplicationError>;

    /// Bytes that the log occupies between its first needed entry and its end.
    fn log_bytes(&self) -> u64;

    /// What it counts.
    fn counts(&self) -> Arc<LogCounts>;

    /// The term entries are proposed in.
    fn term(&self) -> Term;
}
