//! The power goes: the file system below the data directory forgets what it had not been told to keep. Every
//! synced byte and name is there afterwards, the rest is a prefix of what was done, and no hand is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use wolfdisk_tests::{
    Background, DiskKind, History, Node, Plan, Random, Scratch, SmallDisk, Workers, is_long_run,
    python, wait_until, write_durably,
};

const DISK_BYTES: u64 = 2 << 30;
const WORKERS: usize = 3;
/// Steps of all workers between two cuts, at most.
const STEPS_MAX: u64 = 150;
/// Transactions of each database between two cuts, at least.
const COMMITS_MIN: usize = 3;

/// Cuts of each test.
fn cuts() -> usize {
    if is_long_run() { 100 } else { 10 }
}

/// Commits one row after the other, and says the number of each that was committed.
const WRITER: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
db.execute('pragma journal_mode=' + sys.argv[2])
db.execute('pragma synchronous=' + sys.argv[3])
db.execute('create table if not exists t(n integer primary key, filler blob)')
n = db.execute('select coalesce(max(n), 0) from t').fetchone()[0]
while True:
    n += 1
    db.execute('insert into t values(?, randomblob(?))', (n, n * 37 % 9000))
    print(n, flush=True)
";

/// Says how many rows there are; all that were ever committed are.
const READER: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
assert db.execute('pragma integrity_check').fetchone()[0] == 'ok'
rows, last = db.execute('select count(*), coalesce(max(n), 0) from t').fetchone()
assert rows == last, (rows, last)
print(last)
";

/// A database in the mount and how it is written. A journal that is deleted is gone for good only after a sync of
/// its directory, which SQLite does at the level `extra`.
struct Database {
    path: PathBuf,
    journal: &'static str,
    synchronous: &'static str,
}

impl Database {
    fn both(mount: &Path) -> [Database; 2] {
        [("wal", "full"), ("delete", "extra")].map(|(journal, synchronous)| Database {
            path: mount.join(format!("{journal}.db")),
            journal,
            synchronous,
        })
    }

    fn write(&self, node: &Node) -> Background {
        let mut command = Command::new("python3");
        command.args(["-c", WRITER]).arg(&self.path);
        command.args([self.journal, self.synchronous]);
        Background::start(&mut command, self.journal, node.scratch())
    }

    fn check(&self, committed: usize) {
        let beside = self.path.parent().expect("it lies in the mount");
        let said = python(beside, READER, &[self.path.as_os_str()]);
        let rows: usize = said.trim().parse().expect("a number");
        assert!(
            rows >= committed,
            "{}: {rows} rows, {committed} committed",
            self.journal
        );
    }
}

/// The number of the last row that a writer says it committed.
fn committed(writer: &Background) -> usize {
    let said = writer.said();
    let mut lines = said.lines().filter_map(|line| line.parse().ok());
    lines.next_back().unwrap_or(0)
}

/// Two file systems that are cut off at the same time can keep the kernel from all other work for a minute.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn survives_power_cuts(kind: DiskKind) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let disk = SmallDisk::of(kind, DISK_BYTES);
    let mut node = Node::start_as(Plan {
        data: Some(disk.data()),
        ..Plan::default()
    });
    let mut random = Random::new();
    let databases = Database::both(node.mount());
    let mut histories: Vec<History> = (0..WORKERS)
        .map(|number| History::new(node.path(format!("worker{number}"))))
        .collect();
    for _ in 0..cuts() {
        let writers = databases.each_ref().map(|database| database.write(&node));
        let workers = Workers::start(histories);
        wait_until("rows are committed", || {
            writers
                .iter()
                .all(|writer| writer.said().lines().count() >= COMMITS_MIN)
        });
        workers.wait_for_steps(usize::try_from(random.below(STEPS_MAX)).expect("it is small"));
        assert!(!workers.has_failed(), "no call fails before the cut");
        disk.cut_power();
        node.crash();
        let done = writers.each_ref().map(committed);
        drop(writers);
        (histories, _) = workers.stop();
        disk.power_on();
        node.up();
        node.must_be_whole();
        histories.iter_mut().for_each(History::check);
        for (database, done) in databases.iter().zip(done) {
            database.check(done);
        }
    }
}

/// Whatever runs beside the tests may have made a mount namespace, with all mounts in it.
#[test]
fn a_disk_comes_back_though_another_namespace_has_it() {
    for kind in [DiskKind::Ext4, DiskKind::Xfs] {
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = Scratch::new();
        let disk = SmallDisk::of(kind, DISK_BYTES);
        let file = disk.root().join("file");
        write_durably(&file, b"kept");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", "echo made && exec sleep infinity"]);
        let other = Background::start(&mut command, "namespace", &scratch);
        wait_until("a namespace", || other.said().contains("made"));
        disk.cut_power();
        assert!(fs::write(&file, "lost").is_err(), "{kind:?}");
        disk.power_on();
        assert_eq!(fs::read(&file).expect("readable"), b"kept", "{kind:?}");
        write_durably(&file, b"more");
        // The old one writes the last that it ever will.
        drop(other);
        disk.cut_power();
        disk.power_on();
        assert_eq!(fs::read(&file).expect("readable"), b"more", "{kind:?}");
    }
}

#[test]
fn on_ext4() {
    survives_power_cuts(DiskKind::Ext4);
}

#[test]
fn on_xfs() {
    survives_power_cuts(DiskKind::Xfs);
}
