//! `nodes.seen`: where nodes answered, so that they are found again after a restart though nobody announces them. A
//! program that cannot read or write it goes on without.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use uuid::Uuid;

use crate::limits::{SEEN_MAX, SEEN_MAX_BYTES};

const HEAD: &str = "wolfdisk seen nodes 1";
/// One that answered so lately need not be written down again, in seconds.
const FRESH_S: u64 = 60 * 60;

/// Where a node answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// A node of which cluster.
    pub cluster: Uuid,
    /// Its wolfdisk-meta.
    pub address: SocketAddr,
    /// When, in seconds since 1970.
    pub at_s: u64,
}

/// All of them, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(Vec<Place>);

impl Seen {
    /// Reads what [`Seen::encode`] wrote; `None`: it is nothing of that.
    pub fn decode(text: &str) -> Option<Seen> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != HEAD || text.len() > SEEN_MAX_BYTES {
            return None;
        }
        let mut seen = Seen::default();
        for line in lines {
            let mut words = line.split(' ');
            let place = Place {
                cluster: Uuid::parse_str(words.next()?).ok()?,
                address: words.next()?.parse().ok()?,
                at_s: words.next()?.parse().ok()?,
            };
            let full = seen.0.len() >= SEEN_MAX;
            if words.next().is_some() || full {
                return None;
            }
            seen.0.push(place);
        }
        Some(seen)
    }

    /// As text.
    pub fn encode(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for place in &self.0 {
            // Writing to memory does not fail.
            let _ = writeln!(text, "{} {} {}", place.cluster, place.address, place.at_s);
        }
        text
    }

    /// Those of a cluster, or all, the latest first.
    pub fn addresses(&self, cluster: Option<Uuid>) -> impl Iterator<Item = SocketAddr> {
        let wanted = move |place: &&Place| cluster.is_none_or(|id| id == place.cluster);
        self.0.iter().filter(wanted).map(|place| place.address)
    }

    /// Notes that one answered; whether that is worth writing down.
    pub fn note(&mut self, place: Place) -> bool {
        let same = |known: &Place| (known.cluster, known.address) == (place.cluster, place.address);
        let known = self.0.iter().find(|known| same(known));
        if known.is_some_and(|known| known.at_s.abs_diff(place.at_s) < FRESH_S) {
            return false;
        }
        self.0.retain(|known| !same(known));
        self.0.insert(0, place);
        self.0.truncate(SEEN_MAX);
        true
    }
}

/// The file.
#[derive(Debug)]
pub struct SeenFile(PathBuf);

impl SeenFile {
    /// That at a path.
    pub fn new(path: PathBuf) -> SeenFile {
        SeenFile(path)
    }

    /// What it holds; nothing if it is not there.
    ///
    /// # Errors
    /// It cannot be read, or is damaged: it is as good as not there.
    pub fn load(&self) -> io::Result<Seen> {
        let file = match File::open(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Seen::default()),
            file => file?,
        };
        let mut text = String::new();
        file.take(SEEN_MAX_BYTES as u64 + 1)
            .read_to_string(&mut text)?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it holds no list of nodes");
        Seen::decode(&text).ok_or_else(damaged)
    }

    /// Replaces it as a whole, durably. Of several programs that do, the last one counts.
    ///
    /// # Errors
    /// What the system says.
    pub fn store(&self, seen: &Seen) -> io::Result<()> {
        static TURN: AtomicU64 = AtomicU64::new(0);
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let mut name = self.0.as_os_str().to_owned();
        name.push(format!(".{}.{turn}", std::process::id()));
        let own = PathBuf::from(name);
        let written = write(&own, &seen.encode()).and_then(|()| std::fs::rename(&own, &self.0));
        if let Err(error) = written {
            return match std::fs::remove_file(&own) {
                Err(left) if left.kind() != io::ErrorKind::NotFound => Err(left),
                _ => Err(error),
            };
        }
        let directory = self.0.parent().unwrap_or(Path::new("/"));
        File::open(directory)?.sync_all()
    }
}

/// Writes a file that is not there yet, which no link of another user leads elsewhere.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    // Of several programs of a machine those of the data's owner read it too, whoever wrote it.
    let directory = std::fs::metadata(path.parent().unwrap_or(Path::new("/")))?;
    if nix::unistd::geteuid().is_root() && directory.uid() != 0 {
        fchown(&file, Some(directory.uid()), Some(directory.gid()))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(number: u16, at_s: u64) -> Place {
        Place {
            cluster: Uuid::from_bytes([(number % 2) as u8; 16]),
            address: ([10, 0, 0, 1], number).into(),
            at_s,
        }
    }

    #[test]
    fn the_latest_come_first_and_there_are_only_so_many() {
        let mut seen = Seen::default();
        for number in 0..500 {
            assert!(seen.note(place(number, 1000)));
        }
        assert!(!seen.note(place(499, 1010)));
        assert!(seen.note(place(450, 1000 + FRESH_S)));
        let ports: Vec<_> = seen.addresses(None).map(|address| address.port()).collect();
        assert_eq!((ports.len(), &ports[..3]), (SEEN_MAX, &[450, 499, 498][..]));
        let odd = seen.addresses(Some(Uuid::from_bytes([1; 16])));
        assert_eq!(odd.count(), SEEN_MAX / 2);
        assert!(seen.encode().len() <= SEEN_MAX_BYTES);
        assert_eq!(Seen::decode(&seen.encode()), Some(seen));
    }

    #[test]
    fn the_longest_lines_fit() {
        let mut seen = Seen::default();
        for number in 0..SEEN_MAX as u16 {
            let ip = std::net::Ipv6Addr::new(0xffff, 1111, 2222, 3333, 4444, 5555, 6666, number);
            let address = std::net::SocketAddrV6::new(ip, u16::MAX, 0, u32::MAX).into();
            let at_s = u64::MAX;
            seen.note(Place {
                address,
                at_s,
                ..place(1, 0)
            });
        }
        assert_eq!(Seen::decode(&seen.encode()), Some(seen));
    }

    #[test]
    fn it_is_there_after_a_restart_and_damage_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = SeenFile::new(directory.path().join("nodes.seen"));
        assert_eq!(file.load().expect("read"), Seen::default());
        let mut seen = Seen::default();
        seen.note(place(3, 7));
        file.store(&seen).expect("written");
        assert_eq!(file.load().expect("read"), seen);
        assert_eq!(
            std::fs::read_dir(directory.path()).expect("read").count(),
            1
        );
        let text = seen.encode();
        std::fs::write(&file.0, &text[..text.len() - 1]).expect("written");
        assert!(file.load().is_err());
        std::fs::remove_dir_all(directory.path()).expect("removed");
        assert!(file.store(&seen).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(lines in "([0-9a-f:.\\[\\] -]{0,60}\n){0,5}") {
            for text in [lines.clone(), format!("{HEAD}\n{lines}")] {
                if let Some(seen) = Seen::decode(&text) {
                    prop_assert_eq!(Seen::decode(&seen.encode()), Some(seen));
                }
            }
        }
    }
}
