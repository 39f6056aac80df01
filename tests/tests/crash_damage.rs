//! Damaged bytes of chunks, at rest and under a running node: exactly they are refused, also after a
//! restart; they are found without anybody reading them; writing the same content once more heals them. So it is
//! with sectors of the disk that cannot be read.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use wolfdisk_tests::{
    Daemon, Node, Plan, Random, SmallDisk, damage_chunk, place_in_segments, program, python,
    wait_until, write_durably,
};

const BLOCK: usize = 4096;
const FILE_BYTES: usize = 1 << 20;

/// Damages these blocks of a file's content.
fn damage(node: &Node, content: &[u8], blocks: &[usize]) {
    for block in blocks {
        damage_chunk(node, &content[block * BLOCK..(block + 1) * BLOCK]);
    }
}

/// A node with one file, whose content nobody has in memory.
fn with_file(plan: Plan) -> (Node, Vec<u8>) {
    let mut node = Node::start_as(plan);
    let content = Random::new().bytes(FILE_BYTES);
    write_durably(&node.path("file"), &content);
    node.restart();
    (node, content)
}

/// Reads a file block by block: which are refused, all with `EIO`. The others are right.
fn refused(path: &Path, content: &[u8]) -> Vec<usize> {
    let file = fs::File::open(path).expect("opened");
    let blocks = content.chunks(BLOCK).enumerate();
    let mut refused = Vec::new();
    for (number, expected) in blocks {
        let mut found = vec![0; expected.len()];
        match file.read_exact_at(&mut found, (number * BLOCK) as u64) {
            Ok(()) => assert!(found == expected, "block {number} has wrong bytes"),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EIO), "block {number}");
                refused.push(number);
            }
        }
    }
    refused
}

fn status(node: &Node) -> (i32, serde_json::Value) {
    let output = std::process::Command::new(program("wolfdiskctl"))
        .args(["status", "--json", "--data-dir"])
        .arg(node.data())
        .output()
        .expect("wolfdiskctl");
    let text = String::from_utf8(output.stdout).expect("text");
    let value = serde_json::from_str(&text).expect("JSON");
    (output.status.code().unwrap_or(-1), value)
}

#[test]
fn exactly_the_damaged_blocks_are_refused_and_writing_the_content_again_heals() {
    let (mut node, content) = with_file(Plan::default());
    let path = node.path("file");
    let bad = [3, 100, 101, 255];
    damage(&node, &content, &bad);
    assert_eq!(refused(&path, &content), bad);
    wait_until("the damage is in the status", || {
        let (code, status) = status(&node);
        code == 4 && status["chunks"]["damaged"] == 1
    });
    node.restart();
    // wolfdisk-meta asks wolfdisk-chunkd, and passes on nothing before it has heard the answer.
    wait_until("the damage is in the status without a read", || {
        status(&node).1["chunks"]["damaged"] == 1
    });
    assert_eq!(refused(&path, &content), bad);

    write_durably(&node.path("again"), &content);
    node.restart();
    assert_eq!(refused(&path, &content), [0; 0]);
    assert_eq!(refused(&node.path("again"), &content), [0; 0]);
    wait_until("all is well", || status(&node).0 == 0);
}

#[test]
fn scrubbing_finds_what_nobody_reads() {
    let (mut node, content) = with_file(Plan::default());
    node.stop();
    damage(&node, &content, &[77]);
    let config = node.scratch().path().join("config.toml");
    fs::write(
        &config,
        "[scrub]\ninterval_hours = 0\nbytes_per_second = 1073741824\n",
    )
    .expect("written");
    node.plan().arguments = vec!["--config".into(), config.into()];
    node.up();
    wait_until("scrubbing finds the damage", || {
        status(&node).1["chunks"]["damaged"] == 1
    });
    wait_until("a pass ends", || {
        let scrub = &status(&node).1["scrub"];
        scrub["last"]["damaged"] == 1 && scrub["last"]["bytes"].as_u64() >= Some(FILE_BYTES as u64)
    });
    assert_eq!(refused(&node.path("file"), &content), [77]);
}

/// Waits until the status says this of the node.
fn wait_for_problem(node: &Node, text: &str) {
    wait_until(text, || {
        let (code, status) = status(node);
        code == 4 && status["cluster"]["reasons"].to_string().contains(text)
    });
}

/// What a process has open under this name, which may be gone.
fn opened(pid: u32, path: &Path) -> PathBuf {
    let gone = format!("{} (deleted)", path.display());
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
    let mut all = entries.map(|entry| entry.expect("a descriptor").path());
    let is_it = |link: &PathBuf| fs::read_link(link).is_ok_and(|name| name == Path::new(&gone));
    all.find(is_it).expect("it is open")
}

#[test]
fn a_segment_file_that_is_gone_is_in_the_status_and_what_is_to_be_done_helps() {
    let (mut node, content) = with_file(Plan::default());
    let path = node.path("file");
    let (segment, _) = place_in_segments(&node, &content[..BLOCK]);
    fs::remove_file(&segment).expect("removed");
    wait_for_problem(&node, "segment files are gone from");
    fs::copy(opened(node.pid(Daemon::Chunkd), &segment), &segment).expect("copied back");
    wait_until("all is well", || status(&node).0 == 0);
    node.restart();
    assert_eq!(refused(&path, &content), [0; 0]);

    node.stop();
    let elsewhere = node.scratch().path().join("segment");
    fs::rename(&segment, &elsewhere).expect("moved away");
    node.up();
    wait_for_problem(&node, "segment files that the catalog names are not in");
    assert_eq!(refused(&path, &content).len(), FILE_BYTES / BLOCK);
    node.stop();
    fs::rename(&elsewhere, &segment).expect("moved back");
    fs::remove_file(node.data().join("chunks/catalog")).expect("removed");
    node.up();
    wait_until("all is well", || status(&node).0 == 0);
    assert_eq!(refused(&path, &content), [0; 0]);
    node.must_be_whole();
}

/// Reads a block through a mapping: what becomes of the process.
const READ_MAPPED: &str = "
import mmap, os, signal, sys
path, at = sys.argv[1], int(sys.argv[2])
if (child := os.fork()) == 0:
    with open(path, 'rb') as file: mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    mapped[at]
    os._exit(0)
status = os.waitpid(child, 0)[1]
print('SIGBUS' if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGBUS else status)
";

#[test]
fn sectors_that_cannot_be_read_cost_what_lies_on_them() {
    const FIRST_BAD: usize = 100;
    let disk = SmallDisk::new(512 << 20);
    let (mut node, content) = with_file(Plan {
        data: Some(disk.data()),
        ..Plan::default()
    });
    let path = node.path("file");
    let (segment, at) =
        place_in_segments(&node, &content[FIRST_BAD * BLOCK..(FIRST_BAD + 1) * BLOCK]);
    // The sectors hold whole blocks of the disk: this one ends on the first that is lost, or begins there.
    disk.lose_from(disk.place_of(&segment, at.next_multiple_of(BLOCK as u64)));
    forget(&segment);
    let bad: Vec<usize> = (FIRST_BAD..FILE_BYTES / BLOCK).collect();
    assert_eq!(refused(&path, &content), bad);
    let mapped = |block: usize| {
        let at = (block * BLOCK).to_string();
        python(Path::new("/"), READ_MAPPED, &[path.as_ref(), at.as_ref()])
    };
    assert_eq!(
        (mapped(0).trim(), mapped(FIRST_BAD).trim()),
        ("0", "SIGBUS")
    );
    wait_until("the damage is in the status", || {
        let (code, status) = status(&node);
        code == 4 && status["chunks"]["damaged"] == 1
    });

    disk.give_back();
    forget(&segment);
    write_durably(&node.path("again"), &content);
    node.restart();
    assert_eq!(refused(&path, &content), [0; 0]);
    assert_eq!(refused(&node.path("again"), &content), [0; 0]);
    wait_until("all is well", || status(&node).0 == 0);
}

/// Takes a file's pages out of memory, so that the next read asks the disk.
fn forget(path: &Path) {
    let file = fs::File::open(path).expect("opened");
    file.sync_all().expect("synced");
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("advised");
}
