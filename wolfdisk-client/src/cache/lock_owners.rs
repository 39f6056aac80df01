//! Who took locks on a file, and through which handles.
//!
//! The locks of a process go when it closes any descriptor of the file: a flush names the owner. Those of
//! an open file (`flock`, `F_OFD_SETLK`) go with its last descriptor: that is the release of the handle, and
//! it names no owner. The kernel does not wait for the answer to a release. So a lock that its holder has
//! closed may still be here when somebody asks for it who knows that the holder is gone; and the kernel may
//! use the same number for the next owner, who must not lose its lock to the end of the one before.

use std::collections::HashMap;

use crate::types::HandleId;

/// A handle through which an owner took a lock.
#[derive(Debug)]
struct Through {
    handle: HandleId,
    /// A descriptor of it was closed since; it may have been the last.
    closing: bool,
}

#[derive(Debug, Default)]
struct Owner {
    through: Vec<Through>,
    /// All of those handles are closed, and its locks are being released.
    leaving: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct LockOwners {
    owners: HashMap<u64, Owner>,
    /// How many have left.
    left: u64,
}

impl LockOwners {
    /// Nobody holds locks or asks for one.
    pub(crate) fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// `owner` took a lock through `handle`, or is about to.
    pub(crate) fn took(&mut self, owner: u64, handle: HandleId) {
        let through = &mut self.owners.entry(owner).or_default().through;
        match through.iter_mut().find(|through| through.handle == handle) {
            Some(through) => through.closing = false,
            None => through.push(Through {
                handle,
                closing: false,
            }),
        }
    }

    /// `owner` closed a descriptor of `handle`. True if it may hold locks of its own, which go; it must be told of
    /// with [`LockOwners::gone`] once they are released.
    pub(crate) fn closed(&mut self, owner: u64, handle: HandleId) -> bool {
        let all = self.owners.values_mut();
        for through in all.flat_map(|owner| owner.through.iter_mut()) {
            through.closing |= through.handle == handle;
        }
        match self.owners.get_mut(&owner) {
            Some(owner) if !owner.leaving => {
                owner.through.clear();
                owner.leaving = true;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The last descriptor of `handle` is closed. Gives those who hold locks through no other; each must
    /// be told of with [`LockOwners::gone`] once its locks are released.
    pub(crate) fn released(&mut self, handle: HandleId) -> Vec<u64> {
        let mut leaving = Vec::new();
        for (number, owner) in &mut self.owners {
            let before = owner.through.len();
            owner.through.retain(|through| through.handle != handle);
            if owner.through.is_empty() && before > 0 {
                owner.leaving = true;
                leaving.push(*number);
            }
        }
        leaving
    }

    /// The locks of `owner` are released.
    pub(crate) fn gone(&mut self, owner: u64) {
        self.left += 1;
        self.owners.remove(&owner);
    }

    /// The locks of `owner`, or of one before it with its number, are being released.
    pub(crate) fn is_leaving(&self, owner: u64) -> bool {
        self.owners.get(&owner).is_some_and(|owner| owner.leaving)
    }

    /// Somebody other than `owner` may hold locks whose last descriptor is closed.
    pub(crate) fn others_may_leave(&self, owner: u64) -> bool {
        let mut others = self.owners.iter().filter(|(other, _)| **other != owner);
        others.any(|(_, other)| other.leaving || other.through.iter().all(|it| it.closing))
    }

    /// Nobody's last descriptor is closed after all, as far as is known.
    pub(crate) fn nobody_closed(&mut self) {
        let all = self.owners.values_mut();
        for through in all.flat_map(|owner| owner.through.iter_mut()) {
            through.closing = false;
        }
    }

    /// Grows whenever somebody leaves.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HandleId = HandleId(1);
    const B: HandleId = HandleId(2);

    #[test]
    fn a_process_leaves_with_any_descriptor_and_an_open_file_with_its_last() {
        let (process, file) = (10, 20);
        let mut owners = LockOwners::default();
        owners.took(process, A);
        owners.took(file, B);
        assert!(owners.closed(process, B), "through whichever handle");
        assert!(!owners.closed(process, B), "once");
        assert_eq!(owners.released(A), []);
        assert_eq!(owners.released(B), [file]);
        assert!(owners.is_leaving(file));
        owners.gone(file);
        assert!(!owners.is_leaving(file));
        assert_eq!(owners.released(B), []);
    }

    #[test]
    fn the_next_owner_with_the_same_number_keeps_its_lock() {
        let mut owners = LockOwners::default();
        owners.took(7, A);
        owners.took(7, B);
        assert_eq!(owners.released(A), []);
        assert_eq!(owners.released(B), [7]);
    }

    #[test]
    fn only_who_has_closed_may_leave() {
        let mut owners = LockOwners::default();
        owners.took(7, A);
        assert!(!owners.others_may_leave(8));
        owners.closed(99, A);
        assert!(owners.others_may_leave(8) && !owners.others_may_leave(7));
        owners.took(7, A);
        assert!(!owners.others_may_leave(8), "used again");
        owners.closed(99, A);
        owners.nobody_closed();
        assert!(!owners.others_may_leave(8), "waited for in vain");
        let left = owners.left();
        assert_eq!(owners.released(A), [7]);
        assert!(owners.others_may_leave(8));
        owners.gone(7);
        assert!(!owners.others_may_leave(8));
        assert_ne!(owners.left(), left);
    }
}
