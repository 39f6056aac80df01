//! A session: `stamp, frontend, place, pid, access, member`; and an answer kept for it: `stamp, sequence,
//! answer` in slot `sequence mod 1024`.
//!
//! A slot is written over by the mutation 1,024 later, which the session may send only once the earlier
//! answer has arrived.

use wolfdisk_common::ids::{Sequence, Version};

use crate::index::codec::{wire_enum, wire_struct};
use crate::index::op::Answer;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The version that opened it.
    pub stamp: Version,
    /// `fuse`, `s3` or `ctl`.
    pub frontend: String,
    /// Mount path or address, for people.
    pub place: String,
    /// Its process.
    pub pid: u32,
    /// What it may do.
    pub access: Access,
    /// The member that opened it, and the only one that may name it; 0: somebody on this machine, or a node.
    pub member: u64,
}

/// What a session may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read and change, beside others.
    Shared,
    /// Change nothing.
    ReadOnly,
    /// Read and change, and be the only one.
    Exclusive,
}

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The version that wrote this.
    pub stamp: Version,
    /// The mutation it answers.
    pub sequence: Sequence,
    /// The answer.
    pub answer: Answer,
}

wire_struct!(Session {
    stamp,
    frontend,
    place,
    pid,
    access,
    member
});
wire_enum!(Access { 0 => Shared, 1 => ReadOnly, 2 => Exclusive });
wire_struct!(Kept {
    stamp,
    sequence,
    answer
});
wire_struct!(Answer {
    version,
    errno,
    retry_put,
    inodes,
    offset,
    cookie,
    removed,
    session
});
