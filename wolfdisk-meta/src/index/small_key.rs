//! A key of the overlay: short ones are kept in place, so that most lookups and inserts allocate
//! nothing and compare without following a pointer.

use std::borrow::Borrow;
use std::cmp::Ordering;

/// Bytes kept in place: an inode key, an extent key, a dirent with a name of about 20 bytes.
const INLINE_BYTES: usize = 30;

/// Orders like its bytes.
#[derive(Clone, Debug)]
pub(super) enum SmallKey {
    Inline {
        length: u8,
        bytes: [u8; INLINE_BYTES],
    },
    Heap(Box<[u8]>),
}

impl SmallKey {
    pub(super) fn new(key: &[u8]) -> SmallKey {
        let mut bytes = [0; INLINE_BYTES];
        match bytes.get_mut(..key.len()) {
            Some(room) => {
                room.copy_from_slice(key);
                SmallKey::Inline {
                    length: key.len() as u8,
                    bytes,
                }
            }
            None => SmallKey::Heap(key.into()),
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            SmallKey::Inline { length, bytes } => bytes.split_at(usize::from(*length)).0,
            SmallKey::Heap(bytes) => bytes,
        }
    }
}

impl Borrow<[u8]> for SmallKey {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for SmallKey {
    fn eq(&self, other: &SmallKey) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for SmallKey {}

impl PartialOrd for SmallKey {
    fn partial_cmp(&self, other: &SmallKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SmallKey {
    fn cmp(&self, other: &SmallKey) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}
