//! An extended attribute: `stamp, value`. ACLs are the attributes `system.posix_acl_access` and
//! `system.posix_acl_default`, kept in the form that the kernel passes.

use bytes::Bytes;
use wolfdisk_common::ids::Version;

use crate::index::codec::wire_struct;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Xattr {
    /// The version that wrote this.
    pub stamp: Version,
    /// The value.
    pub value: Bytes,
}

wire_struct!(Xattr { stamp, value });
