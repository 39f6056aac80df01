//! Files of a mount and objects of a front-end beside it are the same things: each sees at once what the other did.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use wolfdisk_client::{
    Content, Error, Expected, HandleId, KeyEntry, ListKeys, NewObject, Object, ObjectKey, Reach,
    Volume, VolumeConfig,
};
use wolfdisk_common::ids::Ino;
use wolfdisk_common::paths::Paths;
use wolfdisk_tests::{Daemon, Node, Random};

const ROUNDS: u64 = 60;
const LARGE_BYTES: usize = 9_000_000;

struct Pair {
    volume: Arc<Volume>,
    node: Node,
}

impl Drop for Pair {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.volume.shutdown().expect("an orderly end");
            self.node.must_be_whole();
        }
    }
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text.as_bytes()).expect("a key")
}

impl Pair {
    fn start() -> Pair {
        let node = Node::start();
        let reach = Reach::local(&Paths::new(node.data().to_owned()));
        let config = VolumeConfig::new(reach, "s3", "test");
        let volume = Volume::connect(config).expect("connected");
        Pair { volume, node }
    }

    fn root(&self) -> Ino {
        self.volume.root()
    }

    fn publish(&self, text: &str, content: Content, expected: Expected) -> Result<Object, Error> {
        let new = NewObject {
            mode: 0o644,
            directory_mode: 0o755,
            uid: 0,
            gid: 0,
            s3: Bytes::from(text.to_owned()),
            mtime: None,
        };
        self.volume
            .publish(self.root(), &key(text), content, new, expected)
    }

    fn put(&self, text: &str, bytes: &[u8]) -> Object {
        let content = Content::Bytes(Bytes::copy_from_slice(bytes));
        let published = self.publish(text, content, Expected::Anything);
        published.expect("published")
    }

    /// The same by way of a staged file.
    fn upload(&self, text: &str, bytes: &[u8]) -> Object {
        let staged = self.volume.stage(self.root(), 0o600, 0, 0).expect("staged");
        let mut at = 0;
        for part in bytes.chunks(1 << 20) {
            let written = self.volume.write(staged, at, part, false);
            at += written.expect("buffered") as u64;
        }
        let object = self
            .publish(text, Content::Staged(staged), Expected::Anything)
            .expect("published");
        self.volume.release(staged).expect("closed");
        object
    }

    fn object(&self, text: &str) -> Option<Object> {
        self.volume.object(self.root(), &key(text)).expect("asked")
    }

    fn open(&self, text: &str) -> Option<(Object, HandleId)> {
        let opened = self.volume.open_object(self.root(), &key(text));
        opened.expect("asked")
    }

    fn content(&self, handle: HandleId) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let data = self.volume.read(handle, bytes.len() as u64, 1 << 20);
            let before = bytes.len();
            data.expect("read")
                .for_each(|part| bytes.extend_from_slice(part));
            if bytes.len() == before {
                return bytes;
            }
        }
    }

    fn get(&self, text: &str) -> Option<Vec<u8>> {
        let (_, handle) = self.open(text)?;
        let bytes = self.content(handle);
        self.volume.release(handle).expect("closed");
        Some(bytes)
    }

    fn remove(&self, text: &str) -> bool {
        let removed = self
            .volume
            .remove_object(self.root(), &key(text), Expected::Anything);
        removed.expect("asked")
    }

    fn keys(&self) -> Vec<String> {
        let wanted = ListKeys {
            max: 1000,
            ..ListKeys::default()
        };
        let page = self.volume.list_keys(self.root(), &wanted).expect("a page");
        let keys = page.entries.into_iter().map(|entry| match entry {
            KeyEntry::Object { key, .. } | KeyEntry::Prefix(key) => {
                String::from_utf8(key.to_vec()).expect("text")
            }
        });
        keys.collect()
    }
}

fn is_missing(path: &Path) -> bool {
    matches!(fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound)
}

#[test]
fn what_one_did_the_other_sees_at_once() {
    let pair = Pair::start();
    let path = pair.node.path("bucket/directory/object");
    for round in 0..ROUNDS {
        assert!(is_missing(&path));
        let text = format!("published in round {round}");
        let object = pair.put("bucket/directory/object", text.as_bytes());
        assert_eq!(fs::read_to_string(&path).expect("there"), text);
        // It stays what S3 has described until it is changed through the mount.
        assert_eq!(object.s3_version, object.attr.content_version);
        let file = File::options().write(true).open(&path).expect("opened");
        file.write_all_at(b"CHANGED", 0).expect("written");
        drop(file);
        let changed = pair.object("bucket/directory/object").expect("there");
        assert!(changed.s3_version < changed.attr.content_version);
        let bytes = pair.get("bucket/directory/object").expect("there");
        assert!(bytes.starts_with(b"CHANGED"));
        let stale = Expected::Exactly {
            ino: object.attr.ino,
            attr_version: object.attr.attr_version,
        };
        let content = Content::Bytes(Bytes::new());
        let refused = pair.publish("bucket/directory/object", content, stale);
        assert_eq!(refused, Err(Error::Changed));
        match round % 3 {
            // All that was made goes with it.
            0 => assert!(pair.remove("bucket/directory/object")),
            1 => fs::remove_file(&path).expect("removed"),
            _ => fs::remove_dir_all(pair.node.path("bucket")).expect("removed"),
        }
        assert_eq!(pair.object("bucket/directory/object"), None);
        assert!(!pair.remove("bucket/directory/object"));
        if round % 3 == 1 {
            assert_eq!(pair.keys(), ["bucket/directory/"]);
            assert!(pair.remove("bucket/directory/"));
        }
        assert_eq!(pair.keys(), Vec::<String>::new());
        assert!(is_missing(&pair.node.path("bucket")));
    }
}

#[test]
fn who_reads_a_file_or_an_object_reads_all_of_it_whatever_becomes_of_its_name() {
    let pair = Pair::start();
    let mut random = Random::from_seed(1);
    let mut large = || -> Vec<u8> {
        let first = random.below(256) as u8;
        let byte = |at: usize| first.wrapping_add((at / 7) as u8);
        (0..LARGE_BYTES).map(byte).collect()
    };
    let path = pair.node.path("file");
    let mut now = large();
    pair.upload("file", &now);
    for round in 0..6 {
        let mut file = File::open(&path).expect("opened");
        let (_, handle) = pair.open("file").expect("there");
        let before = std::mem::replace(&mut now, large());
        if round % 2 == 0 {
            pair.upload("file", &now);
        } else {
            let new = pair.node.path("new");
            fs::write(&new, &now).expect("written");
            fs::rename(&new, &path).expect("renamed");
        }
        assert!(pair.get("file").expect("there") == now);
        assert!(fs::read(&path).expect("there") == now);
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).expect("read");
        assert!(bytes == before, "round {round}: the file");
        assert!(pair.content(handle) == before, "round {round}: the object");
        pair.volume.release(handle).expect("closed");
    }
}

#[test]
fn what_was_answered_survives_a_kill_of_the_index_and_goes_on() {
    let pair = Pair::start();
    let system = pair.volume.system_root().expect("made");
    let staged = pair.volume.stage(system, 0o600, 0, 0).expect("staged");
    pair.volume
        .write(staged, 0, &[7; 100_000], false)
        .expect("written");
    for round in 0..3 {
        let text = format!("bucket/{round}");
        pair.put(&text, text.as_bytes());
        pair.node.kill(Daemon::Meta);
        assert_eq!(pair.get(&text).expect("there"), text.as_bytes());
    }
    let published = pair.publish("bucket/staged", Content::Staged(staged), Expected::Absent);
    assert_eq!(published.expect("published").attr.size, 100_000);
    pair.volume.release(staged).expect("closed");
    assert!(pair.get("bucket/staged").expect("there") == [7; 100_000]);
    let names = fs::read_dir(pair.node.mount()).expect("listed").count();
    assert_eq!(names, 1, "what front-ends keep for themselves is not shown");
}

#[test]
fn an_object_costs_one_round_trip() {
    let pair = Pair::start();
    let calls = || {
        let mut counters = pair.volume.counters();
        // What goes on all the time.
        counters.retain(|name, _| name.starts_with("meta_") && *name != "meta_feed");
        counters
    };
    let cost = |work: &dyn Fn()| {
        let before = calls();
        work();
        let after = calls().into_iter();
        let grown = after.map(|(name, count)| (name, count - before[name]));
        grown.filter(|(_, count)| *count > 0).collect::<Vec<_>>()
    };
    let (mutate, lookup) = (("meta_mutate", 1), ("meta_lookup_object", 1));
    assert_eq!(cost(&|| drop(pair.put("a/b/c", b"small"))), [mutate]);
    assert_eq!(cost(&|| drop(pair.put("a/b/c", b"again"))), [mutate]);
    assert_eq!(cost(&|| drop(pair.object("a/b/c"))), [lookup]);
    assert_eq!(cost(&|| drop(pair.get("a/b/c"))), [lookup]);
    assert_eq!(cost(&|| drop(pair.keys())), [("meta_list_keys", 1)]);
    assert_eq!(cost(&|| assert!(pair.remove("a/b/c"))), [mutate]);
    let uploaded = cost(&|| drop(pair.upload("a/b/c", b"staged")));
    assert_eq!(uploaded, [("meta_mutate", 3)], "made, written, named");
}
