//! Sessions: opening, closing, and giving back what was held open.

use wolfdisk_common::ids::{Ino, SessionId};

use super::fail::{Done, Fail, require};
use super::{locks, orphans};
use crate::index::key::{self, Key};
use crate::index::op::{Answer, Op};
use crate::index::record::Session;
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;

/// `Op::OpenSession`.
pub(crate) fn open<R: Records>(tx: &mut Tx<'_, R>, op: &Op) -> Done<Answer> {
    let Op::OpenSession {
        frontend,
        place,
        pid,
        read_only,
    } = op
    else {
        return Err(Fail::Errno(libc::EINVAL));
    };
    let session = tx.counters.next_session;
    tx.counters.next_session = SessionId(session.0 + 1);
    let record = Session {
        stamp: tx.version(),
        frontend: frontend.clone(),
        place: place.clone(),
        pid: *pid,
        read_only: *read_only,
    };
    tx.store(&Key::Session { session }, &record);
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
