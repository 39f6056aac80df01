//! Counts in the index that are wrong, put there behind its back: a check names them, a repair puts them right
//! through the log, on a node that runs and on one that does not, and the next check finds nothing.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::ids::Ino;
use wolfdisk_meta::index::checkpoint::RedbTable;
use wolfdisk_meta::index::codec::{Wire, decode, encode};
use wolfdisk_meta::index::key::{self, Key};
use wolfdisk_meta::index::record::{Cookie, Inode, Usage};
use wolfdisk_meta::index::records::Read;
use wolfdisk_meta::index::table::Table;
use wolfdisk_meta::manifest::Manifest;
use wolfdisk_tests::{Node, Outcome, program, run};

const CACHE_BYTES: usize = 1 << 20;

/// Runs a check: the exit code, the state, and what was found.
fn check(node: &Node, arguments: &[&str]) -> (Option<i32>, String, Vec<String>) {
    let Outcome { code, stdout, .. } = run(Command::new(program("wolfdiskctl"))
        .args(["check", "--json", "--data-dir"])
        .arg(node.data())
        .args(arguments));
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap_or_default();
    let findings = json["findings"].as_array().cloned().unwrap_or_default();
    let named = findings
        .iter()
        .map(|finding| format!("{} {}", finding["path"], finding["what"]));
    let state = json["state"].as_str().unwrap_or("none").to_owned();
    (code, state, named.collect())
}

fn changed<T: Wire>(table: &RedbTable, key: &Key, change: impl FnOnce(&mut T)) -> Vec<u8> {
    let value = table.get(&key.encode()).expect("read").expect("a record");
    let mut record: T = decode(value).expect("a record");
    change(&mut record);
    encode(&record).to_vec()
}

/// Makes counts wrong in the checkpoint of a node that does not run: usage, the links and the place of a
/// file; takes a cookie away.
fn put_wrong(data: &Path, ino: Ino) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let meta = data.join("meta");
    let manifest = Manifest::load(&RealDisk, &meta).expect("read");
    let path = meta.join(manifest.expect("a manifest").checkpoint);
    let table = RedbTable::open(&disk, &path, CACHE_BYTES).expect("a checkpoint");
    let table = Arc::new(table);
    let (usage, file) = (Key::Usage { project: 0 }, Key::Inode { ino });
    let wrong_usage = changed::<Usage>(&table, &usage, |usage| usage.bytes += 12_345);
    let wrong_file = changed::<Inode>(&table, &file, |inode| {
        inode.nlink = 3;
        inode.allocated += 1;
    });
    let cookies = table
        .snapshot()
        .first::<Cookie>(&key::cookies(Ino::ROOT, 0));
    let (cookie, _) = cookies.expect("read").expect("a cookie");
    let changes = [
        (usage.encode(), Some(wrong_usage.into())),
        (file.encode(), Some(wrong_file.into())),
        (cookie.encode(), None),
    ];
    let applied = table.applied();
    table
        .commit(applied, &mut changes.into_iter())
        .expect("committed");
}

#[test]
fn wrong_counts_are_named_and_put_right_with_and_without_a_running_node() {
    for offline in [true, false] {
        let mut node = Node::start();
        for number in 0..3 {
            fs::write(node.path(format!("file{number}")), [number; 2000]).expect("written");
        }
        let path = node.path("file1");
        let ino = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&path).expect("there"));
        node.stop();
        put_wrong(node.data(), Ino(ino));
        let how: &[&str] = if offline { &["--offline"] } else { &[] };
        let repair: Vec<&str> = how.iter().copied().chain(["--repair"]).collect();
        if !offline {
            node.up();
        }
        for _ in 0..2 {
            let (code, state, named) = check(&node, how);
            assert_eq!((code, state.as_str()), (Some(4), "repairable"), "{named:?}");
            for what in [
                "\"/file1\"",
                "nlink is 3, counted 1",
                "allocated",
                "project 0: bytes",
                "its cookie does not lead back",
            ] {
                assert!(
                    named.iter().any(|finding| finding.contains(what)),
                    "{what} is not in {named:#?}"
                );
            }
        }
        let (code, state, named) = check(&node, &repair);
        assert_eq!((code, state.as_str()), (Some(4), "repaired"), "{named:?}");
        let (code, state, named) = check(&node, how);
        assert_eq!((code, state.as_str()), (Some(0), "clean"), "{named:?}");
        if offline {
            node.up();
        } else {
            node.restart();
        }
        let links = std::os::unix::fs::MetadataExt::nlink(&fs::metadata(&path).expect("there"));
        assert_eq!(links, 1);
        assert_eq!(fs::read_dir(node.mount()).expect("listed").count(), 3);
        assert_eq!(check(&node, &[]).0, Some(0));
    }
}
