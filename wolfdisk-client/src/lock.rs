//! Advisory locks as front-ends ask for them.

/// A lock's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Shared.
    Read,
    /// Exclusive.
    Write,
    /// None: releases the range.
    Unlock,
}

/// What a request for a lock waits for when somebody else holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Nothing.
    No,
    /// For those who have closed the file and whose locks are about to go: who asks knows that they are
    /// gone.
    Closed,
    /// Until it is free.
    Free,
}

/// A lock on a range of a file, wanted or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockRequest {
    /// Who holds it within this session, as the kernel names lock owners.
    pub owner: u64,
    /// Its mode.
    pub kind: LockKind,
    /// First byte.
    pub start: u64,
    /// Last byte, inclusive; `u64::MAX` means to the end, whatever that will be.
    pub end: u64,
    /// The process, for `F_GETLK`; 0 if it is on another mount.
    pub pid: u32,
}
