//! Sessions: opening, closing, and giving back what was held open.

use wolfdisk_common::ids::{Ino, SessionId};

use super::fail::{Done, Fail, require};
use super::{locks, orphans};
use crate::index::key::{self, Key};
use crate::index::op::{Answer, Op};
use crate::index::record::{Access, Session};
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;

/// `Op::OpenSession`.
pub(crate) fn open<R: Records>(tx: &mut Tx<'_, R>, op: &Op) -> Done<Answer> {
    let Op::OpenSession {
        frontend,
        place,
        pid,
        access,
        member,
    } = op
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    require_alone(tx, *access)?;
    let record = Session {
        stamp: tx.version(),
        frontend: frontend.clone(),
        place: place.clone(),
        pid: *pid,
        access: *access,
        member: *member,
    };
    let session = add(tx, &record);
    Ok(Answer {
        session: Some(session),
        ..Answer::default()
    })
}

/// An exclusive session is the only one.
fn require_alone<R: Records>(tx: &mut Tx<'_, R>, access: Access) -> Done<()> {
    let Some(key) = tx.keys(&key::sessions(), 1)?.into_iter().next() else {
        return Ok(());
    };
    let other = tx.load::<Session>(&key)?;
    let alone = |access| access == Access::Exclusive;
    let refused = alone(access) || other.is_some_and(|other| alone(other.access));
    require(!refused, libc::EBUSY)
}

fn add<R: Records>(tx: &mut Tx<'_, R>, record: &Session) -> SessionId {
    let session = tx.counters.next_session;
    tx.counters.next_session = SessionId(session.0 + 1);
    tx.store(&Key::Session { session }, record);
    session
}

/// `Op::TakeOver`: a new session gets what the old one holds. It has another number, so that what the
/// old front-end sent and what arrives late is refused.
pub(crate) fn take_over<R: Records>(tx: &mut Tx<'_, R>, old: SessionId, pid: u32) -> Done<Answer> {
    let key = Key::Session { session: old };
    let mut record = tx.load::<Session>(&key)?.ok_or(Fail::Errno(libc::ESTALE))?;
    tx.remove(&key);
    record.stamp = tx.version();
    record.pid = pid;
    let session = add(tx, &record);
    for key in tx.keys(&key::answers(old), usize::MAX)? {
        tx.remove(&key);
    }
    for key in tx.keys(&key::session_locks(old), usize::MAX)? {
        if let Key::SessionLock { ino, .. } = key {
            locks::hand_over(tx, ino, old, session)?;
        }
    }
    for key in tx.keys(&key::session_orphans(old), usize::MAX)? {
        if let Key::SessionOrphan { ino, .. } = key {
            orphans::hand_over(tx, ino, old, session);
        }
    }
    Ok(Answer {
        session: Some(session),
        ..Answer::default()
    })
}

/// `Op::CloseSession`: its locks, kept answers and open-but-unlinked inodes go with it.
pub(crate) fn close<R: Records>(tx: &mut Tx<'_, R>, session: SessionId) -> Done<Answer> {
    let key = Key::Session { session };
    require(tx.load::<Session>(&key)?.is_some(), libc::ESTALE)?;
    tx.remove(&key);
    for key in tx.keys(&key::answers(session), usize::MAX)? {
        tx.remove(&key);
    }
    for key in tx.keys(&key::session_locks(session), usize::MAX)? {
        if let Key::SessionLock { ino, .. } = key {
            locks::release_all(tx, session, ino)?;
        }
    }
    for key in tx.keys(&key::session_orphans(session), usize::MAX)? {
        if let Key::SessionOrphan { ino, .. } = key {
            orphans::let_go(tx, ino, session)?;
        }
    }
    Ok(Answer::default())
}

/// `Op::Release`.
pub(crate) fn release<R: Records>(
    tx: &mut Tx<'_, R>,
    session: SessionId,
    inos: &[Ino],
) -> Done<Answer> {
    for &ino in inos {
        orphans::let_go(tx, ino, session)?;
    }
    Ok(Answer::default())
}
