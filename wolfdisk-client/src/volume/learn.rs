//! Keeping what answers say, as far as rights allow.

use std::time::Duration;

use wolfdisk_common::ids::Ino;
use wolfdisk_proto::v1::MutateReply;

use super::Volume;
use crate::cache::names::{Known, Target};
use crate::cache::node::Node;
use crate::cache::state::{ATTR, NAMES};
use crate::error::Result;
use crate::session::Identity;
use crate::types::{Attr, Entry};

impl Volume {
    /// Rights of an answer that may be accepted: none that were asked for before all rights on the inode
    /// went back. Asked with the inode's node in hand.
    pub(super) fn acceptable(&self, ino: Ino, rights: u32, asked: Identity) -> u32 {
        if self.table.accepts_rights(ino, asked.returns) {
            rights
        } else {
            0
        }
    }

    /// Keeps attributes read at `version`; gives them as this process sees them and for how long.
    pub(super) fn learn_attr(
        &self,
        attr: Attr,
        rights: u32,
        version: u64,
        asked: Identity,
    ) -> (Attr, Duration) {
        let lease = &self.session.lease;
        let node = self.node(attr.ino);
        let rights = self.acceptable(attr.ino, rights, asked);
        let mut state = node.state.lock();
        let kept = state.learn(attr.clone(), rights, version, asked, lease);
        match state.give_attr(lease) {
            Some(given) if kept => given,
            _ => (state.localize(&attr), Duration::ZERO),
        }
    }

    /// Keeps what a name in `parent` leads to; says how long it may be relied on.
    pub(super) fn learn_name(
        &self,
        parent: &Node,
        name: &[u8],
        known: Known,
        rights: u32,
        version: u64,
        asked: Identity,
    ) -> Duration {
        let lease = &self.session.lease;
        let rights = self.acceptable(parent.ino, rights, asked);
        let mut state = parent.state.lock();
        if !state.learn_names(rights, version, asked, lease) {
            return Duration::ZERO;
        }
        state.names.learn(name, known, version);
        let kept = state.names.get(name) == known || same_target(state.names.get(name), known);
        let valid = if kept {
            state.names.lifetime(lease)
        } else {
            Duration::ZERO
        };
        drop(state);
        self.table.names_added(1, lease);
        valid
    }

    /// An own mutation changed a name. Without the right only the fact is kept, against late answers.
    pub(super) fn changed_name(
        &self,
        parent: Ino,
        name: &[u8],
        known: Known,
        version: u64,
        asked: Identity,
    ) -> Duration {
        let lease = &self.session.lease;
        let node = self.node(parent);
        let mut state = node.state.lock();
        let held = state.has(NAMES, lease) && asked.epoch == lease.epoch();
        let known = if held { known } else { Known::Unknown };
        state.names.learn(name, known, version);
        // Somebody may have changed it again before this answer came.
        let now = state.names.get(name);
        let kept = held && (now == known || same_target(now, known));
        let valid = if kept {
            state.names.lifetime(lease)
        } else {
            Duration::ZERO
        };
        drop(state);
        self.table.names_added(1, lease);
        valid
    }

    /// Keeps the attributes that a mutation's answer carries. Those of `changed` that it does not carry
    /// are forgotten: they are not what they were.
    pub(super) fn changed_inodes(
        &self,
        reply: &mut MutateReply,
        changed: &[Ino],
        asked: Identity,
    ) -> Result<Vec<Attr>> {
        let lease = &self.session.lease;
        let attrs = self.attrs_of(std::mem::take(&mut reply.attrs))?;
        for (index, attr) in attrs.iter().enumerate() {
            let node = self.node(attr.ino);
            let rights = if index == 0 {
                self.acceptable(attr.ino, reply.rights, asked)
            } else {
                0
            };
            let mut state = node.state.lock();
            state.learn_own(Some(attr.clone()), rights, reply.version, asked, lease);
        }
        for ino in changed
            .iter()
            .filter(|ino| attrs.iter().all(|attr| attr.ino != **ino))
        {
            let node = self.node(*ino);
            node.state
                .lock()
                .learn_own(None, 0, reply.version, asked, lease);
        }
        Ok(attrs)
    }

    /// An inode's entry for the front-end after it was changed or made by us.
    pub(super) fn entry_of(&self, attr: Attr, entry_valid: Duration) -> Entry {
        let lease = &self.session.lease;
        let node = self.node(attr.ino);
        let mut state = node.state.lock();
        match state.give_attr(lease) {
            Some((attr, attr_valid)) => Entry {
                attr,
                entry_valid,
                attr_valid,
            },
            None => Entry {
                attr: state.localize(&attr),
                entry_valid,
                attr_valid: Duration::ZERO,
            },
        }
    }

    /// What a cached name leads to, if it may be relied on.
    pub(super) fn cached_target(&self, parent: Ino, name: &[u8]) -> Option<Target> {
        let node = self.table.get(parent)?;
        let state = node.state.lock();
        match state.names.get(name) {
            Known::Leads(target) if state.has(NAMES, &self.session.lease) => Some(target),
            _ => None,
        }
    }

    /// Whether the attributes of an inode may be relied on.
    pub(super) fn has_attr(&self, node: &Node) -> bool {
        let state = node.state.lock();
        state.attr.is_some() && state.has(ATTR, &self.session.lease)
    }
}

fn same_target(now: Known, then: Known) -> bool {
    matches!((now, then), (Known::Leads(now), Known::Leads(then)) if now.ino == then.ino)
}
