//! The power goes while an export is imported, around the step by which the new index takes the place of the old one: one
//! of both is there afterwards, whole, and the next start puts in order what was left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use wolfdisk_tests::{
    DiskKind, Effect, Fault, Node, Outcome, Plan, Random, SmallDisk, is_long_run, program, run,
};

const DISK_BYTES: u64 = 2 << 30;
/// What makes something durable, or changes names.
const CALLS: &str = "fsync,fdatasync,rename,renameat2,unlink,unlinkat,linkat,mkdir";
/// No import makes so many.
const NEVER: u64 = 60_000;
/// Two file systems that are cut off at the same time can keep the kernel from all other work for a minute.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A call by its name, and which of those of that name it is.
type Point = (&'static str, u64);

/// Imports and is killed before a call is made.
fn import(node: &Node, file: &Path, (calls, at): Point) -> (Outcome, PathBuf) {
    let recorded = node.scratch().path().join("recorded");
    let fault = Fault {
        calls,
        effect: Effect::Kill,
        at,
    };
    let prefix = fault.prefix(&recorded);
    let (strace, rest) = prefix.split_first().expect("a program");
    let mut command = Command::new(strace);
    command.args(rest).arg(program("wolfdiskctl"));
    command.args(["index", "import", "--replace"]).arg(file);
    let outcome = run(command.arg("--data-dir").arg(node.data()));
    (outcome, recorded)
}

/// All calls of the thread that exchanges the two, and which of them does it.
fn points(recorded: &Path) -> (Vec<Point>, usize) {
    let text = fs::read_to_string(recorded).expect("a recording");
    let thread = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let exchange = text.lines().find(|line| line.contains("RENAME_EXCHANGE"));
    let exchange = exchange.expect("they are exchanged");
    let (mut points, mut at) = (Vec::<Point>::new(), 0);
    for line in text.lines().filter(|line| thread(line) == thread(exchange)) {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        let mut names = CALLS.split(',');
        let Some(name) = names.find(|name| call.starts_with(&format!("{name}("))) else {
            continue;
        };
        if line == exchange {
            at = points.len();
        }
        let before = points.iter().filter(|(other, _)| *other == name).count();
        points.push((name, before as u64 + 1));
    }
    (points, at)
}

/// Directories of indexes that were replaced.
fn replaced(node: &Node) -> Vec<PathBuf> {
    let entries = fs::read_dir(node.data()).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let is_one = |path: &PathBuf| path.to_string_lossy().contains("meta.replaced-");
    paths.filter(is_one).collect()
}

/// Cuts the power at the calls that are so far behind the exchange; in the long form at all of the import.
fn one_of_both_is_there(kind: DiskKind, behind: &[usize]) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let disk = SmallDisk::of(kind, DISK_BYTES);
    let mut node = Node::start_as(Plan {
        data: Some(disk.data()),
        ..Plan::default()
    });
    let content = Random::new().bytes(300_000);
    fs::write(node.path("file"), &content).expect("written");
    let file = node.scratch().path().join("index.export");
    let exported = run(Command::new(program("wolfdiskctl"))
        .args(["index", "export"])
        .arg(&file)
        .arg("--data-dir")
        .arg(node.data()));
    assert_eq!(exported.code, Some(0), "{exported:?}");
    node.stop();
    let (imported, recorded) = import(&node, &file, (CALLS, NEVER));
    assert_eq!(imported.code, Some(0), "{imported:?}");
    let (all, exchange) = points(&recorded);
    let chosen: Vec<usize> = match is_long_run() {
        true => (0..all.len()).collect(),
        false => behind.iter().map(|distance| exchange + distance).collect(),
    };
    let (mut old, mut new) = (0, 0);
    for number in chosen {
        let at = *all.get(number).expect("the import goes on so far");
        node.up();
        fs::write(node.path("later"), "later").expect("written");
        node.stop();
        for directory in replaced(&node) {
            fs::remove_dir_all(directory).expect("removed");
        }
        let (outcome, recorded) = import(&node, &file, at);
        assert!(Fault::has_happened(&recorded), "{at:?}: {outcome:?}");
        assert_ne!(outcome.code, Some(0), "{at:?}: {outcome:?}");
        disk.cut_power();
        disk.power_on();
        let left = node.data().join("meta.import");
        let checked = node.control(&["check", "--offline"]);
        assert_eq!(checked.code, Some(0), "{at:?}: {checked:?}");
        let named = checked.stdout.contains("meta.import");
        assert_eq!(named, left.exists(), "{at:?}: {checked:?}");
        node.up();
        assert!(!left.exists(), "{at:?}: what was left is put in order");
        assert!(fs::read(node.path("file")).expect("readable") == content);
        let is_new = !node.path("later").exists();
        match is_new {
            true => new += 1,
            false => old += 1,
        }
        eprintln!("{at:?}: {}", if is_new { "new" } else { "old" });
        node.must_be_whole();
        node.stop();
        let kept = replaced(&node);
        assert_eq!(kept.len(), usize::from(is_new), "{at:?}: {kept:?}");
        let marked = |directory: &Path| directory.join("importing").exists();
        assert!(!marked(&node.data().join("meta")), "{at:?}");
        assert!(!kept.iter().any(|directory| marked(directory)), "{at:?}");
    }
    assert!(old > 0 && new > 0, "{old} old, {new} new");
}

#[test]
fn on_ext4() {
    one_of_both_is_there(DiskKind::Ext4, &[0, 1, 2, 5]);
}

#[test]
fn on_xfs() {
    one_of_both_is_there(DiskKind::Xfs, &[0, 2]);
}
