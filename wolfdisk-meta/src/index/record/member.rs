//! A member of the cluster: `stamp, kind, name, public_key, joined, restrictions, removed`.
//!
//! One that was removed keeps its record, so that it is known and refused.

use wolfdisk_common::ids::Version;
use wolfdisk_common::member::{MemberKind, PUBLIC_KEY_BYTES, Restrictions};
use wolfdisk_common::time::Timestamp;

use crate::index::codec::{DecodeError, Reader, Wire, wire_struct};

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The version that wrote this.
    pub stamp: Version,
    /// What it is.
    pub kind: MemberKind,
    /// What people call it, as a node id; no other member that is not removed has it.
    pub name: String,
    /// Its static key; no other member that is not removed has it.
    pub public_key: [u8; PUBLIC_KEY_BYTES],
    /// When it joined.
    pub joined: Timestamp,
    /// What it may not do.
    pub restrictions: Restrictions,
    /// It is shut out.
    pub removed: bool,
}

impl Wire for MemberKind {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(self.number());
    }

    fn take(from: &mut Reader) -> Result<MemberKind, DecodeError> {
        MemberKind::from_number(from.byte()?).ok_or(DecodeError::Range("kind of member"))
    }
}

wire_struct!(Restrictions {
    read_only,
    subdir,
    squash_root
});
wire_struct!(Member {
    stamp,
    kind,
    name,
    public_key,
    joined,
    restrictions,
    removed
});
