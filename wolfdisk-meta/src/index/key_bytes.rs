//! The bytes of a key: short ones are kept in place, so that most lookups and inserts allocate nothing and
//! compare without following a pointer, sixteen bytes at a time.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// Bytes kept in place: an inode key, an extent key, a dirent with a name of about 20 bytes.
const INLINE_BYTES: usize = 30;

/// Bytes that order like themselves.
#[derive(Clone)]
pub struct KeyBytes(Place);

#[derive(Clone)]
enum Place {
    Inline {
        length: u8,
        bytes: [u8; INLINE_BYTES],
    },
    Heap(Box<[u8]>),
}

impl KeyBytes {
    /// A copy of `key`.
    pub fn new(key: &[u8]) -> KeyBytes {
        KeyBytes::concat(&[key])
    }

    /// The parts one after the other.
    #[inline]
    pub fn concat(parts: &[&[u8]]) -> KeyBytes {
        let mut bytes = [0; INLINE_BYTES];
        let mut length = 0;
        for part in parts {
            let end = length + part.len();
            match bytes.get_mut(length..end) {
                Some(room) => room.copy_from_slice(part),
                None => return KeyBytes(Place::Heap(parts.concat().into())),
            }
            length = end;
        }
        KeyBytes(Place::Inline {
            length: length as u8,
            bytes,
        })
    }
}

impl Deref for KeyBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Inline { length, bytes } => bytes.split_at(usize::from(*length)).0,
            Place::Heap(bytes) => bytes,
        }
    }
}

impl std::fmt::Debug for KeyBytes {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(to)
    }
}

impl Hash for KeyBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
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

impl PartialEq for KeyBytes {
    fn eq(&self, other: &KeyBytes) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for KeyBytes {}

impl PartialOrd for KeyBytes {
    fn partial_cmp(&self, other: &KeyBytes) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyBytes {
    #[inline]
    fn cmp(&self, other: &KeyBytes) -> Ordering {
        match (&self.0, &other.0) {
            (
                Place::Inline { length, bytes },
                Place::Inline {
                    length: others_length,
                    bytes: others,
                },
            ) => match head(bytes).cmp(&head(others)) {
                // Filled up with zeroes: where the bytes say nothing, the longer one is the greater.
                Ordering::Equal => (tail(bytes), length).cmp(&(tail(others), others_length)),
                order => order,
            },
            _ => (**self).cmp(&**other),
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
            let (small, others) = (KeyBytes::new(&one), KeyBytes::new(&other));
            prop_assert_eq!(small.cmp(&others), one.cmp(&other));
            prop_assert_eq!(small == others, one == other);
            prop_assert_eq!(&*small, &*one);
        }
    }
}
