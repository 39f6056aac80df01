//! SQLite in the mount, in both journal modes, with a writer and a reader at once: the reader never
//! sees half a transaction, no committed row is missing, also when the reader works on another mount or
//! the daemons are killed meanwhile.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use wolfdisk_tests::{Daemon, Node, Random, python, wait_until};

/// Inserts pairs of rows whose values are equal; prints the number of each one that was committed.
const WRITER: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
db.execute('pragma journal_mode=' + sys.argv[2])
db.execute('pragma synchronous=full')
db.execute('create table if not exists t(i integer primary key, k integer, v blob)')
for i in range(int(sys.argv[3])):
    db.execute('begin immediate')
    db.execute('insert into t(k, v) values(?, randomblob(300))', (i,))
    db.execute('insert into t(k, v) values(?, randomblob(9000))', (i,))
    db.execute('commit')
    print(i, flush=True)
";

/// Checks until the writer's last row is there.
const READER: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
last, rounds = -1, 0
while last < int(sys.argv[2]) - 1:
    db.execute('begin')
    rows, top = db.execute('select count(*), coalesce(max(k), -1) from t').fetchone()
    odd = db.execute('select k from t group by k having count(*) != 2').fetchall()
    db.execute('commit')
    assert not odd, odd
    assert rows == 2 * (top + 1), (rows, top)
    assert top >= last, (top, last)
    last, rounds = top, rounds + 1
assert db.execute('pragma integrity_check').fetchone()[0] == 'ok'
print(rounds)
";

const TRANSACTIONS: u32 = 200;

fn start(script: &str, arguments: &[&str], out: &Path) -> Child {
    let out = std::fs::File::create(out).expect("a file");
    let mut command = Command::new("python3");
    command
        .args(["-c", script])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(out);
    command.spawn().expect("python3 is installed")
}

fn committed(out: &Path) -> usize {
    std::fs::read_to_string(out)
        .expect("its output")
        .lines()
        .count()
}

fn works(mode: &str, reader_elsewhere: bool, kills: &[Daemon]) {
    let node = Node::start();
    let second = reader_elsewhere.then(|| node.second_mount());
    let reader_root = second
        .as_ref()
        .map_or(node.mount(), |second| second.mount());
    let count = TRANSACTIONS.to_string();
    let database = node.path("t.db").display().to_string();
    let (wrote, read) = (
        node.scratch().path().join("wrote"),
        node.scratch().path().join("read"),
    );
    let mut writer = start(WRITER, &[&database, mode, &count], &wrote);
    wait_until("the first rows are there", || committed(&wrote) > 0);
    let seen = reader_root.join("t.db").display().to_string();
    let mut reader = start(READER, &[&seen, &count], &read);
    let mut random = Random::new();
    for daemon in kills {
        let more = committed(&wrote) + 1 + random.below(20) as usize;
        wait_until("transactions go on", || {
            committed(&wrote) >= more.min(TRANSACTIONS as usize)
        });
        node.kill(*daemon);
    }
    assert!(
        writer.wait().expect("a child").success(),
        "the writer failed"
    );
    assert!(
        reader.wait().expect("a child").success(),
        "the reader failed"
    );
    assert_eq!(committed(&wrote), TRANSACTIONS as usize);
    let rows = "import sqlite3, sys; print(sqlite3.connect('t.db').execute('select count(*) from t').fetchone()[0])";
    assert_eq!(
        python(node.mount(), rows, &[]).trim(),
        (2 * TRANSACTIONS).to_string()
    );
}

#[test]
fn rollback_journal() {
    works("delete", false, &[]);
}

#[test]
fn rollback_journal_and_a_reader_on_another_mount() {
    works("delete", true, &[]);
}

#[test]
fn write_ahead_log() {
    works("wal", false, &[]);
}

#[test]
fn rollback_journal_while_daemons_are_killed() {
    works(
        "delete",
        false,
        &[Daemon::Meta, Daemon::Chunkd, Daemon::Meta],
    );
}

#[test]
fn write_ahead_log_while_daemons_are_killed() {
    works("wal", false, &[Daemon::Chunkd, Daemon::Meta, Daemon::Meta]);
}
