//! Whatever is flushed survives every crash, intact; nothing is freed against its receipt; a crash is never
//! taken for damage.

mod support;

use proptest::prelude::*;
use support::{Step, World, run, run_on, script};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0u8..40).prop_map(Step::Put),
        3 => Just(Step::Flush),
        2 => Just(Step::Advance),
        6 => (0u8..40).prop_map(Step::Free),
        3 => Just(Step::Compact),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::CleanRestart),
        1 => Just(Step::Kill),
        1 => any::<u64>().prop_map(Step::Crash),
        1 => (1u64..40, any::<u64>()).prop_map(|(nth, seed)| Step::PowerOffAt(nth, seed)),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn the_store_keeps_its_promises(steps in steps()) {
        if let Err(broken) = run(&steps) {
            return Err(TestCaseError::fail(broken));
        }
    }
}

#[test]
fn the_power_may_go_at_every_operation() {
    let whole = run(&script()).expect("the script itself");
    let operations = whole.crash_disk.operations();
    assert!(
        operations > 80,
        "{operations} operations are too few to prove anything"
    );
    for nth in 1..=operations {
        for seed in 0..4 {
            let mut steps = vec![Step::PowerOffAt(nth, seed * 1000 + nth)];
            steps.extend(script());
            if let Err(broken) = run(&steps) {
                panic!("power off at operation {nth}, seed {seed}: {broken}");
            }
        }
    }
}

#[test]
fn what_one_start_found_torn_the_next_does_not_take_for_damage() {
    // The seed tears the first record and keeps a later one.
    for seed in (0..64).chain([13_074_577_533_764_715_174]) {
        let mut steps = vec![
            Step::Put(0),
            Step::Put(36),
            Step::Put(12),
            Step::Crash(seed),
        ];
        steps.extend([
            Step::Put(4),
            Step::Put(1),
            Step::Put(0),
            Step::Kill,
            Step::Kill,
        ]);
        if let Err(broken) = run(&steps) {
            panic!("seed {seed}: {broken}");
        }
    }
}

#[test]
fn the_process_may_die_after_every_step() {
    let script = script();
    for end in 0..script.len() {
        let mut steps = script.get(..end).expect("a part").to_vec();
        steps.extend([Step::Kill, Step::Crash(end as u64)]);
        if let Err(broken) = run(&steps) {
            panic!("killed after step {end}: {broken}");
        }
    }
}

#[test]
fn a_failed_sync_is_final_and_a_restart_does_not_trust_the_page_cache() {
    use wolfdisk_common::disk::crash::Operation;
    for seed in 0..32 {
        let mut world = World::new();
        world.step(Step::Put(8)).expect("a put");
        world.step(Step::Put(9)).expect("a put");
        world
            .crash_disk
            .fail_at(Some(Operation::Sync), 1, libc::EIO);
        let store = world.store();
        assert!(
            store
                .sync_to(store.end())
                .expect_err("a failed sync")
                .is_fatal()
        );
        assert!(
            store
                .sync_to(store.end())
                .expect_err("still failed")
                .is_fatal()
        );
        assert!(
            support::put(store, b"more")
                .expect_err("no puts")
                .is_fatal()
        );
        // The page cache shows the bytes; the restarted store says that they are durable.
        world.step(Step::Kill).expect("opened");
        world
            .step(Step::Crash(seed))
            .expect("both chunks are there");
    }
}

#[test]
fn a_failed_epoch_file_ends_the_daemon_at_once() {
    use wolfdisk_common::disk::crash::Operation;
    let world = World::new();
    let store = world.store();
    world
        .crash_disk
        .fail_at(Some(Operation::Sync), 1, libc::EIO);
    assert!(store.advance_epoch().expect_err("a failed sync").is_fatal());
    // The sync thread is woken, and learns that it must end the daemon.
    assert!(store.watermark().wait_for_work());
    assert!(store.sync().expect_err("it stays failed").is_fatal());
}

#[test]
fn full_disk_refuses_puts_and_recovers() {
    use wolfdisk_chunkd::store::StoreError;
    let world = World::new();
    world.crash_disk.set_capacity(2 << 20);
    let store = world.store();
    let mut stored = Vec::new();
    let refused = (0..=255u8).find_map(|n| {
        let mut bytes = vec![n; 60_000];
        bytes.push(1);
        match support::put(store, &bytes) {
            Ok(receipt) => {
                stored.push(receipt.id);
                None
            }
            Err(error) => Some(error),
        }
    });
    assert!(matches!(refused, Some(StoreError::Full)), "{refused:?}");
    let room = store.room().expect("room");
    assert!(
        room.available_bytes >= room.reserve_bytes
            && room.available_bytes < room.reserve_bytes + 70_000
    );
    store.sync_to(store.end()).expect("synced");
    let swept = store.advance_epoch().expect("an epoch");
    let (keep, drop) = stored.split_at(stored.len() / 3);
    assert_eq!(
        store.free(swept, store.incarnation(), drop).expect("freed"),
        drop
    );
    while store
        .compact(&|_| ())
        .expect("compacted from the reserve")
        .is_some()
    {}
    support::put(store, &vec![9; 100_000]).expect("room again");
    for id in keep {
        store.read(id, 0, 60_001).expect("kept");
    }
}

/// A disk that says it synced what it did not: the checks above must notice each kind.
mod liar {
    use std::ffi::OsString;
    use std::io;
    use std::os::fd::BorrowedFd;
    use std::path::Path;
    use std::sync::Arc;

    use wolfdisk_common::disk::crash::CrashDisk;
    use wolfdisk_common::disk::{Disk, DiskFile, OpenMode, Space};

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Lie {
        Segments,
        Names,
        Epoch,
    }

    pub struct LyingDisk {
        pub disk: CrashDisk,
        pub lie: Lie,
    }

    struct LyingFile(Arc<dyn DiskFile>);

    impl Disk for LyingDisk {
        fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
            let file = self.disk.open(path, mode)?;
            let name = path.to_string_lossy();
            let lies = match self.lie {
                Lie::Segments => name.ends_with(".seg"),
                Lie::Epoch => name.ends_with("epoch.new"),
                Lie::Names => false,
            };
            Ok(if lies {
                Arc::new(LyingFile(file))
            } else {
                file
            })
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.disk.rename(from, to)
        }
        fn remove(&self, path: &Path) -> io::Result<()> {
            self.disk.remove(path)
        }
        fn create_dir_all(&self, path: &Path) -> io::Result<()> {
            self.disk.create_dir_all(path)
        }
        fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
            self.disk.list(path)
        }
        fn sync_dir(&self, path: &Path) -> io::Result<()> {
            if self.lie == Lie::Names {
                Ok(())
            } else {
                self.disk.sync_dir(path)
            }
        }
        fn space(&self, path: &Path) -> io::Result<Space> {
            self.disk.space(path)
        }
    }

    impl DiskFile for LyingFile {
        fn read_at(&self, room: &mut [u8], offset: u64) -> io::Result<usize> {
            self.0.read_at(room, offset)
        }
        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            self.0.write_at(bytes, offset)
        }
        fn set_len(&self, length: u64) -> io::Result<()> {
            self.0.set_len(length)
        }
        fn len(&self) -> io::Result<u64> {
            self.0.len()
        }
        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }
        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            self.0.descriptor()
        }
    }
}

#[test]
fn every_kind_of_lost_sync_is_noticed() {
    use std::sync::Arc;
    use wolfdisk_common::disk::crash::CrashDisk;
    for lie in [liar::Lie::Segments, liar::Lie::Names, liar::Lie::Epoch] {
        let noticed = (0..64).any(|seed| {
            let disk = CrashDisk::new();
            let lying = Arc::new(liar::LyingDisk {
                disk: disk.clone(),
                lie,
            });
            let steps = [
                Step::Put(8),
                Step::Put(3),
                Step::Flush,
                Step::Advance,
                Step::Advance,
                Step::Crash(seed),
            ];
            run_on(World::on(disk, lying), &steps).is_err()
        });
        assert!(noticed, "{lie:?}");
    }
}
