//! What a mount tells of what it asked the daemons for, of what it read and wrote, and of what waits.

use std::fs::{self, File};
use std::io::Write;

use wolfdisk_tests::{Daemon, Node, Numbers, Random, Stopped, joined, wait_until, write_durably};

use crate::{chunkd, equal, grown_of, is_same, meta, mount, same};

const MIB: usize = 1 << 20;
const LARGE: usize = 8 * MIB;
const FILES: u32 = 50;
const SMALL: u32 = 1000;
const WRITERS: usize = 3;
/// Calls to wolfdisk-meta and to wolfdisk-chunkd, by what a mount and a daemon call them. Those that the mount of this
/// node alone makes.
const CALLS: [(&str, &[&str]); 2] = [
    (
        "meta",
        &[
            "lookup",
            "get_attr",
            "open",
            "map",
            "read_dir",
            "list_xattr",
            "get_xattr",
            "stat_fs",
            "get_lock",
            "mutate",
            "sync",
        ],
    ),
    ("chunk", &["put", "flush", "locate", "segment", "read"]),
];

fn event(numbers: &Numbers, name: &str) -> f64 {
    numbers.of(&format!("wolfdisk_volume_events_total{{event=\"{name}\"}}"))
}

/// Waits until a daemon has answered all calls of these mounts, of which there are no others.
fn all_are_answered(
    daemon: &str,
    operations: &[&str],
    mounts: &dyn Fn() -> Vec<Numbers>,
    told: &dyn Fn() -> Numbers,
) {
    for operation in operations {
        let name = format!("{daemon}_{operation}");
        let requests = format!("wolfdisk_{daemon}_requests_total");
        wait_until(&name, || {
            let asked = mounts().iter().map(|mount| event(mount, &name)).sum();
            let answered = told().sum_of(&requests, &format!("{{operation=\"{operation}\""));
            is_same(asked, answered)
        });
    }
}

#[test]
fn what_was_read_and_written_and_asked_for_is_told() {
    let node = Node::start();
    let port = wolfdisk_tests::free_port();
    let second = node.second_mount_with(&format!("admin=127.0.0.1:{port}"));
    let look = || Numbers::at(&format!("http://127.0.0.1:{port}"));
    wait_until("it tells", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let both = || vec![mount(&node), look()];
    let content = Random::new().bytes(LARGE);
    write_durably(&node.path("large"), &content);
    assert!(fs::read(second.path("large")).expect("read") == content);
    let large = mount(&node);
    equal(event(&large, "bytes_put"), LARGE as f64, "put");
    // Nothing is in the log that wolfdisk-meta would put itself.
    let [of_meta, of_chunkd] = CALLS;
    all_are_answered(of_chunkd.0, of_chunkd.1, &both, &|| chunkd(&node));

    fs::create_dir(node.path("files")).expect("made");
    for number in 0..FILES {
        let path = node.path(format!("files/{number}"));
        write_durably(&path, &vec![number as u8; SMALL as usize]);
    }
    let written = mount(&node);
    let small = f64::from(FILES * SMALL);
    equal(
        event(&written, "bytes_written"),
        LARGE as f64 + small,
        "written",
    );
    equal(event(&written, "bytes_put"), LARGE as f64, "put");
    equal(
        event(&written, "bytes_committed_in_log"),
        small,
        "in the log",
    );
    for number in 0..FILES {
        let read = fs::read(second.path(format!("files/{number}"))).expect("read");
        assert_eq!(read, vec![number as u8; SMALL as usize]);
    }
    equal(event(&look(), "bytes_read"), LARGE as f64 + small, "read");
    assert_eq!(
        fs::read_dir(second.path("files")).expect("listed").count(),
        FILES as usize
    );
    all_are_answered(of_meta.0, of_meta.1, &both, &|| meta(&node));

    // What is known needs no call.
    let before = mount(&node);
    for number in 0..FILES {
        fs::metadata(node.path(format!("files/{number}"))).expect("there");
    }
    let asked = "wolfdisk_volume_events_total{event=\"meta_lookup\"}";
    same(grown_of(&before, &mount(&node), asked), 0_u32, "lookups");
}

#[test]
fn writers_that_wait_are_told_and_so_is_a_lease_that_ran_out() {
    let node = Node::start();
    let before = mount(&node);
    let stopped = Stopped::stop(node.pid(Daemon::Chunkd));
    let limit = before.of("wolfdisk_volume_dirty_limit_bytes");
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let path = node.path(number.to_string());
            let all = limit as usize;
            std::thread::spawn(move || {
                let mut file = File::create(path).expect("created");
                let piece = vec![number as u8; MIB];
                for _ in 0..all / MIB / 2 {
                    file.write_all(&piece).expect("written");
                }
            })
        })
        .collect();
    wait_until("all of them wait", || {
        let now = mount(&node);
        let dirty = now.of("wolfdisk_volume_dirty_bytes");
        is_same(now.of("wolfdisk_volume_waiting_writers"), WRITERS as f64)
            && dirty <= limit
            && dirty > limit - (WRITERS * MIB) as f64
    });
    drop(stopped);
    for writer in writers {
        joined("a writer", writer);
    }
    same(
        mount(&node).of("wolfdisk_volume_waiting_writers"),
        0_u32,
        "writers that wait",
    );
    same(
        event(&mount(&node), "lease_lapses"),
        0_u32,
        "leases that ran out",
    );

    let stopped = Stopped::stop(node.pid(Daemon::Meta));
    let lapsed = "wolfdisk_volume_session{state=\"lapsed\"}";
    wait_until("the lease runs out", || {
        is_same(mount(&node).of(lapsed), 1.0)
    });
    drop(stopped);
    wait_until("it is there again", || {
        is_same(mount(&node).of(lapsed), 0.0)
    });
    same(
        event(&mount(&node), "lease_lapses"),
        1_u32,
        "leases that ran out",
    );
}
