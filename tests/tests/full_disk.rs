//! A full disk says `ENOSPC`, at the latest at close or fsync; it loses nothing that was acknowledged, it
//! ends no daemon, and it heals as soon as something is deleted, without a restart.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wolfdisk_tests::{Daemon, Df, Node, Plan, Random, SmallDisk, wait_within};

const MIB: u64 = 1 << 20;
/// How long deleted room may take to come back: two rounds of sweeping and compaction on a busy machine.
const HEALS_WITHIN: Duration = Duration::from_secs(30);
/// What `df` may show and files cannot take: records of the index, the log that they go through, and what
/// the last file that did not fit has left for a moment.
const SLACK: u64 = 16 * MIB;

/// What was acknowledged by close, and a hash of what must be read.
struct Kept {
    path: PathBuf,
    length: u64,
    hash: u64,
}

/// How one kind of thing is made and read back.
#[derive(Clone, Copy)]
enum Kind {
    /// A file whose length is below this.
    Files { below: u64 },
    /// A symbolic link with a long target: nothing but metadata.
    Links,
}

impl Kind {
    fn make(self, path: &Path, random: &mut Random) -> io::Result<Kept> {
        let content = match self {
            Kind::Files { below } => {
                let length = 1 + random.below(below);
                random.bytes(length as usize)
            }
            Kind::Links => {
                let letters = random.bytes(4000).into_iter();
                letters.map(|byte| b'a' + byte % 16).collect()
            }
        };
        match self {
            Kind::Files { .. } => write(path, &content)?,
            Kind::Links => {
                let target = String::from_utf8(content.clone()).expect("letters");
                std::os::unix::fs::symlink(target, path)?;
            }
        }
        Ok(Kept {
            path: path.to_owned(),
            length: content.len() as u64,
            hash: hash(&content),
        })
    }

    fn check(self, kept: &Kept) {
        let content = match self {
            Kind::Files { .. } => std::fs::read(&kept.path),
            Kind::Links => std::fs::read_link(&kept.path)
                .map(|target| target.into_os_string().into_encoded_bytes()),
        };
        let content = content.unwrap_or_else(|error| panic!("{}: {error}", kept.path.display()));
        assert_eq!(content.len() as u64, kept.length, "{}", kept.path.display());
        assert_eq!(hash(&content), kept.hash, "{}", kept.path.display());
    }
}

fn hash(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

/// Writes a new file and hears what close says, which dropping a `File` does not.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(content)?;
    nix::unistd::close(file.into_raw_fd()).map_err(io::Error::from)
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull
}

/// A node on a small disk, and what it was given.
struct Filled {
    // In this order: the node goes before its disk.
    node: Node,
    disk: SmallDisk,
    kind: Kind,
    random: Random,
    kept: Vec<Kept>,
    made: u64,
    daemons: [u32; 3],
}

impl Filled {
    fn new(disk_bytes: u64, kind: Kind) -> Filled {
        let disk = SmallDisk::new(disk_bytes);
        let node = Node::start_as(Plan {
            data: Some(disk.data()),
            ..Plan::default()
        });
        let daemons = Daemon::ALL.map(|daemon| node.pid(daemon));
        Filled {
            node,
            disk,
            kind,
            random: Random::new(),
            kept: Vec::new(),
            made: 0,
            daemons,
        }
    }

    fn df(&self) -> Df {
        Df::of(self.node.mount())
    }

    fn make_one(&mut self) -> io::Result<()> {
        self.made += 1;
        // Directories of 500, so that none is special.
        let directory = self.node.path(format!("d{}", self.made / 500));
        if !directory.is_dir() {
            std::fs::create_dir(&directory)?;
        }
        let path = directory.join(self.made.to_string());
        let made = self.kind.make(&path, &mut self.random);
        if made.is_err() && path.symlink_metadata().is_ok() {
            std::fs::remove_file(&path).expect("a full disk lets go of what it could not take");
        }
        self.kept.push(made?);
        Ok(())
    }

    /// Makes things until there is no room. Returns how many bytes went in.
    fn fill(&mut self) -> u64 {
        let (before, shown) = (self.bytes(), self.df().free_bytes);
        loop {
            if let Err(error) = self.make_one() {
                assert!(is_full(&error), "a full disk says ENOSPC, not {error}");
                break;
            }
        }
        self.stands();
        let went_in = self.bytes() - before;
        println!(
            "full: {} things of {} MiB, {} MiB of {} MiB that were shown; the node says {:?}, its disk {:?}",
            self.kept.len(),
            self.bytes() / MIB,
            went_in / MIB,
            shown / MIB,
            self.df(),
            Df::of(&self.disk.root())
        );
        if let Kind::Files { below } = self.kind {
            let may = shown.saturating_sub(below + SLACK);
            assert!(
                went_in >= may,
                "{went_in} of {shown} bytes that were shown as free"
            );
        }
        went_in
    }

    fn bytes(&self) -> u64 {
        self.kept.iter().map(|kept| kept.length).sum()
    }

    /// Everything that was acknowledged is there, and nothing had to be started again.
    fn stands(&self) {
        self.kept.iter().for_each(|kept| self.kind.check(kept));
        let daemons = Daemon::ALL.map(|daemon| self.node.pid(daemon));
        assert_eq!(daemons, self.daemons, "a full disk ends no daemon");
    }

    /// Removes every `nth` thing; files are truncated before, every other time, and kept empty.
    fn remove_every(&mut self, nth: usize) -> u64 {
        let before = self.bytes();
        let mut at = 0;
        let kind = self.kind;
        self.kept.retain_mut(|kept| {
            at += 1;
            if at % nth != 0 {
                return true;
            }
            if at % (2 * nth) == 0 && matches!(kind, Kind::Files { .. }) {
                let file = File::options()
                    .write(true)
                    .open(&kept.path)
                    .expect("opened");
                file.set_len(0).expect("truncated on a full disk");
                (kept.length, kept.hash) = (0, hash(&[]));
                return true;
            }
            std::fs::remove_file(&kept.path).expect("removed on a full disk");
            false
        });
        before - self.bytes()
    }

    /// Room of at least `bytes` comes back, and things can be made again.
    fn heals(&mut self, bytes: u64) {
        let took = wait_within(HEALS_WITHIN, "the room comes back", || {
            self.df().free_bytes >= bytes
        });
        println!("{} MiB are free after {took:?}", bytes / MIB);
        let again = wait_within(HEALS_WITHIN, "writing goes on", || match self.make_one() {
            Ok(()) => true,
            Err(error) if is_full(&error) => false,
            Err(error) => panic!("{error}"),
        });
        println!("writing went on after {again:?}");
        self.stands();
    }
}

fn fills_and_heals(disk_bytes: u64, kind: Kind) {
    let mut filled = Filled::new(disk_bytes, kind);
    let fresh = filled.df();
    let own = Df::of(&filled.disk.root());
    assert!(fresh.free_bytes <= own.free_bytes, "no more than there is");
    assert!(fresh.free_bytes >= own.free_bytes / 2, "and most of it");

    filled.fill();
    // Two halves of what was there come and go on the same node.
    for _ in 0..2 {
        let free = filled.df().free_bytes;
        let gone = filled.remove_every(2);
        // Records take room too, and what lives next to the dead is moved by whole segments.
        filled.heals(free + gone / 2);
        let refilled = filled.fill();
        assert!(refilled >= gone / 2, "{refilled} of {gone} bytes fit again");
    }

    filled.node.restart();
    filled.daemons = Daemon::ALL.map(|daemon| filled.node.pid(daemon));
    filled.stands();
    filled.remove_every(1);
    filled.heals(fresh.free_bytes / 4 * 3);
}

#[test]
fn of_large_files() {
    fills_and_heals(600 * MIB, Kind::Files { below: 16 * MIB });
}

#[test]
fn of_small_files() {
    fills_and_heals(256 * MIB, Kind::Files { below: 60_000 });
}

#[test]
fn of_metadata() {
    fills_and_heals(192 * MIB, Kind::Links);
}
