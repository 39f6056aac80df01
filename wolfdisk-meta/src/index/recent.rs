//! What the last mutations left, decoded: the next one and the answers to their callers mostly need the same
//! inodes, project and session, and need not read them back.
//!
//! It is a copy of records and never says anything else than they do, so that the state stays a function of the
//! log. A record that is written by another way than [`Tx::store_inode`] and its like is dropped here.
//!
//! [`Tx::store_inode`]: super::tx::Tx::store_inode

use std::collections::BTreeMap;

use wolfdisk_common::ids::{Ino, Sequence, SessionId};

use super::key::{self, Key};
use super::key_bytes::KeyBytes;
use super::op::Origin;
use super::record::{Access, Inode, Kept, Session, Usage};
use super::records::{Read, Records};
use super::table::TableError;
use crate::limits;

/// See the module.
#[derive(Debug)]
pub(super) struct Recent {
    inodes: Vec<Option<(Ino, Inode)>>,
    usage: Option<(u32, Usage)>,
    /// Of the sessions that there are: one that is closed goes with its record.
    sessions: BTreeMap<SessionId, Known>,
}

/// What is known of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub read_only: bool,
    /// No answer is kept for a later mutation.
    pub newest: Sequence,
}

impl Default for Recent {
    fn default() -> Recent {
        Recent {
            inodes: vec![None; limits::RECENT_INODES],
            usage: None,
            sessions: BTreeMap::new(),
        }
    }
}

fn place_of(ino: Ino) -> usize {
    (ino.0 % limits::RECENT_INODES as u64) as usize
}

impl Recent {
    pub(super) fn inode(&self, ino: Ino) -> Option<&Inode> {
        let kept = self.inodes.get(place_of(ino))?.as_ref();
        kept.filter(|(of, _)| *of == ino).map(|(_, inode)| inode)
    }

    pub(super) fn keep_inode(&mut self, ino: Ino, inode: Inode) {
        if let Some(place) = self.inodes.get_mut(place_of(ino)) {
            *place = Some((ino, inode));
        }
    }

    pub(super) fn usage(&self, project: u32) -> Option<&Usage> {
        let kept = self.usage.as_ref();
        kept.filter(|(of, _)| *of == project)
            .map(|(_, usage)| usage)
    }

    pub(super) fn keep_usage(&mut self, project: u32, usage: Usage) {
        self.usage = Some((project, usage));
    }

    /// What is known of a session, read if it has to be. None: there is no such session.
    pub(super) fn session(
        &mut self,
        records: &impl Records,
        session: SessionId,
    ) -> Result<Option<Known>, TableError> {
        if let Some(known) = self.sessions.get(&session) {
            return Ok(Some(*known));
        }
        let Some(owner) = Read::load::<Session>(records, &Key::Session { session })? else {
            return Ok(None);
        };
        let mut newest = Sequence(0);
        let all = records.each(&key::answers(session), |_, kept: Kept| {
            newest = newest.max(kept.sequence);
            true
        });
        match all {
            Ok(()) => {}
            // Which mutation it answers nobody knows: each is looked up.
            Err(TableError::Record { .. }) => newest = Sequence(u64::MAX),
            Err(error) => return Err(error),
        }
        let known = Known {
            read_only: owner.access == Access::ReadOnly,
            newest,
        };
        self.sessions.insert(session, known);
        Ok(Some(known))
    }

    /// An answer is kept for this mutation.
    pub(super) fn answered(&mut self, origin: Origin) {
        if let Some(known) = self.sessions.get_mut(&origin.session) {
            known.newest = known.newest.max(origin.sequence);
        }
    }

    /// A record has been written or removed.
    pub(super) fn changed(&mut self, key: &KeyBytes) {
        match key::family(key) {
            key::Family::Inode(ino) => {
                if self.inode(ino).is_some()
                    && let Some(place) = self.inodes.get_mut(place_of(ino))
                {
                    *place = None;
                }
            }
            key::Family::Usage => self.usage = None,
            key::Family::Session(session) => drop(self.sessions.remove(&session)),
            key::Family::Other => {}
        }
    }

    /// Whether it says what the records say.
    #[cfg(test)]
    pub(super) fn is_true(&self, records: &impl Records) -> bool {
        let inodes = self.inodes.iter().flatten().all(|(ino, inode)| {
            let found = Read::load::<Inode>(records, &Key::Inode { ino: *ino });
            found.expect("read").as_ref() == Some(inode)
        });
        let usage = self.usage.as_ref().is_none_or(|(project, usage)| {
            let key = Key::Usage { project: *project };
            Read::load::<Usage>(records, &key).expect("read").as_ref() == Some(usage)
        });
        let sessions = self.sessions.iter().all(|(session, known)| {
            let fresh = Recent::default().session(records, *session);
            fresh.expect("read").as_ref() == Some(known)
        });
        inodes && usage && sessions
    }
}
