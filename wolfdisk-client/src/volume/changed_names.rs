//! Names that were changed elsewhere, and the kernel.
//!
//! To make the kernel forget a name takes the lock of its directory, and the kernel holds that while a
//! change of ours in there waits for its answer; which may have to wait until another session, in the
//! same position, has made its kernel forget something. So a thread of its own tells, and nobody waits
//! for it longer than what the kernel was given lasts. In a directory that we and others change names
//! are given without a lifetime (see `cache/names.rs`): the kernel asks before it uses one, and there is
//! nothing to wait for. It is told all the same: a directory that it still has under an old name is in
//! the way when it finds it under another.

use std::time::{Duration, Instant};

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::LEASE_MS;
use wolfdisk_proto::v1::Invalidation;

use super::Volume;
use crate::cache::names::Held;
use crate::limits;
use crate::session::feed::Told;

/// A name of which the kernel is to be told, for an invalidation of a session.
#[derive(Debug)]
pub(super) struct ChangedName {
    parent: Ino,
    name: Bytes,
    number: u64,
    session: u64,
}

impl Volume {
    /// Has the kernel told of a name, and says until when it may rely on what it was given.
    pub(super) fn drop_name(&self, parent: Ino, invalidation: &Invalidation, session: u64) -> Told {
        if let Some(listener) = self.listener.read().clone() {
            listener.overtake();
        }
        // After that: whoever asked before is given no lifetime, whoever asks later nothing old.
        let held = self.table.get(parent).map_or_else(
            || Held {
                until: Some(Instant::now() + Duration::from_millis(LEASE_MS)),
                locked: false,
            },
            |node| node.state.lock().names.held(),
        );
        let number = invalidation.number;
        if held.until.is_some() || self.changed_names.len() < limits::CHANGED_NAMES_MAX {
            self.changed_names.push(ChangedName {
                parent,
                name: invalidation.name.clone(),
                number,
                session,
            });
        }
        let patience = match held {
            Held {
                until: None,
                locked: true,
            } => Duration::ZERO,
            _ => limits::TELL_PATIENCE,
        };
        match held.until {
            _ if self.notices.wait_dropped(number, session, patience) => Told::Done,
            Some(until) => Told::Lasts(until),
            None => Told::Done,
        }
    }

    /// Tells the kernel of a name. If it refuses, what it was given runs out.
    pub(super) fn tell_name(&self, changed: &ChangedName) {
        if self.tell_entry(changed.parent, &changed.name) {
            self.notices.dropped(changed.number, changed.session);
        }
    }
}
