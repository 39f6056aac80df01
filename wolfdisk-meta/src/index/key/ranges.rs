//! The ranges of keys that listings scan.

use wolfdisk_common::ids::{ChunkId, Ino, SessionId};

use super::*;

/// The range of encoded keys `[from, to)`.
pub type KeyRange = (KeyBytes, KeyBytes);

/// The first key after `key`.
pub fn after(key: &[u8]) -> KeyBytes {
    KeyBytes::concat(&[key, &[0]])
}

/// All keys of one kind that have this first part.
fn under(tag: u8, part: u64) -> KeyRange {
    let to = match part.checked_add(1) {
        Some(next) => KeyBytes::concat(&[&[tag], &next.to_be_bytes()]),
        None => KeyBytes::new(&[tag + 1]),
    };
    (KeyBytes::concat(&[&[tag], &part.to_be_bytes()]), to)
}

/// All keys of one kind, that of `tag`'s first byte.
fn kind(tag: u8) -> KeyRange {
    (KeyBytes::new(&[tag]), KeyBytes::new(&[tag + 1]))
}

/// Every record.
pub fn everything() -> KeyRange {
    (KeyBytes::new(&[]), KeyBytes::new(&[u8::MAX]))
}

/// Every inode.
pub fn inodes() -> KeyRange {
    kind(INODE)
}

/// Every name.
pub fn dirents() -> KeyRange {
    kind(DIRENT)
}

/// The names in a directory.
pub fn dirents_of(parent: Ino) -> KeyRange {
    under(DIRENT, parent.0)
}

/// The names in a directory from `name` on, in the order of their bytes, up to the last that begins with `prefix`.
pub fn dirents_from(parent: Ino, name: &[u8], prefix: &[u8]) -> KeyRange {
    let (_, all) = dirents_of(parent);
    let from = KeyBytes::concat(&[&[DIRENT], &parent.0.to_be_bytes(), name]);
    // What follows all that begin with the prefix: its last byte that can be greater is, and nothing after it.
    let greater = prefix.iter().rposition(|byte| *byte < u8::MAX);
    let end = greater.and_then(|last| prefix.get(..=last)).map(|head| {
        let mut end = head.to_vec();
        if let Some(byte) = end.last_mut() {
            *byte += 1;
        }
        KeyBytes::concat(&[&[DIRENT], &parent.0.to_be_bytes(), &end])
    });
    (from, end.unwrap_or(all))
}

/// The cookies of all directories.
pub fn all_cookies() -> KeyRange {
    kind(COOKIE)
}

/// The link records of all inodes.
pub fn all_links() -> KeyRange {
    kind(LINK)
}

/// The extents of all inodes.
pub fn all_extents() -> KeyRange {
    kind(EXTENT)
}

/// The extended attributes of all inodes.
pub fn all_xattrs() -> KeyRange {
    kind(XATTR)
}

/// The usage of all projects.
pub fn usages() -> KeyRange {
    kind(USAGE)
}

/// The kept answers of all sessions.
pub fn all_answers() -> KeyRange {
    kind(ANSWER)
}

/// All locks.
pub fn all_locks() -> KeyRange {
    kind(LOCK)
}

/// What all sessions have locks on.
pub fn all_session_locks() -> KeyRange {
    kind(SESSION_LOCK)
}

/// All inodes without links that are held open, by inode and by session.
pub fn all_orphans() -> KeyRange {
    (kind(ORPHAN).0, kind(SESSION_ORPHAN).1)
}

/// Names of a directory with a cookie above `after`.
pub fn cookies(parent: Ino, after: u64) -> KeyRange {
    let (_, to) = under(COOKIE, parent.0);
    (
        Key::Cookie {
            parent,
            cookie: after.saturating_add(1),
        }
        .encode(),
        to,
    )
}

/// The names of an inode that has several.
pub fn links(ino: Ino) -> KeyRange {
    under(LINK, ino.0)
}

/// Extents that end above `offset`.
pub fn extents(ino: Ino, offset: u64) -> KeyRange {
    let (_, to) = under(EXTENT, ino.0);
    (
        Key::Extent {
            ino,
            end: offset.saturating_add(1),
        }
        .encode(),
        to,
    )
}

/// The extended attributes of an inode.
pub fn xattrs(ino: Ino) -> KeyRange {
    under(XATTR, ino.0)
}

/// Chunks without references, after `after`.
pub fn garbage(after: Option<ChunkId>) -> KeyRange {
    let (from, to) = kind(GARBAGE);
    match after {
        None => (from, to),
        Some(id) => (self::after(&Key::Garbage { id }.encode()), to),
    }
}

/// Every chunk.
pub fn chunks() -> KeyRange {
    kind(CHUNK)
}

/// Every session.
pub fn sessions() -> KeyRange {
    kind(SESSION)
}

/// The kept answers of a session.
pub fn answers(session: SessionId) -> KeyRange {
    under(ANSWER, session.0)
}

/// The locks on an inode.
pub fn locks(ino: Ino) -> KeyRange {
    under(LOCK, ino.0)
}

/// Inodes that a session has locks on.
pub fn session_locks(session: SessionId) -> KeyRange {
    under(SESSION_LOCK, session.0)
}

/// Sessions that hold an inode without links.
pub fn orphan_holders(ino: Ino) -> KeyRange {
    under(ORPHAN, ino.0)
}

/// Inodes without links that a session holds.
pub fn session_orphans(session: SessionId) -> KeyRange {
    under(SESSION_ORPHAN, session.0)
}

/// Every node.
pub fn nodes() -> KeyRange {
    kind(NODE)
}

/// Content that is still in the log, in log order.
pub fn undestaged() -> KeyRange {
    kind(UNDESTAGED)
}

/// Chunks of which little is left, after `after`.
pub fn sparse(after: Option<ChunkId>) -> KeyRange {
    let (from, to) = kind(SPARSE);
    match after {
        None => (from, to),
        Some(id) => (self::after(&Key::Sparse { id }.encode()), to),
    }
}

/// The extents of all inodes after the one of `ino` that ends at `end`, in the order of inodes and offsets.
pub fn extents_after(ino: Ino, end: u64) -> KeyRange {
    (after(&Key::Extent { ino, end }.encode()), kind(EXTENT).1)
}

/// Every member.
pub fn members() -> KeyRange {
    kind(MEMBER)
}

/// Every token.
pub fn tokens() -> KeyRange {
    kind(TOKEN)
}

/// Inodes that are deleted in steps.
pub fn reaping() -> KeyRange {
    kind(REAP)
}
