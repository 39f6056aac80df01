//! One suite that all disks pass, and proof that the crash disk loses exactly what it may.

use std::path::{Path, PathBuf};

use super::crash::{CrashDisk, Operation};
use super::real::RealDisk;
use super::shadow::ShadowDisk;
use super::*;

#[test]
fn the_reserve_fits_every_disk() {
    const MIB: u64 = 1 << 20;
    assert_eq!(reserve_bytes(16 * MIB), 2 * MIB);
    assert_eq!(reserve_bytes(800 * MIB), 100 * MIB);
    assert_eq!(reserve_bytes(15 * 1024 * MIB), 1024 * MIB);
    assert_eq!(reserve_bytes(60 * 1024 * MIB), 3 * 1024 * MIB);
    assert_eq!(reserve_bytes(1 << 40), 4 * 1024 * MIB);
}

fn on_all(test: impl Fn(&dyn Disk, &Path)) {
    let directory = tempfile::tempdir().unwrap();
    test(&RealDisk, &directory.path().join("d"));
    test(&CrashDisk::new(), Path::new("/d"));
    let below = std::sync::Arc::new(CrashDisk::new());
    test(&ShadowDisk::over(below), Path::new("/d"));
}

#[test]
fn files_are_created_written_read_and_listed() {
    on_all(|disk, d| {
        disk.create_dir_all(&d.join("a/b")).unwrap();
        disk.create_dir_all(&d.join("a/b")).unwrap();
        let path = d.join("f");
        assert_eq!(
            disk.open(&path, OpenMode::Read).err().unwrap().kind(),
            io::ErrorKind::NotFound
        );
        let file = disk.open(&path, OpenMode::CreateNew).unwrap();
        let again = disk.open(&path, OpenMode::CreateNew).err().unwrap();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        file.write_at(b"hello", 3).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(d).unwrap();
        assert_eq!(file.len().unwrap(), 8);
        let mut room = [9u8; 16];
        assert_eq!(file.read_at(&mut room, 1).unwrap(), 7);
        assert_eq!(&room[..7], b"\0\0hello");
        assert_eq!(file.read_at(&mut room, 8).unwrap(), 0);
        assert_eq!(file.read_at(&mut room, 1000).unwrap(), 0);
        let short = file.read_exact_at(&mut room, 0).unwrap_err();
        assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
        file.set_len(4).unwrap();
        file.set_len(6).unwrap();
        file.read_exact_at(&mut room[..6], 0).unwrap();
        assert_eq!(&room[..6], b"\0\0\0h\0\0");
        assert_eq!(disk.list(d).unwrap(), ["a", "f"]);
        let reader = disk.open(&path, OpenMode::Read).unwrap();
        assert!(reader.write_at(b"x", 0).is_err());
        assert!(disk.space(d).unwrap().available_bytes > 0);
    });
}

#[test]
fn names_move_and_go_while_handles_stay() {
    on_all(|disk, d| {
        disk.create_dir_all(d).unwrap();
        let (one, two) = (d.join("one"), d.join("two"));
        disk.open(&one, OpenMode::CreateNew)
            .unwrap()
            .write_at(b"1", 0)
            .unwrap();
        let replaced = disk.open(&two, OpenMode::CreateNew).unwrap();
        replaced.write_at(b"2", 0).unwrap();
        disk.rename(&one, &two).unwrap();
        let mut room = [0];
        disk.open(&two, OpenMode::Read)
            .unwrap()
            .read_exact_at(&mut room, 0)
            .unwrap();
        assert_eq!(&room, b"1");
        replaced.read_exact_at(&mut room, 0).unwrap();
        assert_eq!(&room, b"2");
        assert!(disk.rename(&one, &two).is_err());
        disk.remove(&two).unwrap();
        assert_eq!(
            disk.remove(&two).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert!(disk.list(d).unwrap().is_empty());
    });
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    on_all(|disk, d| {
        disk.create_dir_all(d).unwrap();
        let path = d.join("f");
        for text in [&b"first"[..], b"2", b"the third"] {
            replace_file(disk, &path, text).unwrap();
            assert_eq!(content(disk, &path), text);
        }
        assert_eq!(disk.list(d).unwrap(), ["f"]);
    });
}

fn content(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).unwrap();
    let mut room = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut room, 0).unwrap();
    room
}

#[test]
fn replacing_a_file_survives_a_cut_at_every_operation() {
    let (mut old, mut new) = (0, 0);
    for cut in 1..=6 {
        for seed in 0..64 {
            let disk = CrashDisk::new();
            let path = PathBuf::from("/f");
            replace_file(&disk, &path, &[1; 2000]).unwrap();
            disk.power_off_at(cut);
            let outcome = replace_file(&disk, &path, &[2; 1500]);
            disk.crash(seed);
            let found = content(&disk, &path);
            if found == [1; 2000] {
                assert!(outcome.is_err());
                old += 1;
            } else {
                assert_eq!(found, [2; 1500]);
                new += 1;
            }
        }
    }
    assert!(old > 0 && new > 0, "{old} {new}");
}

#[test]
fn a_drive_that_lies_is_noticed() {
    let broken = (0..64).filter(|seed| {
        let disk = CrashDisk::new();
        let path = PathBuf::from("/f");
        replace_file(&disk, &path, &[1; 2000]).unwrap();
        disk.lose_syncs(true);
        replace_file(&disk, &path, &[2; 2000]).unwrap();
        disk.crash(*seed);
        content(&disk, &path) != [2; 2000]
    });
    assert!(broken.count() > 0);
}

#[test]
fn unsynced_writes_are_kept_lost_and_torn_and_synced_ones_stay() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let disk = CrashDisk::new();
        let file = disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
        file.write_at(&[1; 1024], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        file.write_at(&[2; 1024], 0).unwrap();
        file.write_at(&[3; 512], 1024).unwrap();
        disk.crash(seed);
        assert!(
            file.read_at(&mut [0], 0).is_err(),
            "an old handle must be dead"
        );
        let found = content(&disk, Path::new("/f"));
        assert!(found.len() == 1024 || found.len() == 1536);
        seen.insert((found[0], found[512], found.get(1024).copied()));
    }
    for first in [1, 2] {
        for second in [1, 2] {
            for third in [None, Some(0), Some(3)] {
                assert!(
                    seen.contains(&(first, second, third)),
                    "{first} {second} {third:?}"
                );
            }
        }
    }
}

#[test]
fn operations_fail_on_request() {
    let disk = CrashDisk::new();
    let file = disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
    disk.fail_at(Some(Operation::Write), 2, libc::ENOSPC);
    file.write_at(b"12", 0).unwrap();
    let error = file.write_at(b"34", 2).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    assert_eq!(content(&disk, Path::new("/f")), b"123");
    disk.sync_dir(Path::new("/")).unwrap();
    disk.fail_at(Some(Operation::Sync), 1, libc::EIO);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(content(&disk, Path::new("/f")), b"123");
    disk.crash(0);
    assert_eq!(
        content(&disk, Path::new("/f")),
        b"",
        "a failed sync has lost the pages for good"
    );

    disk.set_capacity(4);
    let file = disk.open(Path::new("/f"), OpenMode::ReadWrite).unwrap();
    file.write_at(b"1234", 0).unwrap();
    assert_eq!(
        file.write_at(b"5", 4).unwrap_err().raw_os_error(),
        Some(libc::ENOSPC)
    );
    assert_eq!(disk.space(Path::new("/")).unwrap().available_bytes, 0);
}
