//! A small tree is changed at random through system calls, here and in a directory of the machine's own
//! file system: both give the same results, the same errors, the same attributes and the same content.
//! Also when the calls come through two mounts in turn, and when daemons are killed meanwhile.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, FallocateFlags, RenameFlags, copy_file_range, fallocate, renameat2};
use nix::sys::stat::Mode;
use wolfdisk_tests::{Daemon, Node, Random, is_long_run};

/// Steps between two comparisons of everything.
const STEPS: usize = 400;
/// Files that are kept open at a time.
const OPEN_MAX: usize = 4;
/// Names of which paths are made: few, so that calls meet each other.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "longer name with spaces \u{e4}"];
/// Writes begin below this offset.
const REACH: u64 = 300_000;

fn rounds() -> usize {
    if is_long_run() { 60 } else { 6 }
}

/// What a call says that must be the same on both sides.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Count(usize),
    Names(Vec<String>),
    Target(PathBuf),
    Looks(Looks),
    Content(Vec<u8>),
}

/// Attributes without times and numbers that are each file system's own.
#[derive(Debug, PartialEq, Eq)]
struct Looks {
    mode: u32,
    owner: (u32, u32),
    links: u64,
    /// None for directories.
    size: Option<u64>,
}

fn looks(metadata: &fs::Metadata) -> Looks {
    Looks {
        mode: metadata.mode(),
        owner: (metadata.uid(), metadata.gid()),
        links: metadata.nlink(),
        size: (!metadata.is_dir()).then_some(metadata.len()),
    }
}

/// One call, with everything that was drawn for it.
#[derive(Clone, Debug)]
enum Step {
    MakeDirectory(PathBuf),
    RemoveDirectory(PathBuf),
    Create(PathBuf, Vec<u8>),
    Write(PathBuf, u64, Vec<u8>),
    Append(PathBuf, Vec<u8>),
    Truncate(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, RenameFlags),
    Link(PathBuf, PathBuf),
    Symlink(PathBuf, PathBuf),
    ReadLink(PathBuf),
    Fifo(PathBuf),
    Permissions(PathBuf, u32),
    Owner(PathBuf, u32),
    Look(PathBuf),
    List(PathBuf),
    Read(PathBuf),
    Punch(PathBuf, FallocateFlags, u64, u64),
    Copy(PathBuf, u64, PathBuf, u64, usize),
    Open(PathBuf),
    WriteOpen(usize, u64, Vec<u8>),
    ReadOpen(usize, u64, usize),
    LookOpen(usize),
    TruncateOpen(usize, u64),
    Close(usize),
}

fn path(random: &mut Random) -> PathBuf {
    let depth = 1 + random.below(3);
    (0..depth)
        .map(|_| NAMES[random.below(NAMES.len() as u64) as usize])
        .collect()
}

fn bytes(random: &mut Random) -> Vec<u8> {
    let most = [600, 5_000, 70_000, 200_000][random.below(4) as usize];
    let length = random.below(most) as usize;
    random.bytes(length)
}

impl Step {
    fn draw(random: &mut Random, open: usize) -> Step {
        let one = path(random);
        let handle = random.below(open.max(1) as u64) as usize;
        let at = random.below(REACH);
        match random.below(if open > 0 { 32 } else { 26 }) {
            0..=2 => Step::MakeDirectory(one),
            3 => Step::RemoveDirectory(one),
            4..=6 => Step::Create(one, bytes(random)),
            7 | 8 => Step::Write(one, at, bytes(random)),
            9 => Step::Append(one, bytes(random)),
            10 => Step::Truncate(one, at),
            11 | 12 => Step::Remove(one),
            13 | 14 => {
                let flags = [
                    RenameFlags::empty(),
                    RenameFlags::empty(),
                    RenameFlags::RENAME_NOREPLACE,
                    RenameFlags::RENAME_EXCHANGE,
                ];
                Step::Rename(one, path(random), flags[random.below(4) as usize])
            }
            15 => Step::Link(one, path(random)),
            16 => Step::Symlink(path(random), one),
            17 => Step::ReadLink(one),
            18 => match random.below(4) {
                0 => Step::Fifo(one),
                1 => Step::Owner(one, random.below(3) as u32),
                _ => Step::Permissions(one, random.below(0o10000) as u32),
            },
            19 | 20 => Step::Look(one),
            21 => Step::List(one),
            22 => Step::Read(one),
            23 => {
                let keep = FallocateFlags::FALLOC_FL_KEEP_SIZE;
                let modes = [
                    FallocateFlags::empty(),
                    keep,
                    keep | FallocateFlags::FALLOC_FL_PUNCH_HOLE,
                    FallocateFlags::FALLOC_FL_ZERO_RANGE,
                ];
                let mode = modes[random.below(4) as usize];
                Step::Punch(one, mode, at, random.below(100_000))
            }
            24 => {
                let length = random.below(100_000) as usize;
                Step::Copy(one, at / 2, path(random), at, length)
            }
            25 => Step::Open(one),
            26 | 27 => Step::WriteOpen(handle, at, bytes(random)),
            28 => Step::ReadOpen(handle, at, random.below(200_000) as usize),
            29 => Step::LookOpen(handle),
            30 => Step::TruncateOpen(handle, at),
            _ => Step::Close(handle),
        }
    }
}

/// One of the two sides.
#[derive(Default)]
struct Side {
    open: Vec<File>,
}

impl Side {
    fn apply(&mut self, root: &Path, step: &Step) -> Result<Said, i32> {
        let said = self.call(root, step);
        said.map_err(|error| error.raw_os_error().expect("an error of the system"))
    }

    fn call(&mut self, root: &Path, step: &Step) -> io::Result<Said> {
        match step {
            Step::Open(path) => {
                let file = File::options()
                    .read(true)
                    .write(true)
                    .open(plain(root, path)?)?;
                self.open.push(file);
            }
            Step::WriteOpen(handle, at, bytes) => {
                self.open[*handle].write_all_at(bytes, *at)?;
                self.open[*handle].sync_data()?;
            }
            Step::ReadOpen(handle, at, length) => {
                return read_at(&self.open[*handle], *at, *length).map(Said::Content);
            }
            Step::LookOpen(handle) => {
                return Ok(Said::Looks(looks(&self.open[*handle].metadata()?)));
            }
            Step::TruncateOpen(handle, size) => self.open[*handle].set_len(*size)?,
            Step::Close(handle) => drop(self.open.swap_remove(*handle)),
            _ => return by_name(root, step),
        }
        Ok(Said::Nothing)
    }
}

/// The calls that name what they change.
fn by_name(root: &Path, step: &Step) -> io::Result<Said> {
    match step {
        Step::MakeDirectory(path) => fs::create_dir(root.join(path))?,
        Step::RemoveDirectory(path) => fs::remove_dir(root.join(path))?,
        Step::Create(path, bytes) => {
            File::create_new(root.join(path))?.write_all_at(bytes, 0)?;
        }
        Step::Write(path, at, bytes) => writable(root, path)?.write_all_at(bytes, *at)?,
        Step::Append(path, bytes) => {
            let file = File::options().append(true).open(plain(root, path)?)?;
            io::Write::write_all(&mut &file, bytes)?;
        }
        Step::Truncate(path, size) => writable(root, path)?.set_len(*size)?,
        Step::Remove(path) => fs::remove_file(root.join(path))?,
        Step::Rename(from, to, flags) => {
            renameat2(AT_FDCWD, &root.join(from), AT_FDCWD, &root.join(to), *flags)?;
        }
        Step::Link(from, to) => fs::hard_link(root.join(from), root.join(to))?,
        Step::Symlink(target, path) => symlink(target, root.join(path))?,
        Step::ReadLink(path) => return Ok(Said::Target(fs::read_link(root.join(path))?)),
        Step::Fifo(path) => nix::unistd::mkfifo(&root.join(path), Mode::from_bits_truncate(0o640))?,
        Step::Permissions(path, mode) => {
            let permissions = fs::Permissions::from_mode(*mode);
            fs::set_permissions(root.join(path), permissions)?;
        }
        Step::Owner(path, owner) => {
            std::os::unix::fs::lchown(root.join(path), Some(*owner), Some(*owner))?;
        }
        Step::Look(path) => {
            return Ok(Said::Looks(looks(&fs::symlink_metadata(root.join(path))?)));
        }
        Step::List(path) => return Ok(Said::Names(names(&root.join(path))?)),
        Step::Read(path) => return Ok(Said::Content(fs::read(plain(root, path)?)?)),
        Step::Punch(path, mode, at, length) => {
            fallocate(writable(root, path)?, *mode, *at as i64, *length as i64)?;
        }
        Step::Copy(from, from_at, to, to_at, length) => {
            let (from, to) = (File::open(plain(root, from)?)?, writable(root, to)?);
            let (mut from_at, mut to_at) = (*from_at as i64, *to_at as i64);
            let copied = copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), *length)?;
            return Ok(Said::Count(copied));
        }
        _ => unreachable!("a call on an open file"),
    }
    Ok(Said::Nothing)
}

/// Opening a FIFO would wait for its other end.
fn plain(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let path = root.join(path);
    if fs::metadata(&path)?.file_type().is_fifo() {
        return Err(io::Error::from_raw_os_error(libc::ENXIO));
    }
    Ok(path)
}

fn writable(root: &Path, path: &Path) -> io::Result<File> {
    File::options().write(true).open(plain(root, path)?)
}

fn read_at(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let (mut bytes, mut filled) = (vec![0; length], 0);
    while filled < length {
        match file.read_at(&mut bytes[filled..], at + filled as u64)? {
            0 => break,
            more => filled += more,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn names(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Everything below a root.
fn everything(root: &Path) -> BTreeMap<PathBuf, (Looks, Option<PathBuf>, Vec<u8>)> {
    let (mut found, mut open) = (BTreeMap::new(), vec![PathBuf::new()]);
    while let Some(directory) = open.pop() {
        for name in names(&root.join(&directory)).expect("a directory") {
            let path = directory.join(name);
            let metadata = fs::symlink_metadata(root.join(&path)).expect("listed");
            if metadata.is_dir() {
                open.push(path.clone());
            }
            let target = fs::read_link(root.join(&path)).ok();
            let content = if metadata.is_file() {
                fs::read(root.join(&path)).expect("readable")
            } else {
                Vec::new()
            };
            found.insert(path, (looks(&metadata), target, content));
        }
    }
    found
}

fn compare(expected: &Path, found: &Path, when: &str) {
    let (expected, found) = (everything(expected), everything(found));
    let paths = |tree: &BTreeMap<PathBuf, _>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(paths(&found), paths(&expected), "{when}");
    for (path, (looks, target, content)) in &expected {
        let path = path.display();
        let (looks_found, target_found, content_found) = &found[Path::new(&path.to_string())];
        assert_eq!(looks_found, looks, "{when}: {path}");
        assert_eq!(target_found, target, "{when}: {path}");
        assert!(
            content_found == content,
            "{when}: content of {path} differs"
        );
    }
}

/// Says what differs without printing all bytes.
fn check(number: usize, step: &Step, expected: &Result<Said, i32>, found: &Result<Said, i32>) {
    if expected == found {
        return;
    }
    if let (Ok(Said::Content(expected)), Ok(Said::Content(found))) = (expected, found) {
        let same = expected
            .iter()
            .zip(found)
            .take_while(|(a, b)| a == b)
            .count();
        let (expected, found) = (expected.len(), found.len());
        panic!(
            "step {number}, {step:.60?}: {found} bytes for {expected}, the first {same} the same"
        );
    }
    panic!("step {number}, {step:.200?}: {found:.200?}, expected {expected:.200?}");
}

/// Changes at random through `mounts`; `between` is called after each comparison.
fn exercise(node: &mut Node, mounts: &[PathBuf], mut between: impl FnMut(&mut Node, &mut Random)) {
    let oracle = node.scratch().directory("oracle");
    let mut random = Random::new();
    let (mut here, mut there) = (Side::default(), Side::default());
    for number in 0..rounds() * STEPS {
        let mount = &mounts[random.below(mounts.len() as u64) as usize];
        let step = Step::draw(&mut random, here.open.len());
        if matches!(step, Step::Open(_)) && here.open.len() == OPEN_MAX {
            continue;
        }
        let expected = there.apply(&oracle, &step);
        let found = here.apply(mount, &step);
        check(number, &step, &expected, &found);
        if number % STEPS == STEPS - 1 {
            for mount in mounts {
                compare(&oracle, mount, &format!("after step {number}"));
            }
            between(node, &mut random);
        }
    }
    drop(here);
    node.restart();
    compare(&oracle, node.mount(), "after a restart");
}

#[test]
fn one_mount() {
    let mut node = Node::start();
    let mount = node.mount().to_owned();
    exercise(&mut node, &[mount], |_, _| ());
}

#[test]
fn two_mounts_in_turn() {
    let mut node = Node::start();
    let second = node.second_mount();
    let mounts = [node.mount().to_owned(), second.mount().to_owned()];
    exercise(&mut node, &mounts, |_, _| ());
}

#[test]
fn daemons_are_killed() {
    let mut node = Node::start();
    let mount = node.mount().to_owned();
    exercise(&mut node, &[mount], |node, random| {
        node.kill([Daemon::Meta, Daemon::Chunkd][random.below(2) as usize]);
    });
}
