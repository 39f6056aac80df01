//! What clients and nodes saw, and what must hold of it at every moment.
//!
//! - An entry is the same wherever it is applied, and who led never goes back along the log.
//! - What was acknowledged is what is applied at its place.
//! - A vote that was granted is not forgotten by a restart.
//! - Writes and reads are linearizable. The state is the log up to some entry, and each operation says to which: so it
//!   is enough that none is before what anybody had seen when it began. (Herlihy and Wing, 1990, for a history of which
//!   the order of writes is known.)

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::super::{LogId, Vote, Voter};
use super::runtime::note;

/// See the module. All copies are the same one.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    applied: BTreeMap<u64, (LogId, Bytes)>,
    acknowledged: BTreeMap<u64, Bytes>,
    /// The last vote that each node has granted.
    promised: BTreeMap<Voter, Vote>,
    order: Order,
    reads: u64,
    broken: Option<String>,
}

/// The last entry that somebody had seen when an operation began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Begun(Option<u64>);

/// The last entry that anybody has seen. It is told of operations as they end.
#[derive(Default)]
pub struct Order(Begun);

impl Order {
    pub fn begin(&self) -> Begun {
        self.0
    }

    /// A write that is entry `at` has been acknowledged.
    pub fn wrote(&mut self, begun: Begun, at: u64) -> Result<(), String> {
        let done = Begun(Some(at));
        self.0 = self.0.max(done);
        match done > begun {
            true => Ok(()),
            false => Err(format!(
                "a write became entry {at} after {begun:?} was seen"
            )),
        }
    }

    /// A read has seen the state of entry `at`.
    pub fn read(&mut self, begun: Begun, at: Option<u64>) -> Result<(), String> {
        let done = Begun(at);
        self.0 = self.0.max(done);
        match done >= begun {
            true => Ok(()),
            false => Err(format!("a read saw {at:?} after {begun:?} was seen")),
        }
    }
}

impl Record {
    pub fn begin(&self) -> Begun {
        self.0.lock().order.begin()
    }

    pub fn wrote(&self, begun: Begun, log_id: LogId, by: Voter, payload: Bytes) {
        note(format_args!("acknowledged {log_id} by {by}"));
        let mut seen = self.0.lock();
        let kept = seen.order.wrote(begun, log_id.index);
        seen.keep(kept);
        if log_id.leader_id.node_id != by {
            seen.fail(format!("{by} acknowledged {log_id}, which is another's"));
        }
        let differs = seen.applied.get(&log_id.index);
        if differs.is_some_and(|(known, bytes)| *known != log_id || *bytes != payload) {
            seen.fail(format!("{log_id} was acknowledged, and another applied"));
        }
        if seen.acknowledged.insert(log_id.index, payload).is_some() {
            seen.fail(format!("two writes were acknowledged as {log_id}"));
        }
    }

    pub fn read(&self, begun: Begun, at: Option<u64>) {
        note(format_args!("read {at:?}"));
        let mut seen = self.0.lock();
        seen.reads += 1;
        let kept = seen.order.read(begun, at);
        seen.keep(kept);
    }

    pub fn applied(&self, node: Voter, log_id: LogId, payload: Bytes) {
        note(format_args!("{node} applies {log_id}"));
        let mut seen = self.0.lock();
        let place = log_id.index;
        let before = seen.applied.range(..place).next_back();
        if before.is_some_and(|(_, (before, _))| before.leader_id > log_id.leader_id) {
            seen.fail(format!(
                "{node} applied {log_id} after what a later leader wrote"
            ));
        }
        let entry = (log_id, payload);
        let first = seen.applied.entry(place).or_insert_with(|| entry.clone());
        if *first != entry {
            let other = first.0;
            seen.fail(format!(
                "{node} applied {log_id} where {other} had been applied"
            ));
        }
        let differs = seen.acknowledged.get(&place);
        if differs.is_some_and(|payload| *payload != entry.1) {
            seen.fail(format!(
                "{node} applied {log_id} where another was acknowledged"
            ));
        }
    }

    /// A node has granted a vote.
    pub fn promised(&self, node: Voter, vote: Vote) {
        note(format_args!("{node} grants {vote}"));
        let mut seen = self.0.lock();
        let last = seen.promised.entry(node).or_insert(vote);
        if last.leader_id < vote.leader_id {
            *last = vote;
        }
    }

    /// A node has started, with that vote.
    pub fn started(&self, node: Voter, vote: Option<Vote>) {
        let mut seen = self.0.lock();
        let promised = seen.promised.get(&node).map(|vote| vote.leader_id);
        if promised > vote.map(|vote| vote.leader_id) {
            seen.fail(format!("{node} has forgotten that it granted {promised:?}"));
        }
    }

    pub fn fail(&self, what: String) {
        self.0.lock().fail(what);
    }

    /// What was broken first.
    pub fn broken(&self) -> Option<String> {
        self.0.lock().broken.clone()
    }

    /// The last entry that was acknowledged, and how many were.
    pub fn acknowledged(&self) -> (Option<u64>, usize) {
        let seen = self.0.lock();
        let last = seen.acknowledged.keys().next_back().copied();
        (last, seen.acknowledged.len())
    }

    pub fn reads(&self) -> u64 {
        self.0.lock().reads
    }

    /// What was acknowledged up to `last` and is not in the state of a node that has come so far.
    pub fn lost(&self, last: Option<u64>, entries: &BTreeMap<u64, Bytes>) -> Option<u64> {
        let seen = self.0.lock();
        let due = seen.acknowledged.range(..=last?);
        let mut lost = due.filter(|(index, payload)| entries.get(index) != Some(payload));
        lost.next().map(|(index, _)| *index)
    }
}

impl Seen {
    fn keep(&mut self, outcome: Result<(), String>) {
        if let Err(what) = outcome {
            self.fail(what);
        }
    }

    fn fail(&mut self, what: String) {
        note(format_args!("BROKEN: {what}"));
        self.broken.get_or_insert(what);
    }
}

#[test]
fn a_history_that_is_not_linearizable_is_refused() {
    let mut order = Order::default();
    let first = order.begin();
    let slow = order.begin();
    order.wrote(first, 3).expect("the first");
    let later = order.begin();
    order.read(later, Some(3)).expect("it sees the write");
    order.read(later, None).expect_err("a state from before");
    order.wrote(later, 2).expect_err("behind what was seen");
    order
        .wrote(slow, 2)
        .expect("it began before anybody had seen anything");
    let after = order.begin();
    assert_eq!(after, later);
    order
        .read(after, Some(7))
        .expect("another's write, not acknowledged yet");
    order
        .read(order.begin(), Some(6))
        .expect_err("seen by a read before");
    order
        .wrote(order.begin(), 7)
        .expect_err("seen before it was asked for");
}
