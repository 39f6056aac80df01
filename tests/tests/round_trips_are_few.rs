//! How often an operation goes from program to kernel to wolfdisk-fuse, and from there to wolfdisk-meta and
//! wolfdisk-chunkd: what the time of work with small files is made of. Counted and not timed, so that a busy
//! machine does not matter; the table "Round trips" of ARCHITECTURE.md says why it is so.
//!
//! Two requests are the kernel's own and free of the daemons: after each change in a directory it asks for the
//! directory's attributes, and it looks a new name up before it makes it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wolfdisk_tests::{Cluster, Daemon, Node, Random, Trace, count};

/// How often each operation is done while it is counted. Half as many requests may come on top of what is
/// promised, beside heartbeats.
const TIMES: usize = 60;
/// Heartbeats of a mount to both daemons in a second, at most.
const HEARTBEATS: usize = 4;
/// What the kernel knows of a name it forgets after two seconds at the latest, and asks again. Who took longer than
/// this for one kind of operation is not held to the kernel's requests, only to those of the daemons.
const FORGETS_AFTER: Duration = Duration::from_millis(700);

const PAGE: [u8; 4096] = [7; 4096];

/// Requests of one operation, at most.
#[derive(Clone, Copy)]
struct Most {
    /// Of the kernel to wolfdisk-fuse.
    fuse: usize,
    /// Of wolfdisk-fuse to wolfdisk-meta.
    meta: usize,
    /// Of wolfdisk-fuse to wolfdisk-chunkd.
    chunkd: usize,
}

/// Counts from its beginning to its end.
struct Counting {
    traces: [(Trace, &'static str); 3],
    many: Vec<String>,
}

impl Counting {
    fn of(node: &Node) -> Counting {
        // Answers on a Unix socket.
        Counting::between(node, node, "sendmsg")
    }

    /// Of a mount on another machine.
    fn of_member(member: &Node, cluster: &Cluster) -> Counting {
        // Answers on TCP.
        Counting::between(member, cluster.node(), "sendto")
    }

    fn between(mounted: &Node, served: &Node, answer: &'static str) -> Counting {
        let trace = |node: &Node, daemon, calls| {
            (Trace::start(node.pid(daemon), calls, node.scratch()), calls)
        };
        Counting {
            traces: [
                trace(mounted, Daemon::Fuse, "writev"),
                trace(served, Daemon::Meta, answer),
                trace(served, Daemon::Chunkd, answer),
            ],
            many: Vec::new(),
        }
    }

    fn asked(&self) -> [usize; 3] {
        self.traces
            .each_ref()
            .map(|(trace, call)| count(&trace.so_far(), call))
    }

    /// Does `operation` with the numbers from 0 to [`TIMES`] and holds what it asks for against `most`.
    fn check(&mut self, what: &str, most: Most, operation: impl FnMut(usize)) {
        let (before, start) = (self.asked(), Instant::now());
        (0..TIMES).for_each(operation);
        let (took, after) = (start.elapsed(), self.asked());
        let slow = took > FORGETS_AFTER;
        let more = TIMES / 2 + HEARTBEATS * took.as_secs() as usize;
        let most = [most.fuse, most.meta, most.chunkd];
        let asked: [usize; 3] = std::array::from_fn(|daemon| after[daemon] - before[daemon]);
        let each = asked.map(|total| total as f64 / TIMES as f64);
        println!("{what}: {each:.2?}, slow: {slow}");
        let held = asked.iter().zip(most).skip(usize::from(slow));
        if held
            .into_iter()
            .any(|(total, most)| *total > most * TIMES + more)
        {
            self.many.push(format!("{what}: {each:.2?}"));
        }
    }

    fn end(self) {
        let many = self.many;
        assert!(many.is_empty(), "more requests than promised: {many:#?}");
    }
}

fn create(path: &Path, bytes: &[u8]) {
    let mut file = File::create_new(path).expect("created");
    file.write_all(bytes).expect("written");
}

fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut file = File::open(path).expect("opened");
    file.read_to_end(&mut bytes).expect("read");
    bytes
}

/// A new directory, and the paths of numbered names in it.
fn directory(node: &Node) -> impl Fn(&str, usize) -> PathBuf + use<> {
    let directory = node.path("d");
    fs::create_dir(&directory).expect("made");
    move |name, number| directory.join(format!("{name}{number}"))
}

const fn most(fuse: usize, meta: usize, chunkd: usize) -> Most {
    Most { fuse, meta, chunkd }
}

#[test]
fn of_names_and_attributes() {
    let node = Node::start();
    names_and_attributes(&node, Counting::of(&node));
}

#[test]
fn of_names_and_attributes_on_another_machine() {
    let (cluster, member) = joined();
    names_and_attributes(&member, Counting::of_member(&member, &cluster));
}

/// A node, and a member with a mount, which ends first.
fn joined() -> (Cluster, Node) {
    let cluster = Cluster::start();
    let data = cluster.joined("desk", &["--no-squash-root"]);
    let member = cluster.up(data);
    (cluster, member)
}

fn names_and_attributes(node: &Node, mut counting: Counting) {
    let at = directory(node);
    counting.check("create, write 4 KiB, close", most(7, 2, 0), |n| {
        create(&at("f", n), &PAGE);
    });
    counting.check("stat of what was just written", most(1, 0, 0), |n| {
        fs::metadata(at("f", n)).expect("there");
    });
    counting.check("stat, warm", most(0, 0, 0), |n| {
        fs::metadata(at("f", n)).expect("there");
    });
    counting.check("stat of a missing name", most(1, 0, 0), |n| {
        fs::metadata(at("missing", n)).expect_err("not there");
    });
    counting.check("open, read 4 KiB, close, warm", most(3, 0, 0), |n| {
        assert_eq!(read(&at("f", n)), PAGE);
    });
    counting.check("chmod", most(1, 1, 0), |n| {
        fs::set_permissions(at("f", n), fs::Permissions::from_mode(0o600)).expect("changed");
    });
    counting.check("rename", most(3, 1, 0), |n| {
        fs::rename(at("f", n), at("g", n)).expect("renamed");
    });
    counting.check("link", most(3, 1, 0), |n| {
        fs::hard_link(at("g", n), at("l", n)).expect("linked");
    });
    counting.check("unlink", most(2, 1, 0), |n| {
        fs::remove_file(at("l", n)).expect("removed");
    });
    counting.check("mkdir", most(3, 1, 0), |n| {
        fs::create_dir(at("dir", n)).expect("made");
    });
    counting.check("rmdir", most(2, 1, 0), |n| {
        fs::remove_dir(at("dir", n)).expect("removed");
    });
    counting.check("symlink", most(3, 1, 0), |n| {
        symlink("g0", at("s", n)).expect("made");
    });
    counting.check("readlink", most(1, 0, 0), |n| {
        fs::read_link(at("s", n)).expect("read");
    });
    counting.end();
}

#[test]
fn of_a_mount_that_knows_nothing() {
    let mut node = Node::start();
    let at = directory(&node);
    (0..TIMES).for_each(|n| create(&at("f", n), &PAGE));
    node.restart();
    let mut counting = Counting::of(&node);
    counting.check("stat, cold", most(1, 1, 0), |n| {
        fs::metadata(at("f", n)).expect("there");
    });
    counting.check("open, read 4 KiB, close, cold", most(4, 1, 0), |n| {
        assert_eq!(read(&at("f", n)), PAGE);
    });
    counting.check(
        "a listing with attributes, for each name",
        most(0, 0, 0),
        |n| {
            // All of them once.
            if n == 0 {
                let entries = fs::read_dir(node.path("d")).expect("a listing").flatten();
                let sizes = entries.map(|entry| entry.metadata().expect("there").len());
                assert_eq!(sizes.count(), TIMES);
            }
        },
    );
    counting.end();
}

#[test]
fn of_content() {
    let node = Node::start();
    content(&node, Counting::of);
}

#[test]
fn of_content_on_another_machine() {
    let (cluster, member) = joined();
    content(&member, |member| Counting::of_member(member, &cluster));
    let piece = Random::new().bytes(1 << 20);
    create(&cluster.node().path("piece"), &piece);
    let mut counting = Counting::of_member(&member, &cluster);
    // The first fetches it, and all others have it.
    counting.check("open, read 1 MiB, close, kept", most(5, 0, 0), |_| {
        assert!(read(&member.path("piece")) == piece);
    });
    counting.end();
}

fn content(node: &Node, counting: impl FnOnce(&Node) -> Counting) {
    let mut random = Random::new();
    let large = random.bytes(1 << 20);
    let at = directory(node);
    create(&at("f", 0), &PAGE);
    let options = OpenOptions::new().read(true).append(true).open(at("f", 0));
    let file = options.expect("opened");
    let database = File::create(at("database", 0)).expect("created");
    let mut counting = counting(node);
    counting.check("append 1 KiB, fsync", most(2, 1, 0), |_| {
        (&file).write_all(&PAGE[..1024]).expect("written");
        file.sync_data().expect("synced");
    });
    counting.check("write 4 KiB, fsync", most(2, 1, 0), |n| {
        database
            .write_all_at(&PAGE, 4096 * n as u64)
            .expect("written");
        database.sync_data().expect("synced");
    });
    counting.check("write 4 KiB", most(1, 0, 0), |n| {
        database
            .write_all_at(&PAGE, 4096 * n as u64)
            .expect("written");
    });
    counting.check("fsync of nothing new", most(1, 0, 0), |_| {
        file.sync_data().expect("synced");
    });
    counting.check("lock, unlock", most(2, 2, 0), |_| {
        file.lock().expect("locked");
        file.unlock().expect("unlocked");
    });
    counting.check("create, write 1 MiB, close", most(7, 2, 2), |n| {
        let mut bytes = large.clone();
        bytes[0] = n as u8;
        create(&at("large", n), &bytes);
    });
    counting.end();
}
