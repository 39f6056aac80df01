//! Listings, and the room on the volume.
//!
//! Positions: 0 is the start, 1 after ".", 2 after "..", and every greater one the cookie of the entry
//! before, which stays valid for the life of the directory. So a listing needs no state here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fuser::{
    FileAttr, FileHandle, FileType, FopenFlags, ReplyDirectory, ReplyDirectoryPlus, ReplyOpen,
    ReplyStatfs,
};
use wolfdisk_client::{Entry, Error, Listing, Result};
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::NAME_MAX_BYTES;

use super::Adapter;
use super::answer::{GENERATION, both, failed, failed_inode};
use crate::attributes::{bare, file_type};
use crate::freshness::Lifetime;
use crate::limits::{
    DIR_BUFFER_MAX_BYTES, DIR_BUFFER_MIN_BYTES, DIR_ENTRY_BYTES, DIR_ENTRY_PLUS_BYTES,
    DIR_NAME_GUESS_BYTES, STATFS_BLOCK_BYTES,
};
use crate::numbers::{number, root};

/// Position after ".".
const AFTER_SELF: u64 = 1;
/// Position after "..".
const AFTER_PARENT: u64 = 2;

/// What the kernel's buffer for entries holds: the library does not say, and it differs by kernel and
/// program. Learned from where listings were cut.
#[derive(Debug)]
pub struct BufferGuess(AtomicUsize);

impl Default for BufferGuess {
    fn default() -> BufferGuess {
        BufferGuess(AtomicUsize::new(DIR_BUFFER_MIN_BYTES))
    }
}

impl BufferGuess {
    /// How many entries to get.
    fn entries(&self, entry_bytes: usize) -> usize {
        self.0.load(Ordering::Relaxed) / (entry_bytes + DIR_NAME_GUESS_BYTES) + 1
    }

    /// Entries of about `used` bytes were placed; `full`: and no more had room.
    fn learn(&self, used: usize, full: bool) {
        let guess = if full { used } else { used * 2 };
        self.0.store(
            guess.clamp(DIR_BUFFER_MIN_BYTES, DIR_BUFFER_MAX_BYTES),
            Ordering::Relaxed,
        );
    }
}

/// The cookie after which the volume is to go on.
fn cookie(offset: u64) -> u64 {
    if offset <= AFTER_PARENT { 0 } else { offset }
}

/// The two entries that every directory has and the index does not keep, from `offset` on.
fn dots(
    offset: u64,
    ino: Ino,
    listing: &Listing,
) -> impl Iterator<Item = (&'static str, Ino, u64)> {
    // Nothing of the mount is above its root.
    let parent = match ino == root() {
        true => ino,
        false => listing.parent,
    };
    [(".", ino, AFTER_SELF), ("..", parent, AFTER_PARENT)]
        .into_iter()
        .filter(move |(_, _, position)| *position > offset)
}

impl Adapter {
    pub(super) fn open_directory(&self, ino: Ino, reply: ReplyOpen) {
        match self.volume.opendir(ino) {
            Ok(handle) => reply.opened(FileHandle(handle.0), FopenFlags::empty()),
            Err(error) => failed_inode(reply, "opendir", ino.0, &error),
        }
    }

    pub(super) fn list(&self, ino: Ino, offset: u64, mut reply: ReplyDirectory) {
        let count = self.buffer.entries(DIR_ENTRY_BYTES);
        let listing = match self.volume.readdir(ino, cookie(offset), count, false) {
            Ok(listing) => listing,
            Err(error) => return failed(reply, "readdir", ino.0, &error),
        };
        self.count_listing(ino, offset);
        let dots = dots(offset, ino, &listing)
            .map(|(name, ino, position)| (OsStr::new(name), ino, FileType::Directory, position));
        let entries = listing.entries.iter().map(|item| {
            (
                OsStr::from_bytes(&item.name),
                item.ino,
                file_type(item.kind),
                item.cookie,
            )
        });
        let mut used = 0;
        let full = dots.chain(entries).any(|(name, ino, kind, position)| {
            let full = reply.add(number(ino), position, kind, name);
            used += if full {
                0
            } else {
                DIR_ENTRY_BYTES + name.len()
            };
            full
        });
        if full || !listing.end {
            self.buffer.learn(used, full);
        }
        reply.ok();
    }

    pub(super) fn list_plus(&self, ino: Ino, offset: u64, reply: ReplyDirectoryPlus) {
        let stamp = self.freshness.stamp();
        match self.page_with_attributes(ino, offset) {
            Ok(listing) => {
                self.count_listing(ino, offset);
                self.freshness.send(stamp, |lifetime| {
                    self.send_listing(ino, offset, listing, lifetime, reply);
                });
            }
            Err(error) => failed(reply, "readdirplus", ino.0, &error),
        }
    }

    /// Entries that all have attributes. One whose inode is gone by now is left out; if that leaves
    /// nothing, the next page is taken, since an empty answer means the end.
    fn page_with_attributes(&self, ino: Ino, offset: u64) -> Result<Listing> {
        let count = self.buffer.entries(DIR_ENTRY_PLUS_BYTES);
        let mut after = cookie(offset);
        loop {
            let mut listing = self.volume.readdir(ino, after, count, true)?;
            after = listing.entries.last().map_or(after, |item| item.cookie);
            for item in listing
                .entries
                .iter_mut()
                .filter(|item| item.entry.is_none())
            {
                item.entry = match self.volume.getattr(item.ino) {
                    Ok((attr, attr_valid)) => Some(Entry {
                        attr,
                        entry_valid: Duration::ZERO,
                        attr_valid,
                    }),
                    Err(Error::Refused(_)) => None,
                    Err(error) => return Err(error),
                };
            }
            listing.entries.retain(|item| item.entry.is_some());
            if listing.end || !listing.entries.is_empty() {
                return Ok(listing);
            }
        }
    }

    fn send_listing(
        &self,
        ino: Ino,
        offset: u64,
        listing: Listing,
        lifetime: Lifetime,
        mut reply: ReplyDirectoryPlus,
    ) {
        let mut used = 0;
        let mut add = |position: u64, name: &OsStr, valid: Duration, attr: &FileAttr| {
            let full = reply.add(attr.ino, position, name, &valid, attr, GENERATION);
            used += if full {
                0
            } else {
                DIR_ENTRY_PLUS_BYTES + name.len()
            };
            full
        };
        // Of these two the kernel takes number and type and nothing else.
        let mut full = dots(offset, ino, &listing).any(|(name, ino, position)| {
            let attr = bare(ino, FileType::Directory);
            add(position, OsStr::new(name), Duration::ZERO, &attr)
        });
        let end = listing.end;
        for item in listing.entries {
            if full {
                break;
            }
            if let Some(entry) = item.entry {
                let valid = both(&entry, lifetime);
                let name = OsStr::from_bytes(&item.name);
                full = add(item.cookie, name, valid, &self.visible(entry.attr));
            }
        }
        if full || !end {
            self.buffer.learn(used, full);
        }
        reply.ok();
    }

    /// A listing from the start counts as an access.
    fn count_listing(&self, ino: Ino, offset: u64) {
        if offset == 0
            && let Ok((attr, _)) = self.volume.getattr(ino)
        {
            self.times.touched(&attr);
        }
    }

    pub(super) fn room(&self, ino: Ino, reply: ReplyStatfs) {
        match self.volume.statfs(ino) {
            Ok(stats) => {
                let blocks = |bytes: u64| bytes / u64::from(STATFS_BLOCK_BYTES);
                reply.statfs(
                    blocks(stats.total_bytes),
                    blocks(stats.free_bytes),
                    blocks(stats.available_bytes),
                    stats.inodes.saturating_add(stats.free_inodes),
                    stats.free_inodes,
                    STATFS_BLOCK_BYTES,
                    NAME_MAX_BYTES as u32,
                    STATFS_BLOCK_BYTES,
                );
            }
            Err(error) => failed(reply, "statfs", ino.0, &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_the_buffer_is_learned() {
        let guess = BufferGuess::default();
        let before = guess.entries(DIR_ENTRY_BYTES);
        guess.learn(DIR_BUFFER_MIN_BYTES, false);
        assert!(guess.entries(DIR_ENTRY_BYTES) > before);
        guess.learn(usize::MAX / 4, true);
        assert!(guess.entries(DIR_ENTRY_BYTES) <= DIR_BUFFER_MAX_BYTES / DIR_ENTRY_BYTES);
        guess.learn(0, true);
        assert_eq!(guess.entries(DIR_ENTRY_BYTES), before);
    }

    #[test]
    fn a_listing_goes_on_where_it_stopped() {
        let listing = Listing {
            entries: Vec::new(),
            end: true,
            parent: Ino(1),
        };
        let names = |offset| {
            dots(offset, Ino(9), &listing)
                .map(|(name, ..)| name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(0), [".", ".."]);
        assert_eq!(names(AFTER_SELF), [".."]);
        assert!(names(AFTER_PARENT).is_empty() && names(77).is_empty());
        assert_eq!([0, 1, 2, 3, 1 << 40].map(cookie), [0, 0, 0, 3, 1 << 40]);
    }
}
