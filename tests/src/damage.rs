//! Harm to what lies in the segments of a node.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::Node;

/// Where a block of content lies in the segments of a node.
pub fn place_in_segments(node: &Node, block: &[u8]) -> (PathBuf, u64) {
    let folder = node.data().join("chunks");
    for entry in fs::read_dir(&folder).expect("the chunks") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "seg") {
            let bytes = fs::read(&path).expect("a segment");
            let found = bytes
                .windows(block.len())
                .position(|window| window == block);
            if let Some(at) = found {
                return (path, at as u64);
            }
        }
    }
    panic!("the content is in no segment");
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("a segment");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 16], at).expect("written");
    file.sync_all().expect("synced");
}

/// Changes a bit of these bytes, which must lie in a segment.
pub fn damage_chunk(node: &Node, bytes: &[u8]) {
    let (path, at) = place_in_segments(node, bytes);
    flip(&path, at + 99);
}

/// Writes a file and waits until it is on the disk.
pub fn write_durably(path: &Path, content: &[u8]) {
    fs::write(path, content).expect("written");
    let file = fs::File::open(path).expect("opened");
    file.sync_all().expect("synced");
}
