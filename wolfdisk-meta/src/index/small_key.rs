//! A key of the overlay: short ones are kept in place, so that most lookups and inserts allocate
//! nothing and compare without following a pointer, sixteen bytes at a time.

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

/// The first bytes of a key in place, as a number that orders like them.
#[inline]
fn head(bytes: &[u8; INLINE_BYTES]) -> u128 {
    match bytes.first_chunk() {
        Some(head) => u128::from_be_bytes(*head),
        None => 0,
    }
}

/// The last ones; some of the first are in it too.
#[inline]
fn tail(bytes: &[u8; INLINE_BYTES]) -> u128 {
    match bytes.last_chunk() {
        Some(tail) => u128::from_be_bytes(*tail),
        None => 0,
    }
}

impl PartialEq for SmallKey {
    fn eq(&self, other: &SmallKey) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for SmallKey {}

impl PartialOrd for SmallKey {
    fn partial_cmp(&self, other: &SmallKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SmallKey {
    #[inline]
    fn cmp(&self, other: &SmallKey) -> Ordering {
        match (self, other) {
            (
                SmallKey::Inline { length, bytes },
                SmallKey::Inline {
                    length: others_length,
                    bytes: others,
                },
            ) => match head(bytes).cmp(&head(others)) {
                // Filled up with zeroes: where the bytes say nothing, the longer one is the greater.
                Ordering::Equal => (tail(bytes), length).cmp(&(tail(others), others_length)),
                order => order,
            },
            _ => self.as_slice().cmp(other.as_slice()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// Few different bytes, so that keys often begin alike.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        vec(prop_oneof![Just(0u8), Just(1), Just(255)], 0..40)
    }

    proptest! {
        #[test]
        fn keys_order_like_their_bytes(start in key(), one in key(), other in key()) {
            let (one, other) = ([&*start, &*one].concat(), [&*start, &*other].concat());
            let (small, others) = (SmallKey::new(&one), SmallKey::new(&other));
            prop_assert_eq!(small.cmp(&others), one.cmp(&other));
            prop_assert_eq!(small == others, one == other);
            prop_assert_eq!(small.as_slice(), &*one);
        }
    }
}
