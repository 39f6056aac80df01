//! The three layers against one plain map.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use wolfdisk_common::ids::{LogIndex, Term, Version};

use super::{CheckpointJob, State};
use crate::index::KeyBytes;
use crate::index::checkpoint::MemTable;
use crate::index::table::Applied;

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Freeze,
    Run,
    Thaw,
    Scan(Vec<u8>, Vec<u8>, usize),
}

/// Short keys that collide often, and long ones that do not fit in place.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let short = prop::collection::vec(0..3u8, 0..4);
    prop_oneof![6 => short, 1 => prop::collection::vec(0..2u8, 28..34)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (key(), prop::collection::vec(any::<u8>(), 0..4)).prop_map(|(k, v)| Step::Put(k, v)),
        4 => key().prop_map(Step::Delete),
        1 => Just(Step::Freeze),
        1 => Just(Step::Run),
        1 => Just(Step::Thaw),
        4 => (key(), key(), 0..9usize).prop_map(|(from, to, limit)| Step::Scan(from, to, limit)),
    ]
}

fn applied(number: u64) -> Applied {
    Applied {
        index: LogIndex(number),
        term: Term(1),
        version: Version(number),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn layers_answer_like_one_map(steps in prop::collection::vec(step(), 0..120)) {
        let mut state = State::new(Arc::new(MemTable::default()));
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut job: Option<CheckpointJob<MemTable>> = None;
        let mut ran = false;
        for (number, step) in steps.into_iter().enumerate() {
            state.set_applied(applied(number as u64 + 1));
            match step {
                Step::Put(key, value) => {
                    state.set(KeyBytes::new(&key), Some(Bytes::from(value.clone())));
                    model.insert(key, value);
                }
                Step::Delete(key) => {
                    state.set(KeyBytes::new(&key), None);
                    model.remove(&key);
                }
                Step::Freeze => {
                    let frozen = state.freeze();
                    prop_assert!(frozen.is_none() || job.is_none());
                    if frozen.is_some() {
                        prop_assert_eq!(state.overlay_bytes(), 0);
                        (job, ran) = (frozen, false);
                    }
                }
                Step::Run => {
                    if let Some(job) = job.take() {
                        job.run().unwrap();
                        ran = true;
                    }
                }
                Step::Thaw => {
                    if std::mem::take(&mut ran) {
                        state.thaw();
                        prop_assert_eq!(state.frozen_bytes(), 0);
                    }
                }
                Step::Scan(from, to, limit) => {
                    let mut found = Vec::new();
                    state.scan(&from, &to, &mut |key, value| {
                        found.push((key.to_vec(), value.to_vec()));
                        found.len() < limit.max(1)
                    }).unwrap();
                    let expected: Vec<_> = model.iter()
                        .filter(|(key, _)| **key >= from && **key < to)
                        .take(limit.max(1))
                        .map(|(key, value)| (key.clone(), value.clone()))
                        .collect();
                    prop_assert_eq!(found, expected);
                }
            }
            for key in model.keys().chain([&vec![1, 1], &vec![0; 30], &vec![0; 31]]) {
                let found = state.get(&KeyBytes::new(key)).unwrap().map(|value| value.to_vec());
                prop_assert_eq!(found.as_ref(), model.get(key));
            }
        }
    }
}

#[test]
#[should_panic(expected = "thawed before the commit")]
fn an_overlay_that_was_not_committed_is_never_dropped() {
    let mut state = State::new(Arc::new(MemTable::default()));
    state.set(KeyBytes::new(b"key"), Some(Bytes::from_static(b"value")));
    state.set_applied(applied(1));
    let _job = state.freeze().unwrap();
    state.thaw();
}
