//! Put, dedup, commit, unlink and sweep between two front-ends, the index and one chunk store, in every
//! order: no chunk with a reference is ever freed. And the model is able to find it if a rule is missing.

use stateright::{Checker, Model, Property};

/// Which rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    AsDesigned,
    DedupHitDoesNotStamp,
    FreeIgnoresStamp,
    ReceiptOfTheSweptEpochIsTaken,
    FreeOfAnOldLifeIsTaken,
    RestartKeepsStamps,
}

/// One chunk; everything is about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    epoch: u8,
    incarnation: u8,
    stamp: Option<u8>,
    ever_stored: bool,
    references: u8,
    swept: u8,
    sweep: Sweep,
    receipts: [Option<u8>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sweep {
    Idle,
    /// The epoch has ended at the store of this incarnation.
    Advanced(u8, u8),
    /// The end is logged.
    Logged(u8, u8),
    /// The chunk was found unreferenced; the request to free it is under way.
    Asked(u8, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Action {
    Put(usize),
    Commit(usize),
    Unlink,
    Advance,
    Log,
    Ask,
    Free,
    Restart { resurrect: bool },
}

const EPOCHS: u8 = 5;

impl Model for Rules {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            epoch: 1,
            incarnation: 1,
            stamp: None,
            ever_stored: false,
            references: 0,
            swept: 0,
            sweep: Sweep::Idle,
            receipts: [None, None],
        }]
    }

    fn actions(&self, _state: &State, actions: &mut Vec<Action>) {
        actions.extend([
            Action::Put(0),
            Action::Put(1),
            Action::Commit(0),
            Action::Commit(1),
        ]);
        actions.extend([
            Action::Unlink,
            Action::Advance,
            Action::Log,
            Action::Ask,
            Action::Free,
        ]);
        actions.extend([true, false].map(|resurrect| Action::Restart { resurrect }));
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match (action, last.sweep) {
            (Action::Put(who), _) => {
                let keeps = *self == Rules::DedupHitDoesNotStamp && last.stamp.is_some();
                if !keeps {
                    next.stamp = Some(last.epoch);
                }
                next.ever_stored = true;
                next.receipts[who] = Some(last.epoch);
            }
            (Action::Commit(who), _) => {
                let receipt = last.receipts[who]?;
                let good = match self {
                    Rules::ReceiptOfTheSweptEpochIsTaken => receipt >= last.swept,
                    _ => receipt > last.swept,
                };
                // Else RETRY_PUT: the bytes are put again.
                next.receipts[who] = None;
                if last.references > 0 || good {
                    next.references = (last.references + 1).min(2);
                }
            }
            (Action::Unlink, _) => next.references = last.references.checked_sub(1)?,
            (Action::Advance, Sweep::Idle) => {
                next.sweep = Sweep::Advanced(last.epoch, last.incarnation);
                next.epoch += 1;
            }
            (Action::Log, Sweep::Advanced(swept, incarnation)) => {
                next.swept = last.swept.max(swept);
                next.sweep = Sweep::Logged(swept, incarnation);
            }
            (Action::Ask, Sweep::Logged(swept, incarnation)) => {
                next.sweep = match last.references {
                    0 => Sweep::Asked(swept, incarnation),
                    _ => Sweep::Idle,
                };
            }
            (Action::Free, Sweep::Asked(swept, incarnation)) => {
                next.sweep = Sweep::Idle;
                let same =
                    incarnation == last.incarnation || *self == Rules::FreeOfAnOldLifeIsTaken;
                let old = last.stamp.is_some_and(|stamp| stamp <= swept);
                if same && (old || *self == Rules::FreeIgnoresStamp) {
                    next.stamp = None;
                }
            }
            (Action::Restart { resurrect }, _) => {
                next.incarnation += 1;
                next.epoch += 1;
                let there = last.stamp.is_some() || (resurrect && last.ever_stored);
                next.stamp = there.then_some(match (self, last.stamp) {
                    (Rules::RestartKeepsStamps, stamp) => stamp.unwrap_or(0),
                    _ => next.epoch,
                });
            }
            _ => return None,
        }
        (next.epoch <= EPOCHS).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no live chunk is freed", |_, state: &State| {
                state.references == 0 || state.stamp.is_some()
            }),
            Property::sometimes("garbage is freed", |_, state: &State| {
                state.ever_stored && state.stamp.is_none()
            }),
            Property::sometimes(
                "a chunk that was freed is referenced again",
                |_, state: &State| state.references == 2 && state.swept > 1,
            ),
        ]
    }
}

fn loses_a_live_chunk(rules: Rules) -> bool {
    let checker = rules.checker().spawn_bfs().join();
    assert!(checker.unique_state_count() > 100);
    checker.discovery("no live chunk is freed").is_some()
}

#[test]
fn no_live_chunk_is_ever_freed() {
    let checker = Rules::AsDesigned.checker().spawn_bfs().join();
    checker.assert_properties();
    println!("{} states", checker.unique_state_count());
}

#[test]
fn each_rule_is_needed() {
    for rules in [
        Rules::DedupHitDoesNotStamp,
        Rules::FreeIgnoresStamp,
        Rules::ReceiptOfTheSweptEpochIsTaken,
    ] {
        assert!(loses_a_live_chunk(rules), "{rules:?} was not caught");
    }
}

/// With stamps that grow at each start, a free that was under way over a restart finds none old enough;
/// and the other way round. Each of the two rules alone is enough, they are kept both.
#[test]
fn a_restart_is_guarded_twice() {
    assert!(!loses_a_live_chunk(Rules::FreeOfAnOldLifeIsTaken));
    assert!(!loses_a_live_chunk(Rules::RestartKeepsStamps));
}
