//! fio writes blocks that carry their own checksums and places, in every way in which programs write, and
//! verifies them: while it writes, when all is written, and again through another mount.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use wolfdisk_tests::{Node, is_long_run, run_within};

/// For one job, which takes a few seconds.
const DEADLINE: Duration = Duration::from_secs(300);

/// How the bytes reach the file: name, engine, and whether they bypass the page cache.
const WAYS: [(&str, &str, bool); 5] = [
    ("buffered", "psync", false),
    ("direct", "psync", true),
    ("direct, asynchronous", "libaio", true),
    ("direct, io_uring", "io_uring", true),
    ("mapped", "mmap", false),
];

/// In which order: in a row, at random, and mixed with reads.
const ORDERS: [&str; 3] = ["write", "randwrite", "randrw"];

fn fio(notes: &Path, directory: &Path, way: (&str, &str, bool), order: &str, more: &[&str]) {
    let size_mib = if is_long_run() { 512 } else { 8 };
    let outcome = run_within(
        DEADLINE,
        Command::new("fio")
            .arg("--name=verified")
            .arg(format!("--directory={}", directory.display()))
            .arg(format!("--ioengine={}", way.1))
            .arg(format!("--direct={}", u8::from(way.2)))
            .arg(format!("--rw={order}"))
            .arg(format!("--size={size_mib}m"))
            .args(["--bsrange=512-128k", "--blockalign=512", "--iodepth=16"])
            .args(["--numjobs=2", "--group_reporting", "--fallocate=none"])
            .args(["--verify=crc32c", "--verify_fatal=1", "--do_verify=1"])
            .args(more)
            // It leaves notes of how far it verified.
            .current_dir(notes),
    );
    assert_eq!(outcome.code, Some(0), "{way:?}, {order}: {outcome:#?}");
}

#[test]
fn what_was_written_verifies_on_both_mounts() {
    let node = Node::start();
    let second = node.second_mount();
    let notes = &node.scratch().directory("notes");
    for way in WAYS {
        for order in ORDERS {
            let name = format!("{}-{order}-{}", way.1, way.2);
            let directory = node.path(&name);
            std::fs::create_dir(&directory).expect("made");
            // Reads that come between are verified too.
            fio(notes, &directory, way, order, &["--verify_backlog=200"]);
            // Where reads are mixed in, a second run would draw other places than the first.
            if order != "randrw" {
                fio(notes, &second.path(&name), way, order, &["--verify_only=1"]);
            }
        }
    }
}
