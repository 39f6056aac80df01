//! What the daemon is told of files that are closed.
//!
//! It wants to know of an inode that may have lost its last name, and of one that others write to. The feed tells,
//! some at a time. Opens are numbered, and what is told is as of the last open before: one that is asked for later
//! may arrive earlier, and counts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use wolfdisk_common::ids::Ino;

use super::Volume;
use crate::cache::node::Node;
use crate::cache::table::Closed;
use crate::limits;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// Their last handle is closed, as of this open.
    released: Vec<(u64, Ino)>,
    /// Those of them that the daemon is being told of.
    telling: Vec<Closed>,
    /// Inodes that may have lost their last name then, and that nobody has open.
    lingering: VecDeque<(Instant, Ino)>,
}

impl Closing {
    /// What a predecessor had open, and has closed without the daemon knowing.
    pub(super) fn release(&mut self, closed: impl Iterator<Item = Ino>) {
        // None of ours can be one of them.
        self.released.extend(closed.map(|ino| (0, ino)));
    }

    /// Lets the oldest go early if there are too many.
    fn linger(&mut self, ino: Ino, opens: u64) {
        if self.lingering.len() >= limits::LINGERING_MAX
            && let Some((_, oldest)) = self.lingering.pop_front()
        {
            self.released.push((opens, oldest));
        }
        self.lingering.push_back((Instant::now(), ino));
    }

    /// Takes those whose time is over.
    fn end_lingering(&mut self) -> Vec<Ino> {
        let over = |(since, _): &&(Instant, Ino)| since.elapsed() >= limits::REMOVED_LINGER;
        let count = self.lingering.iter().take_while(over).count();
        self.lingering.drain(..count).map(|(_, ino)| ino).collect()
    }

    /// Takes what is to be told now: not what an open after `settled` may turn out to have opened.
    fn take_released(&mut self, settled: u64) -> Vec<Ino> {
        self.released.sort_unstable();
        let known = self
            .released
            .partition_point(|(opens, _)| *opens <= settled);
        let count = known.min(limits::RELEASES_MAX);
        let mut taken: Vec<Ino> = self.released.drain(..count).map(|(_, ino)| ino).collect();
        taken.sort_unstable();
        taken.dedup();
        taken
    }
}

impl Volume {
    /// One that has it open does not any more.
    pub(super) fn close_counted(&self, node: &Arc<Node>) {
        let mut state = node.state.lock();
        state.opens = state.opens.saturating_sub(1);
        if state.opens > 0 {
            return;
        }
        let orphan = state.orphan;
        let tell = orphan || std::mem::take(&mut state.tell_release);
        drop(state);
        if orphan {
            self.discard_unsaved(node);
        }
        if tell {
            self.tell_closed(node.ino);
        }
    }

    /// The daemon is told with the next feed that it is closed.
    pub(super) fn tell_closed(&self, ino: Ino) {
        let opens = self.session.last_open();
        self.closing.lock().released.push((opens, ino));
    }

    /// An inode that nobody has open may have lost its last name. Who has looked that up a moment ago may be about
    /// to open it: the daemon is told later.
    pub(super) fn linger(&self, ino: Ino) {
        let opens = self.session.last_open();
        self.closing.lock().linger(ino, opens);
    }

    /// Rights that go back, and inodes that are closed.
    pub(super) fn take_returns(&self) -> (Vec<Closed>, Vec<Closed>) {
        self.table.sweep(&self.session.lease);
        let dropped = self
            .table
            .take_returns(self.session.returns() + 1, || self.settled_open());
        let ended = self.closing.lock().end_lingering();
        for node in ended.iter().filter_map(|ino| self.table.get(*ino)) {
            let (orphan, opens) = {
                let state = node.state.lock();
                (state.orphan, state.opens)
            };
            if orphan && opens == 0 {
                self.discard_unsaved(&node);
            }
        }
        let (opens, settled) = (self.session.last_open(), self.settled_open());
        let released = {
            let mut closing = self.closing.lock();
            let ended = ended.into_iter().map(|ino| (opens, ino));
            closing.released.extend(ended);
            closing.take_released(settled)
        };
        let closed = released.into_iter().filter_map(|ino| self.releases(ino));
        let closed = Vec::from_iter(closed);
        self.closing.lock().telling.clone_from(&closed);
        (dropped, closed)
    }

    /// The daemon is about to be told that the inode is closed, if it still is. From then on an open asks, and may not
    /// buffer writes under a right that the daemon takes back when it hears this.
    fn releases(&self, ino: Ino) -> Option<Closed> {
        let node = self.node(ino);
        let mut state = node.state.lock();
        if state.opens > 0 {
            state.tell_release = true;
            return None;
        }
        state.releasing = true;
        state.lose_write();
        let opens = self.settled_open();
        Some(Closed { ino, opens })
    }

    /// The last open up to which it is known what was opened. Whoever opens an inode counts it as open before it asks,
    /// but for those who open by key.
    fn settled_open(&self) -> u64 {
        self.keyed_opens.settled(&self.session)
    }

    /// The daemon was told what is closed; with `taken` false perhaps not, and will be later.
    pub(super) fn end_releasing(&self, taken: bool) {
        let told = {
            let mut closing = self.closing.lock();
            let told = std::mem::take(&mut closing.telling);
            if !taken {
                closing
                    .released
                    .extend(told.iter().map(|closed| (closed.opens, closed.ino)));
                return;
            }
            told
        };
        for closed in told {
            self.table.closed(closed.ino, &self.session.lease);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lingers_and_what_is_told_at_once_is_bounded() {
        let mut closing = Closing::default();
        let count = limits::LINGERING_MAX + limits::RELEASES_MAX + 1;
        for ino in 0..count as u64 {
            closing.linger(Ino(ino), 1);
        }
        assert_eq!(closing.lingering.len(), limits::LINGERING_MAX);
        assert!(closing.take_released(0).is_empty());
        let first = closing.take_released(1);
        assert_eq!(first.len(), limits::RELEASES_MAX);
        assert_eq!(closing.take_released(1).len(), 1);
        assert!(closing.take_released(1).is_empty());
        assert_eq!(first.first(), Some(&Ino(0)), "the oldest go first");
    }
}
