//! The index of a daemon that runs, exported, and imported into a directory that has none: everything is there as it was,
//! and nothing that front-ends or chunk stores remember of the lost one means anything to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::crash::CrashDisk;
use wolfdisk_common::ids::{Incarnation, NodeNumber, PutEpoch, SessionId};
use wolfdisk_meta::export;
use wolfdisk_meta::export::reader::{Item, Reader};
use wolfdisk_meta::export::writer::Writer;
use wolfdisk_meta::import::{ImportError, build, import};
use wolfdisk_meta::index::codec::encode;
use wolfdisk_meta::index::invariants::check;
use wolfdisk_meta::index::key::Key;
use wolfdisk_meta::index::op::Op;
use wolfdisk_meta::index::record::{Counters, Node as NodeRecord};
use wolfdisk_meta::limits;
use wolfdisk_meta::log::{LogOptions, Syncing};
use wolfdisk_meta::manifest::Manifest;
use wolfdisk_meta::storage::{self, StorageOptions};
use wolfdisk_meta::tasks::checkpoint;
use wolfdisk_meta::tasks::stop::Stop;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::set_lock::Type;

use crate::daemon::{Daemon, Node, Session, create, lock, options, unlink, write};

/// Ends the threads of a test that fails, too.
struct Ends<'a>(&'a Stop);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Exports by the call, as a tool does.
fn export(daemon: &Daemon, session: &Session) -> Vec<u8> {
    let (stop, service) = (Stop::default(), daemon.service());
    std::thread::scope(|scope| {
        scope.spawn(|| export::run::run(&service, &stop));
        scope.spawn(|| checkpoint::run(&service, &stop, false));
        let _ends = Ends(&stop);
        let (mut file, mut run) = (Vec::new(), 0);
        loop {
            let request = v1::ExportRequest {
                run,
                taken: file.len() as u64,
            };
            let reply = session
                .meta
                .export(&mut options(), &request)
                .expect("a part");
            assert_eq!(reply.failed, "");
            run = reply.run;
            file.extend_from_slice(&reply.part);
            if reply.ended {
                return file;
            }
        }
    })
}

/// A node whose index is lost: nothing of it is left but who it is.
fn lost(node: &Node) {
    std::fs::remove_dir_all(node.paths().meta_dir()).expect("removed");
}

fn locked_import(node: &Node, file: &[u8], replace: bool) -> Result<(), ImportError> {
    let paths = node.paths();
    std::fs::create_dir_all(paths.meta_dir()).expect("made");
    std::fs::write(paths.meta_lock(), "").expect("written");
    import(&paths, node.volume(), file, replace).map(drop)
}

/// All files below the directory with their content.
fn tree(directory: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(tree(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(path).expect("a file"))),
        }
    }
    found
}

#[test]
fn all_that_was_there_is_there_again_and_later_changes_are_not() {
    let node = Node::new();
    let daemon = node.start();
    let session = daemon.session("a");
    let mut inos = Vec::new();
    for number in 0..40u8 {
        let ino = session.create(&format!("f{number}"));
        // Some of it is in the extent, some rides in the log.
        let data = vec![number; 1 + 60 * usize::from(number)];
        assert_eq!(session.mutate(write(ino, 0, &data)).errno, 0);
        inos.push((ino, data));
    }
    let file = export(&daemon, &session);
    let before = daemon.status().version;
    let later = session.create("later");
    let changed = inos[7].0;
    assert_eq!(session.mutate(write(changed, 0, b"other")).errno, 0);
    daemon.stop();
    lost(&node);
    locked_import(&node, &file, false).expect("imported");
    let daemon = node.start();
    let session = daemon.session("b");
    for (number, (ino, data)) in inos.iter().enumerate() {
        let found = session.lookup(&format!("f{number}")).attr.expect("found");
        assert_eq!(found.ino, *ino);
        assert_eq!(session.content(*ino), *data, "f{number}");
    }
    assert!(session.lookup("later").attr.is_none());
    assert!(session.attr(later).is_none());
    assert!(daemon.status().version >= before + limits::IMPORT_VERSIONS);
    let new = session.create("new");
    assert_eq!(
        new,
        later + limits::IMPORT_INODES,
        "a number that means nothing else"
    );
    daemon.stop_well();
}

#[test]
fn sessions_of_then_are_over_with_their_locks_and_open_files() {
    let node = Node::new();
    let daemon = node.start();
    let session = daemon.session("a");
    let (open, kept) = (session.create("open"), session.create("kept"));
    assert_eq!(session.mutate(write(open, 0, &[1; 2000])).errno, 0);
    session.open_file(open, true);
    let removed = v1::MutateRequest {
        keep_open: true,
        ..session.request(unlink("open"))
    };
    assert_eq!(session.send(&removed).errno, 0);
    let locked = || lock(kept, 1, Type::Write, 0);
    assert_eq!(session.mutate(locked()).errno, 0);
    let file = export(&daemon, &session);
    // One that the export does not know.
    let late = daemon.session("late");
    daemon.stop();
    lost(&node);
    locked_import(&node, &file, false).expect("imported");
    let daemon = node.start();
    for old in [&session, &late] {
        let refused = old.meta.mutate(&mut options(), &old.request(create("no")));
        assert_eq!(refused.expect_err("it is over"), Failure::StaleSession);
    }
    let session = daemon.session("b");
    assert!(session.id > late.id + 1000, "no number comes again");
    assert_eq!(session.mutate(locked()).errno, 0);
    assert!(session.attr(open).is_none(), "nobody holds it");
    assert_eq!(daemon.status().sessions.len(), 1);
    daemon.stop_well();
}

#[test]
fn receipts_of_before_count_for_nothing() {
    let node = Node::new();
    let daemon = node.start();
    let session = daemon.session("a");
    let service = daemon.service();
    let store = NodeNumber(1);
    let up = |incarnation| {
        let op = Op::NodeUp {
            node: store,
            incarnation: Incarnation(incarnation),
        };
        service
            .propose(op, true)
            .expect("proposed")
            .wait()
            .expect("done")
    };
    up(5);
    let swept = Op::Sweep {
        node: store,
        swept: PutEpoch(3),
    };
    service
        .propose(swept, true)
        .expect("proposed")
        .wait()
        .expect("done");
    let file = export(&daemon, &session);
    drop(service);
    daemon.stop();
    lost(&node);
    locked_import(&node, &file, false).expect("imported");
    let service = node.open();
    assert_eq!(service.core().index.node(store).expect("readable"), None);
    let core = service.core();
    assert_eq!(check(core.index.records()).expect("readable"), Vec::new());
    // Sessions of the export are closed by its log.
    assert_eq!(
        core.index.sessions().expect("readable"),
        Vec::<(SessionId, _)>::new()
    );
}

#[test]
fn an_index_that_is_there_is_replaced_only_when_that_is_wanted_and_kept() {
    let node = Node::new();
    let daemon = node.start();
    let session = daemon.session("a");
    session.create("one");
    let file = export(&daemon, &session);
    session.create("two");
    daemon.stop();
    let meta = node.paths().meta_dir();
    std::fs::write(node.paths().meta_lock(), "").expect("written");
    let before = tree(&meta);
    let refused = locked_import(&node, &file, false).expect_err("there is one");
    assert!(matches!(refused, ImportError::Exists(_)), "{refused}");
    for cut in [10, 200, file.len() / 2, file.len() - 1] {
        locked_import(&node, &file[..cut], true).expect_err("cut off");
    }
    let mut other = node.volume().as_u128();
    other ^= 1;
    let refused = import(&node.paths(), Uuid::from_u128(other), &file[..], true);
    let refused = refused.expect_err("another cluster").to_string();
    assert!(refused.contains("identity.toml"), "{refused}");
    assert!(tree(&meta) == before, "what was refused changed something");
    let imported = import(&node.paths(), node.volume(), &file[..], true).expect("imported");
    let kept = imported.kept.expect("it was kept");
    let moved: BTreeMap<_, _> = before
        .into_iter()
        .filter(|(path, _)| !path.ends_with("lock"))
        .map(|(path, content)| (kept.join(path.strip_prefix(&meta).expect("below")), content))
        .collect();
    assert!(tree(&kept) == moved, "the old index is not what it was");
    let daemon = node.start();
    let session = daemon.session("b");
    assert!(session.lookup("one").attr.is_some() && session.lookup("two").attr.is_none());
    daemon.stop_well();
    // The names are those of before, and what was kept can be used again.
    let names = std::fs::read_dir(node.paths().data_dir()).expect("a directory");
    let names: Vec<_> = names
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(names.iter().all(|name| name != "meta.import"), "{names:?}");
    std::fs::remove_dir_all(&meta).expect("removed");
    std::fs::rename(kept, &meta).expect("renamed");
    let daemon = node.start();
    assert!(daemon.session("c").lookup("two").attr.is_some());
}

#[test]
fn a_new_index_is_not_made_beside_chunks_of_a_lost_one() {
    let node = Node::new();
    let daemon = node.start();
    let session = daemon.session("a");
    session.create("one");
    let file = export(&daemon, &session);
    daemon.stop();
    lost(&node);
    std::fs::create_dir_all(node.paths().chunks_dir()).expect("made");
    std::fs::write(node.paths().chunks_dir().join("00000001.seg"), "").expect("written");
    let refused = node.try_open().err().expect("refused").to_string();
    assert!(refused.contains("index import"), "{refused}");
    locked_import(&node, &file, false).expect("imported");
    assert!(node.start().session("b").lookup("one").attr.is_some());
}

/// An export whose records were changed by `change`, good in itself.
fn rewritten(file: &[u8], change: impl Fn(&Key, &mut Vec<u8>)) -> Vec<u8> {
    let mut reader = Reader::new(file).expect("an export");
    let mut writer = Writer::new(reader.header());
    while let Some(item) = reader.read_next().expect("an export") {
        match item {
            Item::Entry {
                index,
                term,
                payload,
            } => writer.entry(index, term, &payload),
            Item::Record { key, value } => {
                let mut value = value.to_vec();
                change(&Key::decode(&key).expect("a key"), &mut value);
                writer.record(&key, &value);
            }
        }
    }
    writer.finish();
    writer.take().to_vec()
}

#[test]
fn what_this_release_cannot_read_or_go_on_with_is_refused() {
    let node = Node::new();
    let daemon = node.start();
    let session = daemon.session("a");
    session.create("one");
    let file = export(&daemon, &session);
    daemon.stop();
    lost(&node);
    let newer = rewritten(&file, |key, value| {
        if matches!(key, Key::Inode { .. }) {
            value[0] = 2;
        }
    });
    let refused = locked_import(&node, &newer, false)
        .expect_err("newer")
        .to_string();
    assert!(
        refused.contains("format 2") && refused.contains("release"),
        "{refused}"
    );
    let full = rewritten(&file, |key, value| {
        if *key == Key::Counters {
            let counters: Counters =
                wolfdisk_meta::index::codec::decode(value.clone().into()).expect("counters");
            let next_ino = wolfdisk_common::ids::Ino::SYSTEM_ROOT;
            *value = encode(&Counters {
                next_ino,
                ..counters
            })
            .to_vec();
        }
    });
    let refused = locked_import(&node, &full, false).expect_err("no numbers left");
    assert!(
        matches!(refused, ImportError::NoNumbers("inodes")),
        "{refused}"
    );
    locked_import(&node, &file, false).expect("imported after all");
    // What is known of a chunk store is no record of the index that is made.
    let _: Option<NodeRecord> = node
        .open()
        .core()
        .index
        .node(NodeNumber(9))
        .expect("readable");
}

#[test]
fn the_power_may_go_at_any_operation_while_it_is_made() {
    let node = Node::new();
    let daemon = node.start();
    let session = daemon.session("a");
    let ino = session.create("one");
    assert_eq!(session.mutate(write(ino, 0, &[7; 3000])).errno, 0);
    let file = export(&daemon, &session);
    daemon.kill();
    let options = StorageOptions {
        log: LogOptions {
            segment_bytes: 64 * 1024,
            syncing: Syncing::Manual,
            first_segment: 0,
        },
        checkpoint_cache_bytes: 1 << 20,
    };
    let directory = Path::new("/data/meta.import");
    for cut in 1.. {
        let disk = CrashDisk::new();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        disk.power_off_at(cut);
        let built = build(
            &shared,
            directory,
            node.volume(),
            Incarnation(0),
            &file[..],
            &options,
        );
        let whole = built.is_ok();
        disk.crash(cut);
        let stands = Manifest::load(&disk, directory)
            .expect("readable")
            .is_some();
        assert!(stands || !whole, "it was said to be durable");
        if stands {
            let opened = storage::open(&shared, directory, node.volume(), &options);
            let manifest = opened.expect("an index").manifest;
            assert!(manifest.incarnation.0 > limits::IMPORT_INCARNATIONS);
        }
        if whole {
            return;
        }
    }
}
