//! Inodes without links: they live as long as a session holds them open.

use wolfdisk_common::ids::{Ino, SessionId};

use super::fail::Done;
use super::reap;
use crate::index::key::{self, Key};
use crate::index::op::Effect;
use crate::index::record::{Inode, Orphan, Session};
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;

/// The inode has lost its last link. Holders that are no sessions (any more) do not count.
pub(crate) fn orphaned<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    inode: &mut Inode,
    holders: &[SessionId],
) -> Done {
    let stamp = tx.version();
    let mut held = false;
    for &session in holders {
        if tx.load::<Session>(&Key::Session { session })?.is_some() {
            tx.store(&Key::Orphan { ino, session }, &Orphan { stamp });
            tx.store(&Key::SessionOrphan { session, ino }, &Orphan { stamp });
            held = true;
        }
    }
    tx.store_inode(ino, inode);
    if held {
        tx.effect(Effect::Data { ino });
        return Ok(());
    }
    reap::begin(tx, ino, inode)
}

/// The inode has got a name: nobody holds it any more.
pub(crate) fn named<R: Records>(tx: &mut Tx<'_, R>, ino: Ino) -> Done {
    for key in tx.keys(&key::orphan_holders(ino), usize::MAX)? {
        if let Key::Orphan { session, .. } = key {
            tx.remove(&key);
            tx.remove(&Key::SessionOrphan { session, ino });
        }
    }
    Ok(())
}

/// `heir` holds the inode in the place of `session`.
pub(crate) fn hand_over<R: Records>(
    tx: &mut Tx<'_, R>,
    ino: Ino,
    session: SessionId,
    heir: SessionId,
) {
    let stamp = tx.version();
    tx.remove(&Key::Orphan { ino, session });
    tx.remove(&Key::SessionOrphan { session, ino });
    let session = heir;
    tx.store(&Key::Orphan { ino, session }, &Orphan { stamp });
    tx.store(&Key::SessionOrphan { session, ino }, &Orphan { stamp });
}

/// The session holds the inode no longer. The last to let go deletes it.
pub(crate) fn let_go<R: Records>(tx: &mut Tx<'_, R>, ino: Ino, session: SessionId) -> Done {
    let key = Key::Orphan { ino, session };
    if tx.load::<Orphan>(&key)?.is_none() {
        return Ok(());
    }
    tx.remove(&key);
    tx.remove(&Key::SessionOrphan { session, ino });
    if tx.keys(&key::orphan_holders(ino), 1)?.is_empty() {
        let mut inode = tx.inode(ino)?;
        reap::begin(tx, ino, &mut inode)?;
    }
    Ok(())
}
