//! What an operation may cost, counted in system calls and bytes: one sync for an fsync, no copy in
//! chunkd for a read through a mapping, little memory when idle.

use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use wolfdisk_tests::{
    Daemon, Node, Random, Trace, count, is_long_run, sh, vm_rss_bytes, wait_within,
};

const IDLE_MEMORY_BYTES: u64 = 60_000_000;
/// How much later than expected it may be so.
const IDLE_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn an_fsync_of_a_small_write_is_one_sync() {
    const SYNCS: usize = 100;
    let node = Node::start();
    let file = std::fs::File::create(node.path("file")).expect("created");
    file.write_all_at(&[1; 4096], 0).expect("written");
    file.sync_all().expect("synced");
    let calls = "fdatasync,fsync,msync,sync_file_range,sync,syncfs";
    let meta = Trace::start(node.pid(Daemon::Meta), calls, node.scratch());
    let chunkd = Trace::start(node.pid(Daemon::Chunkd), calls, node.scratch());
    for round in 0..SYNCS {
        file.write_all_at(&[round as u8; 4096], 0).expect("written");
        file.sync_data().expect("synced");
    }
    let (mut meta, chunkd) = (meta.stop(), chunkd.stop());
    // The next segment of the log is made beside, piece by piece.
    meta.retain(|line| !line.contains("/spare.new>"));
    let syncs = count(&meta, "fdatasync");
    assert!(
        (SYNCS..=SYNCS + SYNCS / 10).contains(&syncs),
        "{syncs} for {SYNCS}: {meta:#?}"
    );
    // A checkpoint or destaging may fall into the measurement, but is no part of an fsync.
    assert!(meta.len() <= syncs + 4, "{meta:#?}");
    assert!(chunkd.len() <= 4, "{chunkd:#?}");
}

#[test]
fn a_large_read_is_mapped_and_not_copied_by_chunkd() {
    let mebibytes: u64 = if is_long_run() { 1024 } else { 256 };
    let mut node = Node::start();
    let mut random = Random::new();
    let path = node.path("large");
    let mut file = std::fs::File::create(&path).expect("created");
    let blocks: Vec<Vec<u8>> = (0..4).map(|_| random.bytes(1 << 20)).collect();
    let block = |number: u64| {
        // Each differs, so that no chunk is a copy of another.
        let mut block = blocks[number as usize % blocks.len()].clone();
        block[..8].copy_from_slice(&number.to_le_bytes());
        block
    };
    for number in 0..mebibytes {
        file.write_all(&block(number)).expect("written");
    }
    file.sync_all().expect("synced");
    drop(file);
    // A new mount has nothing in its caches.
    node.restart();
    let calls = "read,pread64,preadv,preadv2,readv,sendfile,splice,copy_file_range,sendto,sendmsg";
    let trace = Trace::start(node.pid(Daemon::Chunkd), calls, node.scratch());
    let mut file = std::fs::File::open(&path).expect("opened");
    let mut found = vec![0; 1 << 20];
    for number in 0..mebibytes {
        file.read_exact(&mut found).expect("readable");
        assert!(found == block(number), "MiB {number} differs");
    }
    let lines = trace.stop();
    let moved: u64 = lines.iter().filter_map(|line| returned(line)).sum();
    assert!(
        moved < mebibytes << 10,
        "chunkd moved {moved} bytes for {mebibytes} MiB: {:#?}",
        lines.iter().take(40).collect::<Vec<_>>()
    );
}

/// What a call returned, if it succeeded.
fn returned(line: &str) -> Option<u64> {
    line.rsplit_once(" = ")?
        .1
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

#[test]
fn idle_daemons_are_small() {
    let node = Node::start();
    sh(
        node.mount(),
        "mkdir d; for i in $(seq 300); do head -c 20000 /dev/urandom > d/$i; done; cat d/* > all; head -c 100000000 /dev/urandom > large; cat all large > /dev/null",
    );
    let idle = Duration::from_secs(if is_long_run() { 60 } else { 10 });
    let start = Instant::now();
    wait_within(idle * 2, "the idle time", || start.elapsed() > idle);
    for daemon in Daemon::ALL {
        // Memory goes back every few seconds; on a busy machine what was written before is still under way.
        let what = format!("{} is small", daemon.name());
        wait_within(IDLE_WITHIN, &what, || {
            vm_rss_bytes(node.pid(daemon)) < IDLE_MEMORY_BYTES
        });
        let used = private_bytes(node.pid(daemon));
        let resident = vm_rss_bytes(node.pid(daemon));
        println!(
            "{}: VmRSS {resident}, of that private {used}",
            daemon.name()
        );
    }
}

fn private_bytes(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it runs");
    let lines = rollup.lines().filter(|line| line.starts_with("Private_"));
    let kib = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.sum::<u64>() * 1024
}
