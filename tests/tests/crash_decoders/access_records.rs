//! What the index keeps of access keys and of folders that are buckets. The first byte of an input says which it is.

use wolfdisk_common::access_key::record::KeyRecord;
use wolfdisk_common::bucket_map::FolderPath;

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};

/// A key that may write everywhere: version, flags, time, name, then nonce and sealed secret.
const FULL: &[u8] = b"\x01\x00\x00\x12\xe7\x68\x00\x00\x00\x00\x06backup";
/// One that may read two buckets.
const LIMITED: &[u8] = b"\x01\x03\x00\x12\xe7\x68\x00\x00\x00\x00\x00\x02\x05music\x06photos";
/// Nonce, secret and tag, as long as those of a key that was drawn.
const SEALED: [u8; 24 + 40 + 16] = [0xa5; 80];

#[test]
fn records_of_access_are_read_or_refused() {
    fuzz(&Target {
        name: "access",
        seeds,
        // A key's seal is looked at when its secret is wanted: the index's record has a checksum.
        reseal: |bytes| {
            if let [which, version, ..] = bytes {
                (*which, *version) = (*which % 2, 1);
            }
        },
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check,
    });
}

fn check(bytes: &[u8]) -> bool {
    let Some((which, bytes)) = bytes.split_first() else {
        return false;
    };
    let again = match which {
        0 => KeyRecord::decode(bytes).ok().map(|read| read.encode()),
        1 => FolderPath::decode(bytes).ok().map(|read| read.encode()),
        _ => None,
    };
    assert!(again.as_ref().is_none_or(|again| again == bytes));
    again.is_some()
}

fn seeds() -> Vec<Vec<u8>> {
    let key = |head: &[u8]| {
        let record = KeyRecord::decode(&[head, &SEALED].concat()).expect("a record");
        [vec![0], record.encode()].concat()
    };
    let folder = |path: &[u8]| {
        let path = FolderPath::parse(path).expect("a path");
        [vec![1], path.encode()].concat()
    };
    vec![
        key(FULL),
        key(LIMITED),
        folder(b"photos"),
        folder(b"photos/2026/\xff"),
    ]
}
