//! A SQLite database that programs on two machines write at once: no transaction is lost or seen in part, and the
//! database stays whole.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use wolfdisk_tests::{Cluster, is_long_run, python};

/// Takes from one account what it gives to another, and counts what it did in a row of its own.
const WRITER: &str = "
import sqlite3, sys
own, rounds = int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(sys.argv[1], timeout=120, isolation_level=None)
db.execute('pragma synchronous=full')
for round in range(rounds):
    db.execute('begin immediate')
    total, = db.execute('select sum(amount) from account').fetchone()
    assert total == 0, total
    db.execute('update account set amount = amount - ? where id = 0', (round,))
    db.execute('update account set amount = amount + ? where id = ?', (round, 1 + own))
    db.execute('update done set times = times + 1 where id = 0')
    db.execute('insert into row(own, round, v) values(?, ?, randomblob(3000))', (own, round))
    db.execute('commit')
";

const BEGIN: &str = "
import sqlite3, sys
db = sqlite3.connect('t.db', isolation_level=None)
db.execute('create table account(id integer primary key, amount integer)')
db.execute('insert into account values(0, 0), (1, 0), (2, 0)')
db.execute('create table done(id integer primary key, times integer)')
db.execute('insert into done values(0, 0)')
db.execute('create table row(own integer, round integer, v blob, primary key(own, round))')
";

const END: &str = "
import sqlite3
db = sqlite3.connect('t.db', isolation_level=None)
print(db.execute('pragma integrity_check').fetchone()[0])
print(db.execute('select times from done').fetchone()[0])
print(db.execute('select count(*) from row').fetchone()[0])
print(db.execute('select amount from account order by id').fetchall())
";

fn rounds() -> u32 {
    if is_long_run() { 2_000 } else { 150 }
}

fn writer(mount: &Path, own: u32) -> Child {
    let database = mount.join("t.db");
    Command::new("python3")
        .args(["-c", WRITER])
        .arg(database)
        .args([own.to_string(), rounds().to_string()])
        .stdin(Stdio::null())
        .spawn()
        .expect("python3 is installed")
}

#[test]
fn two_machines_write_one_database() {
    let cluster = Cluster::start();
    let [one, two] =
        ["one", "two"].map(|name| cluster.up(cluster.joined(name, &["--no-squash-root"])));
    python(one.mount(), BEGIN, &[]);
    let writers = [writer(one.mount(), 0), writer(two.mount(), 1)];
    for mut writer in writers {
        assert!(writer.wait().expect("a child").success(), "a writer failed");
    }
    let (rounds, sum) = (rounds(), (0..rounds()).sum::<u32>());
    let expected = format!(
        "ok\n{}\n{}\n[(-{},), ({sum},), ({sum},)]\n",
        2 * rounds,
        2 * rounds,
        2 * sum
    );
    for mount in [one.mount(), two.mount(), cluster.node().mount()] {
        assert_eq!(python(mount, END, &[]), expected, "{}", mount.display());
    }
}
