//! A name in a directory, twice: by name `stamp, ino, kind, cookie`, and by cookie `stamp, ino, kind,
//! name`, from which listings are answered without a second look.
//!
//! A cookie is given once in a directory's life. A name that comes to mean another inode (rename over
//! it, exchange) keeps its cookie.

use wolfdisk_common::ids::{Ino, Version};
use wolfdisk_common::name::FileName;

use crate::index::codec::wire_struct;
use crate::index::op::Kind;

/// By name.
#[derive(Clone, Debug, PartialEq)]
pub struct Dirent {
    /// The version that wrote this.
    pub stamp: Version,
    /// What the name means.
    pub ino: Ino,
    /// Of what kind that is.
    pub kind: Kind,
    /// The name's place in listings.
    pub cookie: u64,
}

/// By cookie.
#[derive(Clone, Debug, PartialEq)]
pub struct Cookie {
    /// The version that wrote this.
    pub stamp: Version,
    /// What the name means.
    pub ino: Ino,
    /// Of what kind that is.
    pub kind: Kind,
    /// The name.
    pub name: FileName,
}

wire_struct!(Dirent {
    stamp,
    ino,
    kind,
    cookie
});
wire_struct!(Cookie {
    stamp,
    ino,
    kind,
    name
});
