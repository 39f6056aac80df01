//! Parts of snapshots: heads, bodies, and what ties them together.

use uuid::Uuid;
use wolfdisk_common::ids::{LogIndex, Term, Version};
use wolfdisk_meta::consensus::raft::snapshot::format::{HEAD_BYTES, Head, id_of};
use wolfdisk_meta::index::table::Applied;

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};

const VOLUME: Uuid = Uuid::from_u128(7);

#[test]
fn parts_of_snapshots_are_read_or_refused() {
    fuzz(&Target {
        name: "snapshot",
        seeds: || vec![seed(0, b"x"), seed(3, &[0xa5; 200])],
        reseal,
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check,
    });
}

fn seed(number: u64, body: &[u8]) -> Vec<u8> {
    let applied = Applied {
        index: LogIndex(12),
        term: Term(1),
        version: Version(9),
    };
    let head = Head {
        id: id_of(VOLUME, applied),
        volume: VOLUME,
        number,
        room_bytes: 3 << 20,
        is_last: true,
    };
    head.encode(body).to_vec()
}

fn reseal(bytes: &mut [u8]) {
    let Some((head, body)) = bytes.split_first_chunk_mut::<HEAD_BYTES>() else {
        return;
    };
    head[12..16].copy_from_slice(&(body.len() as u32).to_le_bytes());
    let (covered, crc) = head.split_at_mut(HEAD_BYTES - 4);
    let sum = crc32c::crc32c_append(crc32c::crc32c(covered), body);
    crc.copy_from_slice(&sum.to_le_bytes());
}

fn check(bytes: &[u8]) -> bool {
    let Ok((head, body)) = Head::decode(bytes) else {
        return false;
    };
    assert_eq!(head.encode(body), bytes);
    true
}
