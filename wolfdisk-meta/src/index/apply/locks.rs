//! Record locks on ranges, as POSIX has them. Apply never waits: who is in the way is an `EAGAIN`, and
//! the leader asks again when a lock has gone.

use wolfdisk_common::ids::{Ino, SessionId};

use super::fail::{Done, Fail, require};
use super::names;
use crate::index::key::Key;
use crate::index::op::{Answer, Effect, LockMode, Op};
use crate::index::read::{HeldLock, locks_of};
use crate::index::record::{Lock, SessionLock};
use crate::index::records::Records;
use crate::index::tx::Tx;
use crate::limits::LOCKS_PER_INODE_MAX;

/// `Op::SetLock`.
pub(crate) fn set<R: Records>(tx: &mut Tx<'_, R>, op: &Op, session: SessionId) -> Done<Answer> {
    let &Op::SetLock {
        ino,
        owner,
        mode,
        start,
        end,
        pid,
    } = op
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    require(start <= end, libc::EINVAL)?;
    names::existing(tx, ino)?;
    let held = locks_of(tx, ino)?;
    let (own, others): (Vec<HeldLock>, Vec<HeldLock>) = held
        .into_iter()
        .partition(|lock| lock.is_of(session, owner));
    require(
        !others.iter().any(|lock| lock.bars(mode, start, end)),
        libc::EAGAIN,
    )?;

    let exclusive = mode == LockMode::Write;
    let wanted = HeldLock {
        session,
        owner,
        start,
        end,
        exclusive,
        pid,
    };
    let wanted = (mode != LockMode::Unlock).then_some(wanted);
    let after = merged(&own, wanted, start, end);
    require(
        others.len() + after.len() <= LOCKS_PER_INODE_MAX,
        libc::ENOLCK,
    )?;
    for lock in own.iter().filter(|lock| !after.contains(lock)) {
        tx.remove(&key_of(ino, lock));
        tx.effect(Effect::Lock { ino });
    }
    let stamp = tx.version();
    for lock in after.iter().filter(|lock| !own.contains(lock)) {
        let record = Lock {
            stamp,
            end: lock.end,
            exclusive: lock.exclusive,
            pid: lock.pid,
        };
        tx.store(&key_of(ino, lock), &record);
    }
    let had = others.iter().any(|lock| lock.session == session);
    match (had || !own.is_empty(), had || !after.is_empty()) {
        (false, true) => tx.store(&Key::SessionLock { session, ino }, &SessionLock { stamp }),
        (true, false) => tx.remove(&Key::SessionLock { session, ino }),
        _ => {}
    }
    Ok(Answer {
        inodes: vec![ino],
        ..Answer::default()
    })
}

fn key_of(ino: Ino, lock: &HeldLock) -> Key {
    Key::Lock {
        ino,
        session: lock.session,
        owner: lock.owner,
        start: lock.start,
    }
}

/// One owner's locks after `[start, end]` was given up and `wanted`, if any, was taken for it. Locks of
/// one mode that touch become one.
fn merged(own: &[HeldLock], wanted: Option<HeldLock>, start: u64, end: u64) -> Vec<HeldLock> {
    let mut after = Vec::with_capacity(own.len() + 2);
    let mut wanted = wanted;
    for lock in own {
        if let Some(wanted) = &mut wanted
            && wanted.exclusive == lock.exclusive
            && lock.start <= end.saturating_add(1)
            && start <= lock.end.saturating_add(1)
        {
            wanted.start = wanted.start.min(lock.start);
            wanted.end = wanted.end.max(lock.end);
            continue;
        }
        if lock.end < start || lock.start > end {
            after.push(*lock);
            continue;
        }
        if lock.start < start {
            after.push(HeldLock {
                end: start - 1,
                ..*lock
            });
        }
        if lock.end > end {
            after.push(HeldLock {
                start: end + 1,
                ..*lock
            });
        }
    }
    after.extend(wanted);
    after
}

/// Every lock of a session goes.
pub(crate) fn release_all<R: Records>(tx: &mut Tx<'_, R>, session: SessionId, ino: Ino) -> Done {
    for lock in locks_of(tx, ino)?
        .iter()
        .filter(|lock| lock.session == session)
    {
        tx.remove(&key_of(ino, lock));
    }
    tx.remove(&Key::SessionLock { session, ino });
    tx.effect(Effect::Lock { ino });
    Ok(())
}

/// The locks of `session` on an inode become those of `heir`. Nobody who waits can go on for that.
pub(crate) fn hand_over<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    session: SessionId,
    heir: SessionId,
) -> Done {
    let stamp = tx.version();
    let held = locks_of(tx, ino)?;
    for lock in held.iter().filter(|lock| lock.session == session) {
        tx.remove(&key_of(ino, lock));
        let record = Lock {
            stamp,
            end: lock.end,
            exclusive: lock.exclusive,
            pid: lock.pid,
        };
        let key = Key::Lock {
            ino,
            session: heir,
            owner: lock.owner,
            start: lock.start,
        };
        tx.store(&key, &record);
    }
    tx.remove(&Key::SessionLock { session, ino });
    let session = heir;
    tx.store(&Key::SessionLock { session, ino }, &SessionLock { stamp });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(locks: &[HeldLock]) -> Vec<Option<bool>> {
        let at = |byte| {
            locks
                .iter()
                .find(|lock| (lock.start..=lock.end).contains(&byte))
        };
        (0..40)
            .map(|byte| at(byte).map(|lock| lock.exclusive))
            .collect()
    }

    proptest! {
        #[test]
        fn ranges_split_and_merge_as_bytes_do(
            steps in proptest::collection::vec((0u64..32, 0u64..8, 0u8..3), 1..24),
        ) {
            let mut model = vec![None; 40];
            let mut own: Vec<HeldLock> = Vec::new();
            for (start, more, mode) in steps {
                let end = start + more;
                let exclusive = mode == 1;
                let wanted = HeldLock {
                    session: SessionId(1), owner: 1, start, end, exclusive, pid: 0,
                };
                own = merged(&own, (mode < 2).then_some(wanted), start, end);
                own.sort_by_key(|lock| lock.start);
                model[start as usize..=end as usize].fill((mode < 2).then_some(exclusive));
                prop_assert_eq!(bytes_of(&own), model.clone());
                for pair in own.windows(2) {
                    let apart = pair[0].end + 1 < pair[1].start;
                    prop_assert!(apart || pair[0].exclusive != pair[1].exclusive);
                    prop_assert!(pair[0].end < pair[1].start);
                }
            }
        }
    }
}
