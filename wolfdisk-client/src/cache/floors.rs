//! The last known change of inodes that are not cached: an answer read before it must not be.
//!
//! Bounded: what was remembered first is folded into one floor for all others, which only makes
//! caching a little more reluctant.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::limits;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Floors {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<u64, u64>,
    order: VecDeque<u64>,
    all: u64,
}

impl Floors {
    /// The least version at which an answer about `ino` may be cached.
    pub(crate) fn get(&self, ino: u64) -> u64 {
        let state = self.state.lock();
        state.known.get(&ino).copied().unwrap_or(0).max(state.all)
    }

    /// `ino` changed at `version`.
    pub(crate) fn raise(&self, ino: u64, version: u64) {
        let mut state = self.state.lock();
        if version <= state.all {
            return;
        }
        let State { known, order, all } = &mut *state;
        let floor = known.entry(ino).or_insert_with(|| {
            order.push_back(ino);
            0
        });
        *floor = version.max(*floor);
        while order.len() > limits::FLOORS_MAX {
            if let Some(floor) = order.pop_front().and_then(|oldest| known.remove(&oldest)) {
                *all = floor.max(*all);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_never_lowered_by_forgetting() {
        let floors = Floors::default();
        for ino in 0..(limits::FLOORS_MAX as u64 + 100) {
            floors.raise(ino, ino + 1);
        }
        for ino in 0..(limits::FLOORS_MAX as u64 + 100) {
            assert!(floors.get(ino) > ino, "{ino}");
        }
        floors.raise(3, 1);
        assert!(floors.get(3) >= 4);
    }
}
