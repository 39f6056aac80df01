//! What a node takes stays flat while files are created, written over and deleted without an end: disk,
//! memory and descriptors go by what lives, not by what was ever written.
//!
//! With `WOLFDISK_LONG=1` for an hour.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use wolfdisk_tests::{
    Daemon, Df, Node, Plan, Random, SmallDisk, is_long_run, open_descriptors, vm_rss_bytes,
    wait_within,
};

const MIB: u64 = 1 << 20;
/// A disk that the short load fills with what it writes, and the least with what lives of it.
const DISK_BYTES: u64 = 768 * MIB;
/// What is written at the least.
const WRITTEN_BYTES: u64 = DISK_BYTES;
const LONG: Duration = Duration::from_secs(3600);
/// Small files that live at a time, of up to 64 KiB ..
const SMALL: u64 = 600;
/// .. and large ones, of which parts are written over.
const LARGE: u64 = 3;
const LARGE_BYTES: u64 = 16 * MIB;
/// What lives: both, and nothing of either is there twice.
const LIVE_BYTES: u64 = SMALL * 64 * 1024 / 2 + LARGE * LARGE_BYTES;
/// What may be dead at the end: what is kept of half-dead chunks and segments, the log, the index.
const DEAD_BYTES: u64 = 2 * LIVE_BYTES + DISK_BYTES / 8;
/// How long it may take until that is so: sweeps come every 30 s on a disk with room.
const SETTLES_WITHIN: Duration = Duration::from_secs(120);
/// What memory may grow by between the beginning and the end of the load: caches that fill.
const MEMORY_SLACK_BYTES: u64 = 48 * MIB;
/// The same of descriptors beyond those of segments: each thread of the front-end may come to have a
/// connection of its own to both daemons, with a descriptor at each end. A leak by file or chunk is thousands.
const DESCRIPTOR_SLACK: u64 = 64;

struct Load {
    // In this order: the node goes before its disk.
    node: Node,
    disk: SmallDisk,
    random: Random,
    written: u64,
    content: Vec<u8>,
}

/// What the three daemons take; descriptors without those of segments, whose number goes by the disk.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    memory: u64,
    descriptors: u64,
}

impl Load {
    fn new() -> Load {
        let disk = SmallDisk::new(DISK_BYTES);
        let node = Node::start_as(Plan {
            data: Some(disk.data()),
            ..Plan::default()
        });
        let mut random = Random::new();
        let content = random.bytes(8 * MIB as usize);
        Load {
            node,
            disk,
            random,
            written: 0,
            content,
        }
    }

    fn small(&self, number: u64) -> PathBuf {
        self.node.path(format!("d{}/{number}", number % 7))
    }

    fn large(&self, number: u64) -> PathBuf {
        self.node.path(format!("large{number}"))
    }

    /// Bytes that were never written before, as far as a chunk can tell.
    fn bytes(&mut self, count: u64) -> Vec<u8> {
        let from = self.random.below(self.content.len() as u64 - count);
        let mut bytes = self.content[from as usize..(from + count) as usize].to_vec();
        let salt = self.random.bytes(8);
        bytes
            .iter_mut()
            .step_by(512)
            .zip(salt.iter().cycle())
            .for_each(|(byte, salt)| *byte ^= salt);
        self.written += count;
        bytes
    }

    fn prepare(&mut self) {
        for number in 0..7 {
            std::fs::create_dir(self.node.path(format!("d{number}"))).expect("made");
        }
        for number in 0..LARGE {
            let bytes = self.bytes(4 * MIB);
            let file = File::create_new(self.large(number)).expect("created");
            for at in 0..LARGE_BYTES / bytes.len() as u64 {
                file.write_all_at(&bytes, at * bytes.len() as u64)
                    .expect("written");
            }
        }
    }

    /// One step of the load. Nothing of it may fail: there is room for what lives.
    fn step(&mut self) {
        let number = self.random.below(SMALL);
        let path = self.small(number);
        match self.random.below(10) {
            0..=4 => {
                let length = 1 + self.random.below(64 * 1024);
                let bytes = self.bytes(length);
                std::fs::write(path, bytes).expect("written over or created");
            }
            5..=6 => {
                // Gone already is as good.
                if path.exists() {
                    std::fs::remove_file(path).expect("removed");
                }
            }
            7 => {
                let other = self.random.below(SMALL);
                let (from, to) = (path, self.small(other));
                if from.exists() {
                    std::fs::rename(from, to).expect("renamed");
                }
            }
            _ => {
                let number = self.random.below(LARGE);
                let large = self.large(number);
                let file = File::options().write(true).open(large).expect("opened");
                let length = 4096 << self.random.below(8);
                let at = self.random.below((LARGE_BYTES - length) / 4096) * 4096;
                let bytes = self.bytes(length);
                file.write_all_at(&bytes, at).expect("written over");
            }
        }
    }

    fn taken(&self) -> Taken {
        let mut taken = Taken::default();
        for pid in Daemon::ALL.map(|daemon| self.node.pid(daemon)) {
            taken.memory += vm_rss_bytes(pid);
            taken.descriptors += open_descriptors(pid);
        }
        // The store has each of its segments open; mappings need no descriptor.
        taken.descriptors = taken.descriptors.saturating_sub(self.segments());
        taken
    }

    fn segments(&self) -> u64 {
        let folder = self.disk.data().join("chunks");
        let files = std::fs::read_dir(folder).expect("the chunk store");
        let names = files.map(|file| file.expect("an entry").file_name());
        let segments = names.filter(|name| name.to_string_lossy().ends_with(".seg"));
        segments.count() as u64
    }

    /// The most that is taken while `steps` steps are made.
    fn peak(&mut self, steps: u64) -> Taken {
        let mut peak = Taken::default();
        for step in 0..steps {
            self.step();
            if step % 64 == 0 {
                let now = self.taken();
                peak.memory = peak.memory.max(now.memory);
                peak.descriptors = peak.descriptors.max(now.descriptors);
            }
        }
        peak
    }

    fn used(&self) -> u64 {
        let own = Df::of(&self.disk.root());
        own.total_bytes - own.free_bytes
    }
}

#[test]
fn under_a_long_load() {
    let mut load = Load::new();
    let fresh = load.used();
    load.prepare();
    let begun = Instant::now();
    let first = load.peak(3000);
    let mut last = first;
    while load.written < WRITTEN_BYTES || is_long_run() && begun.elapsed() < LONG {
        last = load.peak(3000);
        println!(
            "{:?}: {} MiB written, {} MiB on disk, {last:?}",
            begun.elapsed(),
            load.written / MIB,
            load.used() / MIB
        );
    }
    assert!(
        last.memory <= first.memory + MEMORY_SLACK_BYTES,
        "{first:?}, then {last:?}"
    );
    assert!(
        last.descriptors <= first.descriptors + DESCRIPTOR_SLACK,
        "{first:?}, then {last:?}"
    );
    let took = wait_within(SETTLES_WITHIN, "what is dead is given back", || {
        load.used() <= fresh + LIVE_BYTES + DEAD_BYTES
    });
    println!("{} MiB on disk after {took:?}", load.used() / MIB);
}
