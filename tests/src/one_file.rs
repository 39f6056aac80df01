//! One file, open on two mounts at once, changed at random in every way through either: each sees at once
//! what the other did, whatever they keep in memory. An array of bytes is the oracle.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FallocateFlags, copy_file_range, fallocate};

use crate::mapping::Mapping;
use crate::random::{Random, is_long_run};

/// The file never grows beyond this.
const FILE_MAX: u64 = 256 * 1024;
/// No operation is longer.
const LENGTH_MAX: u64 = 64 * 1024;
/// What bypasses the page cache is aligned to this, as local file systems want it.
const BLOCK: u64 = 4096;

fn operations() -> u32 {
    if is_long_run() { 100_000 } else { 6_000 }
}

/// One operation, with everything that was drawn for it.
#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    WriteDirect(u64, Vec<u8>),
    Append(Vec<u8>),
    Store(u64, Vec<u8>),
    Read(Range<u64>),
    ReadDirect(Range<u64>),
    Load(Range<u64>),
    Cut(u64),
    Allocate(FallocateFlags, Range<u64>),
    Copy(Range<u64>, u64),
    Sync,
    Reopen,
}

/// What must be in the file.
struct Expected(Vec<u8>);

impl Expected {
    fn put(&mut self, at: u64, bytes: &[u8]) {
        let end = at as usize + bytes.len();
        self.0.resize(self.0.len().max(end), 0);
        self.0[at as usize..end].copy_from_slice(bytes);
    }

    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    /// What a read of the range gives.
    fn get(&self, range: &Range<u64>) -> &[u8] {
        let end = range.end.min(self.size());
        &self.0[range.start.min(end) as usize..end as usize]
    }
}

fn range(random: &mut Random, end: u64) -> Range<u64> {
    let start = random.below(end.max(1));
    start..end.min(start + 1 + random.below(LENGTH_MAX))
}

fn aligned(range: Range<u64>) -> Range<u64> {
    range.start / BLOCK * BLOCK..range.end.next_multiple_of(BLOCK)
}

fn bytes(random: &mut Random, range: &Range<u64>) -> Vec<u8> {
    random.bytes((range.end - range.start) as usize)
}

fn draw(random: &mut Random, size: u64) -> Step {
    let anywhere = range(random, FILE_MAX);
    let within = range(random, size);
    match random.below(30) {
        0..=4 => Step::Write(anywhere.start, bytes(random, &anywhere)),
        5..=7 => {
            let place = aligned(anywhere);
            Step::WriteDirect(place.start, bytes(random, &place))
        }
        8 | 9 => {
            let room = (FILE_MAX - size).min(LENGTH_MAX);
            let length = random.below(room + 1);
            Step::Append(bytes(random, &(0..length)))
        }
        10..=13 if size > 0 => Step::Store(within.start, bytes(random, &within)),
        14 | 15 => Step::Read(anywhere),
        16 | 17 => Step::ReadDirect(aligned(anywhere)),
        18..=20 if size > 0 => Step::Load(within),
        21 | 22 => Step::Cut(anywhere.start),
        23..=25 => {
            let keep = FallocateFlags::FALLOC_FL_KEEP_SIZE;
            let zero = FallocateFlags::FALLOC_FL_ZERO_RANGE;
            let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE;
            let modes = [
                FallocateFlags::empty(),
                keep,
                zero,
                zero | keep,
                punch | keep,
            ];
            let mode = modes[random.below(modes.len() as u64) as usize];
            Step::Allocate(mode, anywhere)
        }
        26 | 27 if size > 1 => copy(random, size),
        28 => Step::Sync,
        29 => Step::Reopen,
        _ => Step::Read(anywhere),
    }
}

/// Ranges of one file that do not overlap, as the call demands.
fn copy(random: &mut Random, size: u64) -> Step {
    let middle = 1 + random.below(size - 1);
    let low = range(random, middle);
    let last = FILE_MAX.saturating_sub(low.end - low.start);
    if random.below(2) == 0 && last >= middle {
        return Step::Copy(low, middle + random.below(last - middle + 1));
    }
    let high = middle + random.below(size - middle)..size;
    let length = (high.end - high.start).min(LENGTH_MAX).min(middle);
    Step::Copy(
        high.start..high.start + length,
        random.below(middle - length + 1),
    )
}

/// The file as one mount has it open.
struct Side {
    path: PathBuf,
    file: File,
    direct: File,
    append: File,
    mapping: Mapping,
}

impl Side {
    fn open(path: &Path) -> Side {
        let mut options = File::options();
        options.read(true).write(true);
        let file = options.open(path).expect("opened");
        let direct = options.custom_flags(libc::O_DIRECT).open(path);
        Side {
            path: path.to_owned(),
            mapping: Mapping::new(&file, FILE_MAX as usize),
            file,
            direct: direct.expect("opened"),
            append: File::options().append(true).open(path).expect("opened"),
        }
    }

    /// Does it here and in the oracle.
    fn apply(&mut self, step: &Step, expected: &mut Expected) {
        match step {
            Step::Write(at, bytes) => {
                self.file.write_all_at(bytes, *at).expect("written");
                expected.put(*at, bytes);
            }
            Step::WriteDirect(at, bytes) => {
                self.direct.write_all_at(bytes, *at).expect("written");
                expected.put(*at, bytes);
            }
            Step::Append(bytes) => {
                self.append.write_all(bytes).expect("appended");
                expected.put(expected.size(), bytes);
            }
            Step::Store(at, bytes) => {
                self.mapping.write(*at as usize, bytes);
                expected.put(*at, bytes);
            }
            Step::Read(range) => check(&self.file, range, expected, "read"),
            Step::ReadDirect(range) => check(&self.direct, range, expected, "direct read"),
            Step::Load(range) => {
                let length = (range.end - range.start) as usize;
                let found = self.mapping.read(range.start as usize, length);
                compare(&found, expected.get(range), range, "mapping");
            }
            Step::Cut(size) => {
                self.file.set_len(*size).expect("cut");
                expected.0.resize(*size as usize, 0);
            }
            Step::Allocate(mode, range) => self.allocate(*mode, range, expected),
            Step::Copy(from, to) => self.copy(from, *to, expected),
            Step::Sync => self.file.sync_all().expect("synced"),
            Step::Reopen => *self = Side::open(&self.path),
        }
    }

    fn allocate(&self, mode: FallocateFlags, range: &Range<u64>, expected: &mut Expected) {
        let length = range.end - range.start;
        fallocate(&self.file, mode, range.start as i64, length as i64).expect("allocated");
        if !mode.contains(FallocateFlags::FALLOC_FL_KEEP_SIZE) {
            expected
                .0
                .resize(expected.0.len().max(range.end as usize), 0);
        }
        let zeroes = FallocateFlags::FALLOC_FL_ZERO_RANGE | FallocateFlags::FALLOC_FL_PUNCH_HOLE;
        if mode.intersects(zeroes) {
            let end = range.end.min(expected.size()) as usize;
            expected.0[(range.start as usize).min(end)..end].fill(0);
        }
    }

    fn copy(&self, from: &Range<u64>, to: u64, expected: &mut Expected) {
        let (mut source, mut target) = (from.start as i64, to as i64);
        let mut left = (from.end - from.start) as usize;
        while left > 0 {
            let (here, there) = (Some(&mut source), Some(&mut target));
            let copied = copy_file_range(&self.file, here, &self.file, there, left);
            let copied = copied.expect("copied");
            assert!(copied > 0, "the source reaches so far");
            left -= copied;
        }
        let bytes = expected.get(from).to_vec();
        expected.put(to, &bytes);
    }
}

fn check(file: &File, range: &Range<u64>, expected: &Expected, how: &str) {
    let (mut bytes, mut filled) = (vec![0; (range.end - range.start) as usize], 0);
    loop {
        let at = range.start + filled as u64;
        match file.read_at(&mut bytes[filled..], at).expect("read") {
            0 => break,
            more => filled += more,
        }
    }
    compare(&bytes[..filled], expected.get(range), range, how);
}

fn compare(found: &[u8], expected: &[u8], range: &Range<u64>, how: &str) {
    assert_eq!(found.len(), expected.len(), "{how} of {range:?}");
    let wrong = found.iter().zip(expected).position(|(a, b)| a != b);
    let wrong = wrong.map(|place| {
        let same = found[place..].iter().zip(&expected[place..]);
        let length = same.take_while(|(a, b)| a != b).count();
        (range.start + place as u64, length, found[place])
    });
    assert_eq!(
        wrong, None,
        "{how} of {range:?}: wrong (place, length, byte)"
    );
}

/// Changes one new file through the mounts at these two roots in turns, and looks at it through the other after each
/// change.
pub fn both_see_every_change(first: &Path, second: &Path) {
    let paths = [first.join("file"), second.join("file")];
    File::create(&paths[0]).expect("made");
    let mut sides = paths.map(|path| Side::open(&path));
    let (mut random, mut expected) = (Random::new(), Expected(Vec::new()));
    let mut done = Vec::new();
    for number in 0..operations() {
        let step = draw(&mut random, expected.size());
        let side = random.below(2) as usize;
        done.push(format!("{number}: side {side}, {step:.60?}"));
        done.drain(..done.len().saturating_sub(20));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            sides[side].apply(&step, &mut expected);
            let other = &sides[1 - side];
            let size = other.file.metadata().expect("attributes").len();
            assert_eq!(size, expected.size(), "the size on the other mount");
            check(
                &other.file,
                &range(&mut random, FILE_MAX),
                &expected,
                "read",
            );
        }));
        if let Err(panic) = result {
            eprintln!("the last steps:\n{}", done.join("\n"));
            std::panic::resume_unwind(panic);
        }
    }
    for side in &sides {
        check(&side.file, &(0..FILE_MAX), &expected, "last read");
    }
}
