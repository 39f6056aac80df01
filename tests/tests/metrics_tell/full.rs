//! What is told of a small disk: its room, that it is full, and what was given back.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use nix::fcntl::{FallocateFlags, fallocate};
use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{self, ChunkClient};
use wolfdisk_tests::{Df, Node, Plan, Random, SmallDisk, wait_until, write_durably};

use crate::chunks::segments;
use crate::{chunkd, equal, events, is_same, meta, same};

const MIB: u64 = 1 << 20;
const DISK: u64 = 512 * MIB;
const CHUNK: u64 = 4 * MIB;
const CHUNKS: u64 = 4;
/// What stays of each chunk: so little that it is packed anew.
const KEPT: u64 = MIB;
const REFUSED: u32 = 5;
/// What ordinary puts leave of a small disk is this part of it.
const RESERVE_PART: u64 = 8;
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// What comes and goes on the disk between two looks.
const CHANGES: f64 = 12e6;

fn small() -> (SmallDisk, Node) {
    let disk = SmallDisk::new(DISK);
    let data = Some(disk.data());
    let node = Node::start_as(Plan {
        data,
        ..Plan::default()
    });
    (disk, node)
}

#[test]
fn a_full_disk_is_told_and_how_often_it_refused() {
    let (disk, node) = small();
    let room = Df::of(&disk.root());
    let now = chunkd(&node);
    let size = now.of("wolfdisk_chunk_disk_size_bytes");
    equal(size, room.total_bytes as f64, "size");
    let reserve = now.of("wolfdisk_chunk_disk_reserve_bytes");
    equal(reserve, (room.total_bytes / RESERVE_PART) as f64, "reserve");
    for (numbers, prefix) in [(&now, "wolfdisk_chunk"), (&meta(&node), "wolfdisk_meta")] {
        let told = numbers.of(&format!("{prefix}_disk_available_bytes"));
        assert!(
            (told - room.free_bytes as f64).abs() < CHANGES,
            "{told} of {room:?}"
        );
        same(numbers.of(&format!("{prefix}_disk_full")), 0_u32, "full");
    }

    let filler = File::create(disk.root().join("filler")).expect("created");
    let leave = room.total_bytes / RESERVE_PART / 4 * 3;
    let bytes = Df::of(&disk.root()).free_bytes - leave;
    fallocate(&filler, FallocateFlags::empty(), 0, bytes as i64).expect("room");
    let client = ChunkClient(Pool::new(node.data().join("run/chunkd.sock")));
    let before = chunkd(&node);
    for _ in 0..REFUSED {
        let content = Bytes::from(Random::new().bytes(MIB as usize));
        let source = Some(v1::put_request::Source::Data(content));
        let request = v1::PutRequest {
            source,
            ..Default::default()
        };
        let refused = client.put(&mut Options::within(CALL_DEADLINE), &request);
        refused.expect_err("the disk is full");
    }
    let after = chunkd(&node);
    same(events(&before, &after, "refused_full"), REFUSED, "refused");
    same(after.of("wolfdisk_chunk_disk_full"), 1_u32, "full");
    same(after.of("wolfdisk_chunk_problems"), 1_u32, "problems");
    wait_until("wolfdisk-meta knows", || {
        is_same(meta(&node).of("wolfdisk_meta_disk_full"), 1.0)
    });
    let left = meta(&node).of("wolfdisk_meta_disk_available_bytes");
    assert!(
        (left - Df::of(&disk.root()).free_bytes as f64).abs() < CHANGES,
        "{left}"
    );
    drop(filler);
    fs::remove_file(disk.root().join("filler")).expect("removed");
    wait_until("there is room again", || {
        is_same(meta(&node).of("wolfdisk_meta_disk_full"), 0.0)
            && is_same(chunkd(&node).of("wolfdisk_chunk_disk_full"), 0.0)
    });
}

fn names(data: &Path) -> BTreeSet<std::ffi::OsString> {
    let files = fs::read_dir(data.join("chunks"))
        .expect("a folder")
        .flatten();
    let names = files.map(|file| file.file_name());
    names
        .filter(|name| name.to_string_lossy().ends_with(".seg"))
        .collect()
}

#[test]
fn room_is_given_back_as_it_is_told() {
    let (_disk, mut node) = small();
    let contents = [(); CHUNKS as usize].map(|()| Random::new().bytes(CHUNK as usize));
    let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    for (number, content) in contents.iter().enumerate() {
        let path = node.path(number.to_string());
        write_durably(&path, content);
        let file = File::options().write(true).open(&path).expect("opened");
        fallocate(&file, punch, KEPT as i64, (CHUNK - KEPT) as i64).expect("punched");
        file.sync_all().expect("synced");
    }
    let old = names(node.data());
    // A start looks at once for what is worth it.
    node.restart();
    let packed = (CHUNKS * KEPT) as f64;
    wait_until("what is left is packed anew", || {
        is_same(meta(&node).of("wolfdisk_meta_repacked_bytes_total"), packed)
    });
    let of = |event: &str| {
        let name = format!("wolfdisk_chunk_events_total{{event=\"{event}\"}}");
        chunkd(&node).of(&name)
    };
    equal(of("put_bytes"), packed, "and put");
    wait_until("the old chunks are freed", || {
        is_same(of("freed"), CHUNKS as f64)
    });
    // The index is told after the chunk store.
    wait_until("they are no garbage any more", || {
        is_same(meta(&node).of("wolfdisk_meta_garbage_chunks"), 0.0)
    });
    wait_until("segments go", || {
        let gone = old.difference(&names(node.data())).count();
        gone > 0 && is_same(of("compacted_segments"), gone as f64)
    });
    let now = chunkd(&node);
    let (count, bytes) = segments(node.data());
    same(now.of("wolfdisk_chunk_segments"), count, "segments");
    equal(
        now.of("wolfdisk_chunk_segment_bytes"),
        bytes,
        "bytes of segments",
    );
    let compacted = of("compacted_bytes");
    assert!(compacted < packed + CHUNK as f64, "{compacted}");
    for (number, content) in contents.iter().enumerate() {
        let file = File::open(node.path(number.to_string())).expect("opened");
        let mut found = vec![0; KEPT as usize];
        file.read_exact_at(&mut found, 0).expect("read");
        assert!(found == content[..KEPT as usize], "file {number}");
    }
    // A stop writes one, and nothing else as long as gigabytes were not put.
    same(of("checkpoints"), 0_u32, "checkpoints");
}
