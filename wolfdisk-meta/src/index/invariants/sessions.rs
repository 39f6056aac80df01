//! What belongs to sessions belongs to sessions that are open, and is listed with them.

use std::collections::BTreeSet;

use bytes::Bytes;
use wolfdisk_common::ids::{Ino, SessionId, Version};

use super::Inspection;
use super::breach::Breach;
use crate::index::codec::DecodeError;
use crate::index::key::{self, Key};
use crate::index::op::RepairRecord;
use crate::index::record::{Inode, Kept, Lock, Orphan, Session, SessionLock};
use crate::index::records::Read;
use crate::index::table::TableError;

type Held = BTreeSet<(SessionId, Ino)>;

impl<R: Read> Inspection<'_, R> {
    pub(super) fn sessions(&mut self) -> Result<(), TableError> {
        let mut open = BTreeSet::new();
        self.walk
            .each::<Session>(key::sessions(), &mut |_, key, _| {
                if let Key::Session { session } = key {
                    open.insert(session);
                }
                Ok(())
            })?;
        self.answers(&open)?;
        self.locks(&open)?;
        self.orphans(&open)
    }

    /// Kept answers of sessions that are closed.
    fn answers(&mut self, open: &BTreeSet<SessionId>) -> Result<(), TableError> {
        let mut strays: Vec<(SessionId, Vec<Key>)> = Vec::new();
        self.walk
            .each::<Kept>(key::all_answers(), &mut |_, key, _| {
                let Key::Answer { session, .. } = key else {
                    return Ok(());
                };
                if !open.contains(&session) {
                    match strays.last_mut() {
                        Some((of, keys)) if *of == session => keys.push(key),
                        _ => strays.push((session, vec![key])),
                    }
                }
                Ok(())
            })?;
        for (session, keys) in strays {
            self.forget(session, "it is closed and still has something", &keys)?;
        }
        Ok(())
    }

    fn locks(&mut self, open: &BTreeSet<SessionId>) -> Result<(), TableError> {
        let (mut held, mut listed) = (Held::new(), Held::new());
        self.walk
            .each::<Lock>(key::all_locks(), &mut |_, key, lock| {
                let Key::Lock {
                    ino,
                    session,
                    start,
                    ..
                } = key
                else {
                    return Ok(());
                };
                if lock.end < start {
                    return Err(DecodeError::Range("end").into());
                }
                held.insert((session, ino));
                Ok(())
            })?;
        self.walk
            .each::<SessionLock>(key::all_session_locks(), &mut |_, key, _| {
                if let Key::SessionLock { session, ino } = key {
                    listed.insert((session, ino));
                }
                Ok(())
            })?;
        if self.walk.is_stopped() {
            return Ok(());
        }
        for &(session, ino) in held.union(&listed) {
            let list = Key::SessionLock { session, ino };
            match (open.contains(&session), held.contains(&(session, ino))) {
                (false, _) => {
                    let locks = self.walk.keys(&key::locks(ino))?.unwrap_or_default();
                    let own =
                        |key: &Key| matches!(key, Key::Lock { session: of, .. } if *of == session);
                    let mut keys: Vec<Key> = locks.into_iter().filter(own).collect();
                    if listed.contains(&(session, ino)) {
                        keys.push(list);
                    }
                    self.forget(session, "it is closed and still has something", &keys)?;
                }
                (true, true) if listed.contains(&(session, ino)) => {}
                (true, true) => {
                    let stamp = Version(0);
                    let fix = self.plan.record(&list, None, Some(&SessionLock { stamp }));
                    let what = "its locks and its list of them differ";
                    self.walk.tell(Breach::Session { session, what }, fix);
                }
                (true, false) => {
                    self.forget(session, "its locks and its list of them differ", &[list])?;
                }
            }
        }
        Ok(())
    }

    fn orphans(&mut self, open: &BTreeSet<SessionId>) -> Result<(), TableError> {
        const DIFFER: &str = "its open inodes without links and its list of them differ";
        let (mut held, mut listed) = (Held::new(), Held::new());
        self.walk
            .each::<Orphan>(key::all_orphans(), &mut |_, key, _| {
                match key {
                    Key::Orphan { ino, session } => drop(held.insert((session, ino))),
                    Key::SessionOrphan { session, ino } => drop(listed.insert((session, ino))),
                    _ => {}
                }
                Ok(())
            })?;
        if self.walk.is_stopped() {
            return Ok(());
        }
        for &(session, ino) in held.union(&listed) {
            let keys = [
                Key::Orphan { ino, session },
                Key::SessionOrphan { session, ino },
            ];
            let inode = self.walk.lookup::<Inode>(&Key::Inode { ino })?;
            let right = inode.is_some_and(|inode| inode.nlink == 0);
            let there = (
                held.contains(&(session, ino)),
                listed.contains(&(session, ino)),
            );
            if !right && there.0 {
                self.forget(session, "it holds an inode that is no orphan", &keys)?;
            } else if !open.contains(&session) {
                self.forget(session, "it is closed and still has something", &keys)?;
            } else {
                let stamp = Version(0);
                if there.0 {
                    self.inodes.held.insert(ino);
                }
                match there {
                    (true, true) => {}
                    (true, false) => {
                        let [_, list] = keys;
                        let fix = self.plan.record(&list, None, Some(&Orphan { stamp }));
                        let what = DIFFER;
                        self.walk.tell(Breach::Session { session, what }, fix);
                    }
                    (false, _) => self.forget(session, DIFFER, &keys)?,
                }
            }
        }
        Ok(())
    }

    /// These records of a session are to go.
    fn forget(
        &mut self,
        session: SessionId,
        what: &'static str,
        keys: &[Key],
    ) -> Result<(), TableError> {
        let mut changes = Vec::new();
        for key in keys {
            if let Some(Some(expected)) = self.walk.raw(key)? {
                changes.push(RepairRecord {
                    key: Bytes::copy_from_slice(&key.encode()),
                    expected: Some(expected),
                    value: None,
                });
            }
        }
        let fix = self.plan.group(changes);
        self.walk.tell(Breach::Session { session, what }, fix);
        Ok(())
    }
}
