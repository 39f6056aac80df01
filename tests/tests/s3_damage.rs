//! S3 clients get no damaged byte: an answer that would have one does not come to its end.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use wolfdisk_tests::{Node, Random, damage_chunk, node_with_s3, write_durably};

const BLOCK: usize = 4096;
/// More than is read at once, and no whole number of blocks.
const FILE_BYTES: usize = (5 << 20) + 1234;

/// What a client has of the object after asking for it, and whether it takes that for the whole.
fn got(node: &Node) -> (Vec<u8>, bool) {
    let s3 = node.s3();
    let out: PathBuf = node.scratch().path().join("got");
    fs::write(&out, b"").expect("emptied");
    let status = Command::new("curl")
        .args(["--silent", "--fail", "--max-time", "60"])
        .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user"])
        .arg(format!("{}:{}", s3.access_key, s3.secret_key))
        .args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
        .arg("--output")
        .arg(&out)
        .arg(format!("{}/bucket/file", s3.url))
        .status()
        .expect("curl");
    (fs::read(&out).expect("there"), status.success())
}

#[test]
fn an_answer_with_a_damaged_byte_does_not_come_to_its_end() {
    let mut node = node_with_s3();
    fs::create_dir(node.path("bucket")).expect("made");
    let content = Random::new().bytes(FILE_BYTES);
    write_durably(&node.path("bucket/file"), &content);
    node.restart();
    assert!(got(&node) == (content.clone(), true));
    for block in [0, 300, FILE_BYTES / BLOCK] {
        let end = FILE_BYTES.min((block + 1) * BLOCK);
        damage_chunk(&node, &content[block * BLOCK..end]);
        node.restart();
        let (bytes, whole) = got(&node);
        assert!(!whole, "block {block} was served");
        assert!(bytes.len() <= block * BLOCK, "more came than is right");
        assert!(content.starts_with(&bytes), "wrong bytes came");
        // The same content once more is good again.
        write_durably(&node.path("bucket/file"), &content);
        node.restart();
        assert!(got(&node) == (content.clone(), true), "block {block}");
    }
}
