//! What the index keeps: keys, records, log entries, access lists. The first byte of an input says which type the
//! rest is read as.

use bytes::Bytes;
use wolfdisk_meta::index::acl::Acl;
use wolfdisk_meta::index::codec::{FORMAT, Wire, decode, encode};
use wolfdisk_meta::index::key::Key;
use wolfdisk_meta::index::op::Entry;
use wolfdisk_meta::index::record::{
    Chunk, Cookie, Counters, Dirent, ExtentRecord, Garbage, Inode, Kept, Link, Lock, Member, Node,
    ObjectRecord, Orphan, Reap, Session, SessionLock, Sparse, Token, Undestaged, Usage, Volume,
    Xattr,
};

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};

/// The longest value of a seed.
const SEED_MAX: usize = 600;
/// Variants of log entries are numbered from 1 up to here ..
const ENTRIES: u8 = 32;
/// .. and those of keys up to here.
const KEYS: u8 = 23;
/// An entry's time and origin come before its variant: the format byte, 2, and 1 and 3.
const ENTRY_VARIANT_AT: usize = 7;

#[test]
fn values_of_the_index_are_read_or_refused() {
    fuzz(&Target {
        name: "index",
        seeds,
        // A value carries no checksum of its own, but a format byte.
        reseal: |bytes| {
            if let [which, format, ..] = bytes {
                let reader = READERS.get(usize::from(*which));
                if reader.is_some_and(|(has_format, _)| *has_format) {
                    *format = FORMAT;
                }
            }
        },
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check,
    });
}

fn value<T: Wire + PartialEq + std::fmt::Debug>(input: &Bytes) -> Option<Vec<u8>> {
    let value = decode::<T>(input.clone()).ok()?;
    let again = encode(&value);
    assert_eq!(decode::<T>(again.clone()).as_ref(), Ok(&value));
    Some(again.to_vec())
}

fn key(input: &Bytes) -> Option<Vec<u8>> {
    let key = Key::decode(input).ok()?;
    let again = key.encode();
    assert_eq!(Key::decode(&again).as_ref(), Ok(&key));
    Some(again.to_vec())
}

fn access_list(input: &Bytes) -> Option<Vec<u8>> {
    let list = Acl::parse(input)?;
    let again = list.encode();
    assert_eq!(Acl::parse(&again).as_ref(), Some(&list));
    Some(again.to_vec())
}

/// Reads and writes again.
type Reader = fn(&Bytes) -> Option<Vec<u8>>;

/// By the first byte of an input; whether a format byte follows.
const READERS: &[(bool, Reader)] = &[
    (false, key),
    (false, access_list),
    (true, value::<Entry>),
    (true, value::<Chunk>),
    (true, value::<Cookie>),
    (true, value::<Counters>),
    (true, value::<Dirent>),
    (true, value::<ExtentRecord>),
    (true, value::<Garbage>),
    (true, value::<Inode>),
    (true, value::<Kept>),
    (true, value::<Link>),
    (true, value::<Lock>),
    (true, value::<Node>),
    (true, value::<Orphan>),
    (true, value::<Reap>),
    (true, value::<Session>),
    (true, value::<SessionLock>),
    (true, value::<Sparse>),
    (true, value::<Undestaged>),
    (true, value::<Usage>),
    (true, value::<Volume>),
    (true, value::<Xattr>),
    (true, value::<ObjectRecord>),
    (true, value::<Member>),
    (true, value::<Token>),
];

fn check(bytes: &[u8]) -> bool {
    let Some((which, rest)) = bytes.split_first() else {
        return false;
    };
    let reader = READERS.get(usize::from(*which));
    reader.is_some_and(|(_, read)| read(&Bytes::copy_from_slice(rest)).is_some())
}

/// In this encoding, ones are a value of every type, with every optional field and an element in every list: 1 is a
/// number, true, "there is one", the first variant, and a length. Only how many ones must be found out.
fn all_ones(read: Reader, variant: Option<(usize, u8)>) -> Option<Vec<u8>> {
    (1..SEED_MAX).find_map(|length| {
        let mut input = vec![1; length];
        if let Some((at, variant)) = variant {
            *input.get_mut(at)? = variant;
        }
        read(&Bytes::from(input))
    })
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, (_, read)) in READERS.iter().enumerate() {
        let variants: Vec<_> = match number {
            0 => (1..=KEYS).map(|variant| Some((0, variant))).collect(),
            // Version 2, then owner, group and others, without more.
            1 => Vec::new(),
            2 => (1..=ENTRIES)
                .map(|variant| Some((ENTRY_VARIANT_AT, variant)))
                .collect(),
            _ => vec![None],
        };
        for variant in variants {
            let value = all_ones(*read, variant);
            let value = value.unwrap_or_else(|| panic!("type {number} {variant:?} has no seed"));
            seeds.push([&[number as u8][..], &value].concat());
        }
    }
    let list = [
        2_u16, 0, 1, 7, 0xffff, 0xffff, 4, 5, 0xffff, 0xffff, 0x20, 5, 0xffff, 0xffff,
    ];
    let list: Vec<u8> = list.iter().flat_map(|field| field.to_le_bytes()).collect();
    seeds.push([&[1][..], &list].concat());
    seeds
}
