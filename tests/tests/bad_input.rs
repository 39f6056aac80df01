//! Every foreseeable mistake gets one line that says what is wrong and what would be right, and the
//! exit code that belongs to it. Nothing is left mounted or running.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use wolfdisk_tests::{
    Node, Outcome, Plan, Scratch, is_mounted, program, run, run_as, sh, wait_within,
};

const FAILED: i32 = 1;
const USAGE: i32 = 2;
const NOT_RUNNING: i32 = 3;
const DEGRADED: i32 = 4;
/// The first page of a redb file, without which it is no such file.
const REDB_HEADER_BYTES: usize = 4096;

/// Runs wolfdiskctl; it must end by itself.
fn ctl(arguments: &[&str]) -> Outcome {
    let mut command = Command::new("timeout");
    let scratch = Scratch::new();
    let alone = scratch.path().join("alone.toml");
    // Whatever else is on this network, a new node is to be founded.
    fs::write(&alone, "[cluster]\ndiscovery = \"none\"\n").expect("written");
    command
        .env("WOLFDISK_CONFIG", &alone)
        .arg("40")
        .arg(program("wolfdiskctl"))
        .args(arguments);
    if arguments.first() == Some(&"up") {
        // Other tests run nodes as well.
        command.args(["--s3", "off"]);
    }
    run(&mut command)
}

/// One line of the messages holds all `fragments`, the code is right, nothing panicked.
fn assert_says(outcome: &Outcome, code: i32, fragments: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{outcome:#?}");
    let said = fragments.is_empty()
        || outcome
            .stderr
            .lines()
            .any(|line| fragments.iter().all(|fragment| line.contains(fragment)));
    assert!(said, "no line with {fragments:?}: {outcome:#?}");
    assert!(!outcome.stderr.contains("panicked"), "{outcome:#?}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// A data directory that was used and left in order.
fn used_data() -> (Scratch, std::path::PathBuf) {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let mut node = Node::start_as(Plan {
        data: Some(data.clone()),
        ..Plan::default()
    });
    for number in 0..50 {
        fs::write(node.path(format!("file{number}")), vec![7; 3000]).expect("written");
    }
    node.stop();
    (scratch, data)
}

#[test]
fn mount_points() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let (data, missing) = (text(&data).to_owned(), scratch.path().join("missing/mount"));
    assert_says(&ctl(&["init", "-d", &data]), 0, &[]);
    let file = scratch.path().join("file");
    fs::write(&file, "x").expect("written");
    let full = scratch.directory("full");
    fs::write(full.join("x"), "x").expect("written");
    let rows: [(&Path, &[&str]); 3] = [
        (&missing, &["does not exist", "mkdir -p", text(&missing)]),
        (&file, &["is not a directory", text(&file)]),
        (&full, &["is not empty", text(&full)]),
    ];
    for (path, fragments) in rows {
        let outcome = ctl(&["mount", "-d", &data, "-m", text(path)]);
        assert_says(&outcome, USAGE, fragments);
        assert!(!is_mounted(path));
    }
    for path in [&file, &full] {
        assert_eq!(
            ctl(&["up", "-d", &data, "-m", text(path)]).code,
            Some(USAGE)
        );
    }
    let inside = scratch.path().join("data/chunks");
    assert_eq!(
        ctl(&["mount", "-d", &data, "-m", text(scratch.path())]).code,
        Some(USAGE)
    );
    assert!(!is_mounted(&inside) && !is_mounted(scratch.path()));
}

#[test]
fn a_mount_point_in_use() {
    let node = Node::start();
    let again = run(Command::new("timeout")
        .arg("40")
        .arg(program("wolfdisk-fuse"))
        .arg("--data-dir")
        .arg(node.data())
        .arg("-m")
        .arg(node.mount()));
    assert_says(
        &again,
        FAILED,
        &["already a WolfDisk mount", "wolfdiskctl unmount"],
    );
    // The first is untouched.
    fs::write(node.path("file"), "x").expect("usable");
}

#[test]
fn a_second_node_on_the_same_data_directory() {
    let node = Node::start();
    let other = node.scratch().directory("other");
    let up = ctl(&["up", "-d", text(node.data()), "-m", text(&other)]);
    assert_says(
        &up,
        FAILED,
        &["in use by process", &node.up_pid().to_string()],
    );
    for daemon in ["wolfdisk-meta", "wolfdisk-chunkd"] {
        let mut command = Command::new("timeout");
        let outcome = run(command
            .arg("40")
            .arg(program(daemon))
            .arg("--data-dir")
            .arg(node.data()));
        assert_says(&outcome, FAILED, &["in use by process"]);
    }
    assert!(!is_mounted(&other));
    fs::write(node.path("file"), "x").expect("usable");
}

#[test]
fn a_data_directory_of_a_newer_format() {
    let (scratch, data) = used_data();
    fs::write(data.join("format"), "wolfdisk data format 99\n").expect("written");
    let mount = scratch.directory("mount");
    let up = ctl(&["up", "-d", text(&data), "-m", text(&mount)]);
    assert_says(&up, FAILED, &["data format 99", "newer release"]);
    assert!(!is_mounted(&mount));
}

#[test]
fn data_directories_that_are_none() {
    let scratch = Scratch::new();
    let (empty, mount) = (scratch.directory("empty"), scratch.directory("mount"));
    let outcome = ctl(&["mount", "-d", text(&empty), "-m", text(&mount)]);
    assert_says(
        &outcome,
        USAGE,
        &["is not initialised", "wolfdiskctl init -d"],
    );
    let outcome = ctl(&["s3", "key", "list", "-d", text(&empty)]);
    assert_says(
        &outcome,
        USAGE,
        &["is not initialised", "wolfdiskctl init -d"],
    );
    let foreign = scratch.directory("foreign");
    fs::write(foreign.join("thesis.tex"), "x").expect("written");
    let outcome = ctl(&["init", "-d", text(&foreign)]);
    assert_says(&outcome, USAGE, &["is not empty", "thesis.tex"]);
    let outcome = ctl(&["init", "-d", text(&empty)]);
    assert_says(&outcome, 0, &[]);
    let next = format!("next  wolfdiskctl up -d {}", text(&empty));
    assert!(outcome.stdout.contains(&next), "{outcome:#?}");
    let outcome = ctl(&["init", "-d", text(&empty)]);
    assert_says(&outcome, USAGE, &["already initialised"]);
    let outcome = ctl(&["init", "-d", text(&mount), "--id", "Not A Name"]);
    assert_eq!(outcome.code, Some(USAGE), "{outcome:#?}");
    assert_eq!(
        fs::read_dir(&mount).expect("readable").count(),
        0,
        "nothing was written"
    );
}

#[test]
fn a_log_that_is_damaged_below_what_was_synced() {
    let (scratch, data) = used_data();
    let logs = sh(&data, "ls meta/log/*.log | sort");
    let log = data.join(logs.lines().next().expect("a log"));
    let mut bytes = fs::read(&log).expect("readable");
    // The first records, long synced: a file's data is in them.
    let at = bytes
        .windows(64)
        .position(|window| window == [7; 64])
        .expect("data in the log");
    bytes[at] ^= 1;
    fs::write(&log, bytes).expect("written");
    let mount = scratch.directory("mount");
    let up = ctl(&["up", "-d", text(&data), "-m", text(&mount)]);
    let name = log
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    assert_says(&up, FAILED, &[name, "offset"]);
    assert!(!is_mounted(&mount));
}

/// redb panics on some damage: a page of zeroes where the root of its tree should be is one.
#[test]
fn a_checkpoint_whose_pages_are_gone() {
    let (scratch, data) = used_data();
    let checkpoint = data.join("meta/1.redb");
    let mut bytes = fs::read(&checkpoint).expect("readable");
    let pages = bytes.get_mut(REDB_HEADER_BYTES..).expect("pages");
    pages.fill(0);
    fs::write(&checkpoint, bytes).expect("written");
    let mount = scratch.directory("mount");
    let up = ctl(&["up", "-d", text(&data), "-m", text(&mount)]);
    assert_says(&up, FAILED, &["1.redb", "damaged"]);
    assert!(!is_mounted(&mount));
}

#[test]
fn configurations() {
    let scratch = Scratch::new();
    let (data, mount) = (scratch.path().join("data"), scratch.directory("mount"));
    let file = scratch.path().join("config.toml");
    let rows: [(&str, &[&str]); 6] = [
        ("[node]\nrol = \"auto\"\n", &["config.toml", "rol", "role"]),
        ("[nodes]\n", &["config.toml", "nodes", "node"]),
        (
            "[node]\nrole = \"boss\"\n",
            &["node.role", "boss", "leader"],
        ),
        (
            "[replication]\nchunk_size = 1000000\n",
            &["replication.chunk_size", "1000000", "65536"],
        ),
        ("[node\n", &["config.toml", "line 1"]),
        ("[node]\nbind = \"here\"\n", &["node.bind", "here"]),
    ];
    for (content, fragments) in rows {
        fs::write(&file, content).expect("written");
        let arguments = [
            "up",
            "--config",
            text(&file),
            "-d",
            text(&data),
            "-m",
            text(&mount),
        ];
        assert_says(&ctl(&arguments), USAGE, fragments);
        assert!(!data.exists(), "nothing was made for {content:?}");
    }
    let absent = scratch.path().join("absent.toml");
    let outcome = ctl(&["up", "--config", text(&absent), "-d", text(&data)]);
    assert_says(&outcome, USAGE, &["absent.toml"]);
    let outcome = ctl(&["up", "--no-such-option"]);
    assert_eq!(outcome.code, Some(USAGE), "{outcome:#?}");
}

#[test]
fn a_machine_without_fuse() {
    let scratch = Scratch::new();
    let (data, mount) = (scratch.path().join("data"), scratch.directory("mount"));
    // A mount namespace of its own, in which /dev holds only the null device.
    let script = format!(
        "mkdir -p '{0}/dev'; touch '{0}/dev/null' '{0}/dev/urandom'\n\
         mount --bind /dev/null '{0}/dev/null'; mount --bind /dev/urandom '{0}/dev/urandom'\n\
         mount --rbind '{0}/dev' /dev\n\
         exec timeout 40 '{1}' up -d '{2}' -m '{3}' --s3 off",
        scratch.path().display(),
        program("wolfdiskctl").display(),
        data.display(),
        mount.display()
    );
    let outcome = run(Command::new("unshare").args(["-m", "bash", "-euc", &script]));
    assert_says(
        &outcome,
        FAILED,
        &["there is no /dev/fuse", "modprobe fuse"],
    );
    let last = outcome.stderr.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("wolfdiskctl: wolfdisk-fuse ended") && last.contains("above"),
        "whoever looks at the end is sent to the reason: {outcome:#?}"
    );
}

#[test]
fn no_right_to_the_data_directory() {
    let scratch = Scratch::new();
    let (data, mount) = (scratch.directory("data"), scratch.directory("mount"));
    sh(scratch.path(), "chmod 700 data");
    let arguments: Vec<OsString> = ["up", "-d", text(&data), "-m", text(&mount)]
        .iter()
        .map(OsString::from)
        .collect();
    let arguments: Vec<_> = arguments.iter().map(OsString::as_os_str).collect();
    let programs = wolfdisk_tests::public_programs(&scratch);
    let mut command = run_as(
        65_533,
        scratch.path(),
        &programs.join("wolfdiskctl"),
        &arguments,
    );
    assert_says(
        &run(&mut command),
        FAILED,
        &[text(&data), "ermission denied"],
    );
}

#[test]
fn a_status_without_daemons() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    assert_says(&ctl(&["init", "-d", text(&data)]), 0, &[]);
    let outcome = ctl(&["status", "-d", text(&data)]);
    assert_eq!(outcome.code, Some(NOT_RUNNING), "{outcome:#?}");
    assert!(
        outcome.stdout.contains(text(&data)),
        "the configuration is told: {outcome:#?}"
    );
    let outcome = ctl(&["status", "--json", "-d", text(&data)]);
    assert_eq!(outcome.code, Some(NOT_RUNNING), "{outcome:#?}");
    serde_json::from_str::<serde_json::Value>(&outcome.stdout).expect("JSON");
}

#[test]
fn a_status_of_a_node_whose_key_was_laid_open() {
    let node = Node::start();
    let key = node.data().join("cluster.key");
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(&key, open).expect("changed");
    let outcome = node.control(&["status"]);
    assert_eq!(outcome.code, Some(DEGRADED), "{outcome:#?}");
    for said in ["chmod 600", text(&key), "degraded"] {
        assert!(outcome.stdout.contains(said), "{said}: {outcome:#?}");
    }
    assert!(!outcome.stdout.contains("not initialised"), "{outcome:#?}");
}

#[test]
fn an_unmount_of_what_is_no_mount() {
    let scratch = Scratch::new();
    let outcome = ctl(&["unmount", "-m", text(scratch.path())]);
    assert_eq!(outcome.code, Some(USAGE), "{outcome:#?}");
    assert!(
        outcome.stderr.contains(text(scratch.path())),
        "{outcome:#?}"
    );
}

#[test]
fn a_mount_in_use_is_not_taken_away() {
    let node = Node::start();
    let held = fs::File::create(node.path("held")).expect("created");
    let outcome = ctl(&["unmount", "-m", text(node.mount())]);
    assert_eq!(outcome.code, Some(FAILED), "{outcome:#?}");
    assert!(is_mounted(node.mount()), "it stays");
    drop(held);
    // The kernel releases the file a moment after it was closed.
    wait_within(Duration::from_secs(10), "it can be unmounted", || {
        ctl(&["unmount", "-m", text(node.mount())]).code == Some(0)
    });
}
