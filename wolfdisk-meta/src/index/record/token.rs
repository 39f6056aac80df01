//! A token: `stamp, kind, restrictions, expires, used_by`.
//!
//! Who uses it becomes the member of the same number. A used one is kept for a while, so that its user gets the same
//! answer again.

use wolfdisk_common::ids::Version;
use wolfdisk_common::member::{MemberKind, PUBLIC_KEY_BYTES, Restrictions};
use wolfdisk_common::time::Timestamp;

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// The version that wrote this.
    pub stamp: Version,
    /// What its user becomes.
    pub kind: MemberKind,
    /// What its user may not do.
    pub restrictions: Restrictions,
    /// From then on it cannot be used.
    pub expires: Timestamp,
    /// The static key of who used it.
    pub used_by: Option<[u8; PUBLIC_KEY_BYTES]>,
}

impl Token {
    /// Whether nobody can become a member by it any more.
    pub fn is_spent(&self, now: Timestamp) -> bool {
        self.used_by.is_some() || self.expires <= now
    }
}

wire_struct!(Token {
    stamp,
    kind,
    restrictions,
    expires,
    used_by
});
