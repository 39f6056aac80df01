//! How often an operation goes from program to kernel to wolfdisk-fuse, and from there to wolfdisk-meta and
//! wolfdisk-chunkd: what the time of work with small files is made of. Counted and not timed, so that a busy machine does not
//! matter; the table "Round trips" of ARCHITECTURE.md says why it is so.
//!
//! Two requests are the kernel's own and free of the daemons: after each change in a directory it asks for the
//! directory's attributes, and it looks a new name up before it makes it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;

use wolfdisk_tests::{Daemon, Node, Random, Trace, count};

/// How often each operation is done while it is counted. Half as many requests may come on top of what is
/// promised: heartbeats, and names whose lifetime at the kernel ends meanwhile.
const TIMES: usize = 60;

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

/// Does `operation` with the numbers 0 to [`TIMES`] and holds what it asks for against `most`.
fn counted(
    node: &Node,
    what: &str,
    most: Most,
    mut operation: impl FnMut(usize),
) -> Option<String> {
    let trace = |daemon, calls| Trace::start(node.pid(daemon), calls, node.scratch());
    let fuse = trace(Daemon::Fuse, "writev");
    let meta = trace(Daemon::Meta, "sendmsg");
    let chunkd = trace(Daemon::Chunkd, "sendmsg");
    (0..TIMES).for_each(&mut operation);
    let asked = [(fuse, "writev"), (meta, "sendmsg"), (chunkd, "sendmsg")]
        .map(|(trace, call)| count(&trace.stop(), call));
    let each = asked.map(|total| total as f64 / TIMES as f64);
    println!("{what}: {each:.2?}");
    let within = asked
        .iter()
        .zip([most.fuse, most.meta, most.chunkd])
        .all(|(total, most)| *total <= most * TIMES + TIMES / 2);
    (!within).then(|| format!("{what}: {each:.2?}"))
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

const fn most(fuse: usize, meta: usize, chunkd: usize) -> Most {
    Most { fuse, meta, chunkd }
}

#[test]
fn of_names_and_attributes() {
    let node = Node::start();
    let root = node.path("d");
    fs::create_dir(&root).expect("made");
    let at = |name: &str, number: usize| root.join(format!("{name}{number}"));
    let page = [7; 4096];
    let mut many = Vec::new();
    let mut check = |what, most, operation: &mut dyn FnMut(usize)| {
        many.extend(counted(&node, what, most, operation));
    };
    check("create, write 4 KiB, close", most(7, 2, 0), &mut |n| {
        create(&at("f", n), &page);
    });
    check("stat of what was just written", most(1, 0, 0), &mut |n| {
        fs::metadata(at("f", n)).expect("there");
    });
    check("stat, warm", most(0, 0, 0), &mut |n| {
        fs::metadata(at("f", n)).expect("there");
    });
    check("stat of a missing name", most(1, 0, 0), &mut |n| {
        fs::metadata(at("missing", n)).expect_err("not there");
    });
    check("open, read 4 KiB, close, warm", most(3, 0, 0), &mut |n| {
        assert_eq!(read(&at("f", n)), page);
    });
    check("chmod", most(1, 1, 0), &mut |n| {
        fs::set_permissions(at("f", n), fs::Permissions::from_mode(0o600)).expect("changed");
    });
    check("rename", most(3, 1, 0), &mut |n| {
        fs::rename(at("f", n), at("g", n)).expect("renamed");
    });
    check("link", most(3, 1, 0), &mut |n| {
        fs::hard_link(at("g", n), at("l", n)).expect("linked");
    });
    check("unlink", most(2, 1, 0), &mut |n| {
        fs::remove_file(at("l", n)).expect("removed");
    });
    check("mkdir", most(3, 1, 0), &mut |n| {
        fs::create_dir(at("dir", n)).expect("made");
    });
    check("rmdir", most(2, 1, 0), &mut |n| {
        fs::remove_dir(at("dir", n)).expect("removed");
    });
    check("symlink", most(3, 1, 0), &mut |n| {
        symlink("g0", at("s", n)).expect("made");
    });
    check("readlink", most(1, 0, 0), &mut |n| {
        fs::read_link(at("s", n)).expect("read");
    });
    assert!(many.is_empty(), "more requests than promised: {many:#?}");
}

#[test]
fn of_a_mount_that_knows_nothing() {
    let mut node = Node::start();
    let root = node.path("d");
    fs::create_dir(&root).expect("made");
    let at = |name: &str, number: usize| root.join(format!("{name}{number}"));
    let page = [7; 4096];
    (0..TIMES).for_each(|n| create(&at("f", n), &page));
    node.restart();
    let mut many = Vec::new();
    let mut check = |what, most, operation: &mut dyn FnMut(usize)| {
        many.extend(counted(&node, what, most, operation));
    };
    check("stat, cold", most(1, 1, 0), &mut |n| {
        fs::metadata(at("f", n)).expect("there");
    });
    check("open, read 4 KiB, close, cold", most(4, 1, 0), &mut |n| {
        assert_eq!(read(&at("f", n)), page);
    });
    check(
        "a listing with attributes, for each name",
        most(0, 0, 0),
        &mut |n| {
            // All of them once.
            if n == 0 {
                let entries = fs::read_dir(&root).expect("a listing").flatten();
                let sizes = entries.map(|entry| entry.metadata().expect("there").len());
                assert_eq!(sizes.count(), TIMES);
            }
        },
    );
    assert!(many.is_empty(), "more requests than promised: {many:#?}");
}

#[test]
fn of_content() {
    let node = Node::start();
    let mut random = Random::new();
    let large = random.bytes(1 << 20);
    let root = node.path("d");
    fs::create_dir(&root).expect("made");
    let at = |name: &str, number: usize| root.join(format!("{name}{number}"));
    let page = [7; 4096];
    create(&at("f", 0), &page);
    let options = OpenOptions::new().read(true).append(true).open(at("f", 0));
    let file = options.expect("opened");
    let database = File::create(at("database", 0)).expect("created");
    let mut many = Vec::new();
    let mut check = |what, most, operation: &mut dyn FnMut(usize)| {
        many.extend(counted(&node, what, most, operation));
    };
    check("append 1 KiB, fsync", most(2, 1, 0), &mut |_| {
        (&file).write_all(&page[..1024]).expect("written");
        file.sync_data().expect("synced");
    });
    check("write 4 KiB, fsync", most(2, 1, 0), &mut |n| {
        database
            .write_all_at(&page, 4096 * n as u64)
            .expect("written");
        database.sync_data().expect("synced");
    });
    check("write 4 KiB", most(1, 0, 0), &mut |n| {
        database
            .write_all_at(&page, 4096 * n as u64)
            .expect("written");
    });
    check("fsync of nothing new", most(1, 0, 0), &mut |_| {
        file.sync_data().expect("synced");
    });
    check("lock, unlock", most(2, 2, 0), &mut |_| {
        file.lock().expect("locked");
        file.unlock().expect("unlocked");
    });
    check("create, write 1 MiB, close", most(7, 2, 2), &mut |n| {
        let mut bytes = large.clone();
        bytes[0] = n as u8;
        create(&at("large", n), &bytes);
    });
    assert!(many.is_empty(), "more requests than promised: {many:#?}");
}
