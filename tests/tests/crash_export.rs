//! The index is exported while the volume is written to, its disk is lost, and it is made again from the file: all that was
//! closed before the export is there byte for byte. An import that is killed changes nothing, or has done all.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use wolfdisk_tests::{
    Effect, Fault, Node, Outcome, Random, is_long_run, node_with_s3, program, run, wait_until,
};

/// Files that the writer has closed, with their content.
type Files = BTreeMap<PathBuf, Vec<u8>>;

const WRITES: &str = "pwrite64,pwritev,pwritev2,ftruncate,fallocate,write";
const SYNCS: &str = "fdatasync,fsync";
const NAMES: &str = "rename,renameat,renameat2,unlink,unlinkat,link,linkat,mkdir,mkdirat,rmdir";

fn index(node: &Node, arguments: &[&str], file: &Path) -> Outcome {
    let mut command = Command::new(program("wolfdiskctl"));
    command.arg("index").args(arguments).arg(file);
    run(command.arg("--data-dir").arg(node.data()))
}

fn succeeds(outcome: &Outcome) {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

fn refused(outcome: &Outcome, code: i32, why: &str) {
    assert_eq!(outcome.code, Some(code), "{outcome:?}");
    assert!(outcome.stderr.contains(why), "{why}: {outcome:?}");
}

fn meta(node: &Node) -> PathBuf {
    node.data().join("meta")
}

/// Small ones that ride in the log, and larger ones in chunks.
fn write_one(directory: &Path, number: u64, random: &mut Random) -> (PathBuf, Vec<u8>) {
    let length = [200, 5000, 60_000, 300_000][number as usize % 4] + random.below(100);
    let content = random.bytes(usize::try_from(length).expect("small"));
    let path = directory.join(format!("file{number}"));
    fs::write(&path, &content).expect("written");
    (path, content)
}

fn compare(files: &Files) {
    for (path, content) in files {
        let found = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(found == *content, "{} is another", path.display());
    }
}

/// Ends the writer, also when the test fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Writes until the work is over; gives what was closed when it began, all that was written, and what the work gave.
fn while_written<T>(node: &Node, work: impl FnOnce() -> T) -> (Files, Files, T) {
    let directory = node.path("written");
    fs::create_dir(&directory).expect("made");
    let files = Mutex::new(Files::new());
    let ended = AtomicBool::new(false);
    let (before, given) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::new();
            for number in 0.. {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (path, content) = write_one(&directory, number, &mut random);
                files.lock().expect("no panic").insert(path, content);
            }
        });
        let _ends = Ends(&ended);
        wait_until("the writer writes", || {
            files.lock().expect("no panic").len() >= 40
        });
        let before = files.lock().expect("no panic").clone();
        (before, work())
    });
    (before, files.into_inner().expect("no panic"), given)
}

#[test]
fn what_was_closed_before_an_export_is_there_after_its_import() {
    let mut node = Node::start();
    let file = node.scratch().path().join("index.export");
    let (before, all, exported) = while_written(&node, || index(&node, &["export"], &file));
    succeeds(&exported);
    assert_eq!(fs::metadata(&file).expect("a file").mode() & 0o777, 0o600);
    refused(&index(&node, &["export"], &file), 1, "--force");
    succeeds(&index(
        &node,
        &["export", "--force"],
        &node.scratch().path().join("again"),
    ));
    refused(&index(&node, &["import"], &file), 1, "stop it");
    fs::write(node.path("later"), "after the export").expect("written");
    fs::remove_file(before.keys().next().expect("a file")).expect("removed");
    node.stop();
    // The disk with the index is lost. A start in this state would give all chunks back.
    fs::rename(meta(&node), node.scratch().path().join("lost")).expect("moved");
    let checked = node.control(&["check", "--offline"]);
    refused_check(&checked, "index import");
    let imported = index(&node, &["import"], &file);
    succeeds(&imported);
    let checked = node.control(&["check", "--offline"]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    node.up();
    compare(&before);
    assert!(!node.path("later").exists(), "it was made after the export");
    let written = fs::read_dir(node.path("written")).expect("a directory");
    for entry in written {
        let path = entry.expect("an entry").path();
        let content = fs::read(&path).expect("readable");
        let whole = all.get(&path).is_some_and(|known| *known == content);
        // One that was being written when the state was taken may be there with a part of its content.
        let begun = all
            .get(&path)
            .is_some_and(|known| known.starts_with(&content));
        assert!(whole || begun, "{}", path.display());
    }
    fs::write(node.path("new"), "after the import").expect("written");
    node.restart();
    compare(&before);
    node.must_be_whole();
}

fn refused_check(checked: &Outcome, why: &str) {
    assert_eq!(checked.code, Some(5), "{checked:?}");
    assert!(checked.stdout.contains(why), "{checked:?}");
}

#[test]
fn chunks_that_are_missing_are_named_with_their_files_and_others_go_on() {
    let mut node = Node::start();
    let mut random = Random::new();
    let (kept, gone) = (random.bytes(300_000), random.bytes(300_000));
    fs::write(node.path("kept"), &kept).expect("written");
    node.stop();
    // The copy of the chunks is older than that of the index.
    let (chunks, copy) = (
        node.data().join("chunks"),
        node.scratch().path().join("copy"),
    );
    let copied = |from: &Path, to: &Path| {
        succeeds(&run(Command::new("cp").arg("-r").arg(from).arg(to)));
    };
    copied(&chunks, &copy);
    node.up();
    fs::write(node.path("gone"), &gone).expect("written");
    node.restart();
    let file = node.scratch().path().join("index.export");
    succeeds(&index(&node, &["export"], &file));
    fs::write(node.path("later"), "later").expect("written");
    node.stop();
    fs::remove_dir_all(&chunks).expect("removed");
    copied(&copy, &chunks);
    refused(&index(&node, &["import"], &file), 1, "--replace");
    let imported = index(&node, &["import", "--replace"], &file);
    succeeds(&imported);
    assert!(imported.stdout.contains("meta.replaced-"), "{imported:?}");
    let checked = node.control(&["check", "--offline", "--json"]);
    assert_eq!(checked.code, Some(5), "{checked:?}");
    let named = |name| checked.stdout.contains(name);
    assert!(
        named("/gone") && !named("/kept") && !named("/later"),
        "{checked:?}"
    );
    node.up();
    assert!(fs::read(node.path("kept")).expect("readable") == kept);
    let failed = fs::read(node.path("gone")).expect_err("its chunk is missing");
    assert_eq!(failed.raw_os_error(), Some(libc::EIO));
    // The same content again, from a backup of files, heals it.
    fs::write(node.path("again"), &gone).expect("written");
    assert!(fs::read(node.path("gone")).expect("readable") == gone);
    node.must_be_whole();
}

#[test]
fn a_node_that_is_killed_can_be_exported_as_it_lies_there() {
    let mut node = Node::start();
    let mut random = Random::new();
    let mut files: Files = (0..12)
        .map(|number| write_one(node.mount(), number, &mut random))
        .collect();
    let file = node.scratch().path().join("index.export");
    refused(
        &index(&node, &["export", "--offline"], &file),
        1,
        "without --offline",
    );
    assert!(!file.exists());
    // What was closed last is in the log at best.
    fs::write(node.path("last"), "last").expect("written");
    files.insert(node.path("last"), b"last".to_vec());
    fs::File::open(node.mount())
        .expect("opened")
        .sync_all()
        .expect("synced");
    node.crash();
    refused(&index(&node, &["export"], &file), 3, "--offline");
    succeeds(&index(&node, &["export", "--offline"], &file));
    let names = fs::read_dir(node.scratch().path()).expect("a directory");
    let left = names.filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        name.to_string_lossy().ends_with(".new")
    });
    assert_eq!(left.count(), 0, "nothing else is left");
    fs::remove_dir_all(meta(&node)).expect("removed");
    succeeds(&index(&node, &["import"], &file));
    node.up();
    compare(&files);
    node.must_be_whole();
}

#[test]
fn access_keys_work_after_an_import() {
    let mut node = node_with_s3();
    let made = node.control(&["s3", "key", "create", "--json"]);
    succeeds(&made);
    let key: serde_json::Value = serde_json::from_str(&made.stdout).expect("JSON");
    let text = |name: &str| key[name].as_str().expect("text").to_owned();
    let (access, secret) = (text("access_key"), text("secret_key"));
    let curl = |node: &Node, arguments: &[&str]| {
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--fail", "--max-time", "60"])
            .args(["--aws-sigv4", "aws:amz:us-east-1:s3", "--user"])
            .arg(format!("{access}:{secret}"))
            .args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"])
            .args(arguments)
            .arg(format!("{}/bucket/key", node.s3().url));
        let outcome = run(&mut command);
        succeeds(&outcome);
        outcome.stdout
    };
    fs::create_dir(node.path("bucket")).expect("made");
    curl(&node, &["-X", "PUT", "--data-binary", "content"]);
    let file = node.scratch().path().join("index.export");
    succeeds(&index(&node, &["export"], &file));
    let bytes = fs::read(&file).expect("a file");
    let secrets = [&secret, &node.s3().secret_key].map(|secret| secret.as_bytes().to_vec());
    for secret in secrets {
        let found = bytes.windows(secret.len()).any(|part| part == secret);
        assert!(!found, "a secret is in the file");
    }
    node.stop();
    fs::remove_dir_all(meta(&node)).expect("removed");
    succeeds(&index(&node, &["import"], &file));
    node.up();
    assert_eq!(curl(&node, &[]), "content");
}

/// Kills at one call after the other, until there is none left; in the short form at every so many.
fn killed_at(calls: &'static str) {
    let mut node = Node::start();
    let mut random = Random::new();
    let files: Files = (0..8)
        .map(|number| write_one(node.mount(), number, &mut random))
        .collect();
    let file = node.scratch().path().join("index.export");
    succeeds(&index(&node, &["export"], &file));
    fs::write(node.path("later"), "later").expect("written");
    node.stop();
    let recorded = node.scratch().path().join("recorded");
    let (mut at, mut replaced) = (1, 0);
    loop {
        let fault = Fault {
            calls,
            effect: Effect::Kill,
            at,
        };
        let prefix = fault.prefix(&recorded);
        let (strace, rest) = prefix.split_first().expect("a program");
        let mut command = Command::new(strace);
        command.args(rest).arg(program("wolfdiskctl"));
        let words = ["index", "import", "--replace"].map(OsString::from);
        command
            .args(words)
            .arg(&file)
            .arg("--data-dir")
            .arg(node.data());
        let outcome = run(&mut command);
        let beyond = !Fault::has_happened(&recorded);
        assert_eq!(outcome.code == Some(0), beyond, "{at}: {outcome:?}");
        node.up();
        compare(&files);
        // It is the old index or the new one.
        replaced += u64::from(!node.path("later").exists());
        node.must_be_whole();
        node.stop();
        if beyond {
            break;
        }
        at = if is_long_run() { at + 1 } else { 4 * at };
    }
    assert!(replaced > 0, "the last one was not killed");
    // Once more, whatever is left of those that were.
    succeeds(&index(&node, &["import", "--replace"], &file));
    assert!(
        !node.data().join("meta.import").exists(),
        "what was left is gone"
    );
    node.up();
    compare(&files);
}

#[test]
fn killed_at_a_write_of_an_import() {
    killed_at(WRITES);
}

#[test]
fn killed_at_a_sync_of_an_import() {
    killed_at(SYNCS);
}

#[test]
fn killed_at_a_change_of_names_of_an_import() {
    killed_at(NAMES);
}
