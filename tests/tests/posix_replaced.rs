//! A file that is replaced by rename, again and again: its name leads to a file at every moment, the old or the new,
//! whole, for who opens it, looks at it or asks for attributes, on this mount and on another.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use wolfdisk_tests::{Node, is_long_run, wait_until};

const READERS: usize = 3;
/// Bytes of the file; all are the same.
const FILE_BYTES: usize = 5000;

fn replacements() -> u8 {
    if is_long_run() { 250 } else { 100 }
}

/// What a reader sees; the content never goes back.
fn look(path: &Path, last: u8) -> u8 {
    let content = fs::read(path).expect("the name leads to a file");
    assert_eq!(content.len(), FILE_BYTES, "it is whole");
    let number = content[0];
    assert!(content.iter().all(|byte| *byte == number), "it is one file");
    assert!(number >= last, "{number} after {last}");
    let told = fs::metadata(path).expect("the name leads to a file");
    assert_eq!(told.size(), FILE_BYTES as u64);
    number
}

fn replaced(writer: &Path, reader: &Path) {
    let file = |number: u8| {
        fs::write(writer.join("new"), [number; FILE_BYTES]).expect("written");
        fs::rename(writer.join("new"), writer.join("file")).expect("renamed");
    };
    file(0);
    let (over, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let mut last = 0;
                while !over.load(Ordering::SeqCst) {
                    last = look(&reader.join("file"), last);
                    looks.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for number in 1..=replacements() {
            // Each meets readers that are under way.
            let before = looks.load(Ordering::SeqCst);
            file(number);
            wait_until("somebody reads", || looks.load(Ordering::SeqCst) > before);
        }
        over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn for_readers_on_the_same_mount() {
    let node = Node::start();
    replaced(node.mount(), node.mount());
}

#[test]
fn for_readers_on_another_mount() {
    let node = Node::start();
    let second = node.second_mount();
    replaced(node.mount(), second.mount());
}
