//! Locks, both ways.

use wolfdisk_common::ids::Ino;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::set_lock::Type;

use crate::index::HeldLock;
use crate::index::op::LockMode;

/// A lock that is asked for: `start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockRange {
    /// The file.
    pub ino: Ino,
    /// Its holder within the session.
    pub owner: u64,
    /// Read, write, or none.
    pub mode: LockMode,
    /// The first byte.
    pub start: u64,
    /// The last byte.
    pub end: u64,
    /// The process, for `F_GETLK`.
    pub pid: u32,
}

/// A lock that arrived.
///
/// # Errors
/// `Invalid` for an unknown type, `EINVAL` for a range that ends before it begins.
pub fn lock(lock: &v1::SetLock) -> Result<LockRange, Failure> {
    let mode = match Type::try_from(lock.r#type) {
        Ok(Type::Read) => LockMode::Read,
        Ok(Type::Write) => LockMode::Write,
        Ok(Type::Unlock) => LockMode::Unlock,
        Err(_) => return Err(Failure::Invalid(format!("lock type {}", lock.r#type))),
    };
    if lock.start > lock.end {
        return Err(Failure::Errno(libc::EINVAL));
    }
    let ino = super::ino(lock.ino)?;
    let v1::SetLock {
        owner,
        start,
        end,
        pid,
        ..
    } = *lock;
    Ok(LockRange {
        ino,
        owner,
        mode,
        start,
        end,
        pid,
    })
}

/// A lock that somebody holds.
pub fn held_lock(ino: Ino, held: &HeldLock) -> v1::SetLock {
    let kind = if held.exclusive {
        Type::Write
    } else {
        Type::Read
    };
    v1::SetLock {
        ino: ino.0,
        owner: held.owner,
        r#type: kind as i32,
        start: held.start,
        end: held.end,
        pid: held.pid,
        wait_ms: 0,
    }
}
