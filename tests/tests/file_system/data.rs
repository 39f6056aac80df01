//! Content: buffered, direct, mapped, sparse, appended, copied.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};
use nix::sys::stat::Mode;
use nix::unistd::{Whence, lseek};

use crate::harness::{Node, errno, python};

/// Bytes that look like nothing else, the same for the same seed (Knuth's multiplier).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn open(path: impl AsRef<std::path::Path>) -> File {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).expect("a file")
}

#[test]
fn a_large_file_is_read_back_here_and_elsewhere() {
    let node = Node::start();
    let mount = node.mount();
    let bytes = noise(1, 21 * 1024 * 1024 + 17);
    fs::write(mount.at("large"), &bytes).expect("written");
    assert!(fs::read(mount.at("large")).expect("read") == bytes);
    let other = node.mount();
    assert!(fs::read(other.at("large")).expect("read") == bytes);
    let stat = fs::metadata(other.at("large")).expect("attributes");
    assert_eq!(stat.len(), bytes.len() as u64);
    assert!(stat.blocks() * 512 >= stat.len());
    drop(mount);
    let file = File::open(other.at("large")).expect("a file");
    let mut part = vec![0; 10_000];
    file.read_exact_at(&mut part, 5_000_003).expect("read");
    assert!(part == bytes[5_000_003..5_010_003]);
}

/// Random reads and writes, compared with a buffer in memory after each step.
#[test]
fn random_operations_match_a_buffer_in_memory() {
    const SIZE: u64 = 600_000;
    let node = Node::start();
    let mount = node.mount();
    let mut file = open(mount.at("f"));
    let mut model: Vec<u8> = Vec::new();
    let mut dice = noise(42, 16 * 600).into_iter();
    let mut number = |below: u64| {
        let bytes: Vec<u8> = dice.by_ref().take(4).collect();
        u64::from(u32::from_le_bytes(bytes.try_into().expect("dice"))) % below
    };
    for step in 0..1000u64 {
        let (offset, length) = (number(SIZE), 1 + number(70_000));
        let end = (offset + length) as usize;
        match step % 10 {
            0..=4 => {
                let bytes = noise(step, length as usize);
                file.write_all_at(&bytes, offset).expect("written");
                model.resize(model.len().max(end), 0);
                model[offset as usize..end].copy_from_slice(&bytes);
            }
            5 => {
                file.set_len(offset).expect("cut");
                model.resize(offset as usize, 0);
            }
            6 => {
                let punch =
                    FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
                fallocate(&file, punch, offset as i64, length as i64).expect("punched");
                let (from, to) = (model.len().min(offset as usize), model.len().min(end));
                model[from..to].fill(0);
            }
            7 => file.sync_data().expect("synced"),
            8 => {
                drop(file);
                file = open(mount.at("f"));
            }
            _ => {
                file.seek(SeekFrom::Start(0)).expect("seek");
                let mut all = Vec::new();
                file.read_to_end(&mut all).expect("read");
                assert!(
                    all == model,
                    "step {step}: {} and {} bytes",
                    all.len(),
                    model.len()
                );
            }
        }
        assert_eq!(
            file.metadata().expect("attributes").len(),
            model.len() as u64,
            "step {step}"
        );
        if step > 590 {
            break;
        }
    }
}

#[test]
fn sparse_files_have_holes_up_to_the_largest_offset() {
    let node = Node::start();
    let mount = node.mount();
    let file = open(mount.at("sparse"));
    let (data, size) = (1u64 << 20, (1u64 << 40) + 5);
    file.write_all_at(b"data", data).expect("written");
    file.set_len(size).expect("grown");
    file.sync_all().expect("synced");
    let seek = |offset: u64, whence| lseek(&file, offset as i64, whence).map(|place| place as u64);
    let found = seek(0, Whence::SeekData).expect("data");
    assert!(found <= data && data - found < 65_536);
    let hole = seek(data, Whence::SeekHole).expect("a hole");
    assert!(hole >= data + 4 && hole < data + 65_536);
    assert_eq!(seek(hole, Whence::SeekData), Err(nix::errno::Errno::ENXIO));
    assert_eq!(seek(size - 1, Whence::SeekHole), Ok(size - 1));
    assert!(file.metadata().expect("attributes").blocks() < 1024);
    let mut part = [1; 8];
    file.read_exact_at(&mut part, data - 2).expect("read");
    assert_eq!(&part, b"\0\0data\0\0");

    let largest = i64::MAX as u64;
    file.set_len(largest).expect("grown");
    file.write_all_at(b"!", largest - 1).expect("written");
    assert_eq!(file.metadata().expect("attributes").len(), largest);
    // A hole of 8 EiB is crossed at once.
    let last = (largest - 1) / 4096 * 4096;
    assert_eq!(seek(hole, Whence::SeekData), Ok(last));
    assert_eq!(seek(last, Whence::SeekHole), Ok(largest));

    fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, 8192).expect("reserved");
    fallocate(&file, FallocateFlags::FALLOC_FL_ZERO_RANGE, data as i64, 2).expect("zeroed");
    file.read_exact_at(&mut part, data - 2).expect("read");
    assert_eq!(&part, b"\0\0\0\0ta\0\0");
    let collapse = fallocate(&file, FallocateFlags::FALLOC_FL_COLLAPSE_RANGE, 0, 4096);
    assert_eq!(collapse, Err(nix::errno::Errno::EOPNOTSUPP));
}

#[test]
fn appends_of_two_mounts_are_all_there() {
    const EACH: usize = 200;
    let node = Node::start();
    let mounts = [node.mount(), node.mount()];
    fs::write(mounts[0].at("log"), b"").expect("a file");
    std::thread::scope(|scope| {
        for (who, mount) in mounts.iter().enumerate() {
            scope.spawn(move || {
                let mut log = OpenOptions::new()
                    .append(true)
                    .open(mount.at("log"))
                    .expect("a file");
                for number in 0..EACH {
                    log.write_all(format!("{who} {number:06}\n").as_bytes())
                        .expect("appended");
                }
            });
        }
    });
    for mount in &mounts {
        let text = fs::read_to_string(mount.at("log")).expect("read");
        assert_eq!(text.lines().count(), 2 * EACH);
        for who in 0..mounts.len() {
            let mine: Vec<_> = text
                .lines()
                .filter(|line| line.starts_with(&format!("{who} ")))
                .collect();
            let want: Vec<_> = (0..EACH)
                .map(|number| format!("{who} {number:06}"))
                .collect();
            assert_eq!(mine, want);
        }
    }
}

#[test]
fn direct_and_buffered_access_see_each_other() {
    let node = Node::start();
    let mount = node.mount();
    let path = mount.at("f");
    let buffered = open(&path);
    buffered.write_all_at(&[1; 16384], 0).expect("written");
    let direct = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open(&path)
        .expect("open");
    let mut page = vec![0; 4096];
    direct.read_exact_at(&mut page, 4096).expect("read");
    assert!(page == [1; 4096]);
    direct.write_all_at(&[2; 4096], 4096).expect("written");
    buffered.read_exact_at(&mut page, 4096).expect("read");
    assert!(page == [2; 4096]);
    buffered.write_all_at(&[3; 100], 5000).expect("written");
    direct.read_exact_at(&mut page, 4096).expect("read");
    assert!(page[904..1004] == [3; 100] && page[1004..] == [2; 3092]);
    direct.write_all_at(&[4; 4096], 16384).expect("written");
    assert_eq!(buffered.metadata().expect("attributes").len(), 20480);
}

#[test]
fn a_shared_mapping_is_a_view_of_the_file() {
    let node = Node::start();
    let (mount, other) = (node.mount(), node.mount());
    fs::write(mount.at("f"), vec![b'.'; 10_000]).expect("a file");
    python(
        r#"
import mmap, os, sys
f, g = sys.argv[1:]
fd = os.open(f, os.O_RDWR)
with mmap.mmap(fd, 10000) as m:
    m[5000:5005] = b"mmap!"
    assert os.pread(fd, 5, 5000) == b"mmap!"
    os.pwrite(fd, b"pwrite", 100)
    assert m[100:106] == b"pwrite"
    m.flush()
    os.fsync(fd)
    h = os.open(g, os.O_RDONLY)
    assert os.pread(h, 5, 5000) == b"mmap!", os.pread(h, 5, 5000)
    m[0:4] = b"late"
os.close(fd)
with open(g, "rb") as file:
    assert file.read(6) == b"late..", "a page written at unmap"
# Mapped through a handle that appends.
fd = os.open(f, os.O_RDWR | os.O_APPEND)
os.write(fd, b"tail")
with mmap.mmap(fd, 10004) as m:
    assert m[10000:] == b"tail"
    m[0:4] = b"LATE"
os.fsync(fd)
os.close(fd)
with open(g, "rb") as file:
    data = file.read()
    assert data[:4] == b"LATE" and data[10000:] == b"tail" and len(data) == 10004, len(data)
"#,
        &[&mount.at("f"), &other.at("f")],
    );
}

#[test]
fn copies_within_the_volume_are_equal_and_apart() {
    let node = Node::start();
    let mount = node.mount();
    let bytes = noise(9, 9 * 1024 * 1024 + 1);
    fs::write(mount.at("from"), &bytes).expect("written");
    python(
        r#"
import os, sys
f, t = os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)
size = os.fstat(f).st_size
at = 0
while at < size:
    at += os.copy_file_range(f, t, size - at, at, at)
assert os.copy_file_range(f, t, 1, size, size) == 0
"#,
        &[&mount.at("from"), &mount.at("to")],
    );
    let to = open(mount.at("to"));
    assert!(fs::read(mount.at("to")).expect("read") == bytes);
    to.write_all_at(b"changed", 1_000_000).expect("written");
    assert!(fs::read(mount.at("from")).expect("read") == bytes);
    assert!(fs::read(mount.at("to")).expect("read")[1_000_000..1_000_007] == *b"changed");
}

#[test]
fn a_file_without_a_name_lives_until_it_is_closed() {
    let node = Node::start();
    let (mount, other) = (node.mount(), node.mount());
    fs::write(mount.at("f"), b"still here").expect("a file");
    let mut open_here = open(mount.at("f"));
    let mut open_there = File::open(other.at("f")).expect("a file");
    fs::remove_file(mount.at("f")).expect("removed");
    assert_eq!(errno(fs::metadata(other.at("f"))), libc::ENOENT);
    open_here.write_all_at(b"STILL", 0).expect("written");
    let mut text = String::new();
    open_here.read_to_string(&mut text).expect("read");
    assert_eq!(text, "STILL here");
    assert_eq!(open_here.metadata().expect("attributes").nlink(), 0);
    open_here.sync_all().expect("synced");
    text.clear();
    open_there.read_to_string(&mut text).expect("read");
    assert_eq!(text, "STILL here");
}

#[test]
fn opening_with_truncation_empties_and_room_is_told() {
    let node = Node::start();
    let mount = node.mount();
    fs::write(mount.at("f"), noise(3, 100_000)).expect("a file");
    drop(File::create(mount.at("f")).expect("emptied"));
    assert_eq!(fs::metadata(mount.at("f")).expect("attributes").len(), 0);
    assert!(fs::read(mount.at("f")).expect("read").is_empty());
    let room = nix::sys::statvfs::statvfs(mount.path()).expect("room");
    assert!(room.blocks() > 0 && room.blocks_available() <= room.blocks());
    assert_eq!(room.name_max(), 255);
}

#[test]
fn a_running_program_cannot_be_emptied() {
    let node = Node::start();
    let tool = node.mount().at("tool");
    fs::copy("/bin/sleep", &tool).expect("a program");
    let length = fs::metadata(&tool).expect("attributes").len();
    let mut process = Command::new(&tool).arg("60").spawn().expect("it runs");
    // Also where the file is not to be written otherwise.
    for access in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR] {
        let flags = OFlag::from_bits_truncate(access) | OFlag::O_TRUNC;
        let refused = nix::fcntl::open(&tool, flags, Mode::empty()).expect_err("refused");
        assert_eq!(refused, Errno::ETXTBSY, "{flags:?}");
    }
    assert_eq!(fs::metadata(&tool).expect("attributes").len(), length);
    assert!(process.try_wait().expect("a child").is_none(), "it ended");
    process.kill().expect("killed");
    process.wait().expect("waited for");
}

/// As on local file systems; QEMU ends if a hole begins in the middle of a block.
#[test]
fn data_and_holes_come_in_whole_blocks() {
    const BLOCK: i64 = 4096;
    const SIZE: i64 = 10 * BLOCK + 5;
    let node = Node::start();
    let mount = node.mount();
    let file = open(mount.at("f"));
    file.set_len(SIZE as u64).expect("a hole");
    file.write_all_at(&noise(4, 512), (2 * BLOCK + 100) as u64)
        .expect("written");
    file.write_all_at(b"x", (3 * BLOCK) as u64)
        .expect("written");
    file.write_all_at(b"end", (SIZE - 3) as u64)
        .expect("written");
    for (from, data, hole) in [
        (0, Ok(2 * BLOCK), 0),
        (2 * BLOCK, Ok(2 * BLOCK), 4 * BLOCK),
        (2 * BLOCK + 2000, Ok(2 * BLOCK + 2000), 4 * BLOCK),
        (4 * BLOCK + 7, Ok(10 * BLOCK), 4 * BLOCK + 7),
        (SIZE - 1, Ok(SIZE - 1), SIZE),
        (SIZE, Err(nix::errno::Errno::ENXIO), -1),
    ] {
        assert_eq!(lseek(&file, from, Whence::SeekData), data, "from {from}");
        if hole >= 0 {
            assert_eq!(
                lseek(&file, from, Whence::SeekHole),
                Ok(hole),
                "from {from}"
            );
        }
    }
}
