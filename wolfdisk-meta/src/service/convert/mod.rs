//! Between the wire and the domain: everything that arrives is checked here, once, and becomes a type
//! that cannot be wrong. Nothing is checked again behind this door but what depends on the state.

mod answer;
mod lock;
mod mutation;
mod object;

pub use answer::{attr, cacheable, invalidation, object, piece};
pub use lock::{LockRange, held_lock, lock};
pub use mutation::{Mutation, mutation};
pub use object::{key, list_keys};

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::name::{FileName, NameError};
use wolfdisk_proto::Failure;

/// A file name.
///
/// # Errors
/// The errno that Linux gives for such a name.
pub fn name(bytes: &Bytes) -> Result<FileName, Failure> {
    FileName::new(bytes).map_err(|error| match error {
        NameError::Empty => Failure::Errno(libc::ENOENT),
        NameError::TooLong(_) => Failure::Errno(libc::ENAMETOOLONG),
        NameError::Reserved => Failure::Errno(libc::EINVAL),
    })
}

fn ino(number: u64) -> Result<Ino, Failure> {
    match Ino(number) {
        ino if ino >= Ino::ROOT && ino <= Ino::MAX => Ok(ino),
        _ => Err(Failure::Invalid(format!("{number} is no inode"))),
    }
}
