//! Objects by their keys, compared with a plain map of paths, and listings with the sorted set of its keys.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;
use wolfdisk_common::ids::{Ino, Version};
use wolfdisk_common::object_key::ObjectKey;

use super::harness::{World, create, unlink};
use crate::index::op::{
    Effect, Expected, Kind, Op, Publish, PublishContent, RemoveObject, SetTime,
};
use crate::index::record::Inode;
use crate::index::{KeyPage, ListKeys, ListedKey};
use crate::limits;

mod model;

use model::{Model, Node, expected};

/// Names whose order differs from that of their keys, and others.
const NAMES: [&str; 9] = ["a", "a-", "a-b", "a.b", "a!", "a0", "b", "ab", "-"];

pub(super) fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text.as_bytes()).expect("a key")
}

pub(super) fn publish(root: Ino, text: &str, content: PublishContent) -> Publish {
    Publish {
        root,
        key: key(text),
        content,
        permissions: 0o644,
        directory_permissions: 0o755,
        uid: 1000,
        gid: 1000,
        s3: Bytes::from(format!("s3 of {text}")),
        mtime: SetTime::Now,
        expected: Expected::Anything,
        openers: Vec::new(),
    }
}

pub(super) fn data(bytes: &[u8]) -> PublishContent {
    PublishContent::Data {
        data: Bytes::copy_from_slice(bytes),
    }
}

pub(super) fn removal(root: Ino, text: &str) -> RemoveObject {
    RemoveObject {
        root,
        key: key(text),
        expected: Expected::Anything,
        openers: Vec::new(),
    }
}

pub(super) fn stage(root: Ino) -> Op {
    Op::Stage {
        root,
        permissions: 0o600,
        uid: 0,
        gid: 0,
    }
}

fn text(entry: &ListedKey) -> String {
    let (ListedKey::Object { key, .. } | ListedKey::Prefix(key)) = entry;
    String::from_utf8(key.to_vec()).expect("text")
}

/// Everything from `request.after` on, page by page.
fn listed(world: &World, root: Ino, request: &ListKeys) -> Vec<ListedKey> {
    let (mut all, mut request) = (Vec::new(), request.clone());
    loop {
        let page = world.index.list_keys(root, &request).expect("read");
        let KeyPage {
            entries,
            more,
            last,
        } = page;
        assert!(entries.len() <= request.max);
        assert!(!more || last > request.after, "{last:?} after {request:?}");
        all.extend(entries);
        if !more {
            return all;
        }
        request.after = last;
    }
}

struct Pair {
    world: World,
    root: Ino,
    model: Model,
}

#[derive(Clone, Debug)]
enum Step {
    Publish(Vec<usize>, bool, bool),
    Remove(Vec<usize>, bool),
    Make(Vec<usize>, u8),
    Unmake(Vec<usize>),
    Write(Vec<usize>),
    Describe(Vec<usize>, bool),
}

fn path() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..NAMES.len(), 1..4)
}

fn spelled(path: &[usize], marker: bool) -> String {
    let names: Vec<&str> = path.iter().map(|at| NAMES[*at]).collect();
    names.join("/") + if marker { "/" } else { "" }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let flag = any::<bool>;
    let step = prop_oneof![
        8 => (path(), proptest::bool::weighted(0.2), flag())
            .prop_map(|(path, marker, staged)| Step::Publish(path, marker, staged)),
        4 => (path(), flag()).prop_map(|(path, marker)| Step::Remove(path, marker)),
        2 => (path(), 0u8..3).prop_map(|(path, kind)| Step::Make(path, kind)),
        2 => path().prop_map(Step::Unmake),
        1 => path().prop_map(Step::Write),
        1 => (path(), flag()).prop_map(|(path, silent)| Step::Describe(path, silent)),
    ];
    proptest::collection::vec(step, 1..80)
}

fn requests() -> impl Strategy<Value = Vec<ListKeys>> {
    let bytes = prop_oneof![
        2 => Just(String::new()),
        4 => (path(), any::<bool>()).prop_map(|(path, marker)| spelled(&path, marker)),
        1 => (path(), "[-!a/]{0,2}").prop_map(|(path, rest)| spelled(&path, false) + &rest),
        1 => "[-!.0/ab]{0,5}",
    ];
    let request = (bytes.clone(), bytes, any::<bool>(), 1usize..5);
    let request = request.prop_map(|(prefix, after, delimiter, max)| ListKeys {
        as_nobody: false,
        prefix: prefix.into(),
        after: after.into(),
        delimiter,
        max,
    });
    proptest::collection::vec(request, 1..12)
}

impl Pair {
    fn new() -> Pair {
        let mut world = World::new();
        let root = world.create(Ino::ROOT, "bucket", Kind::Directory);
        Pair {
            world,
            root,
            model: Model::default(),
        }
    }

    fn find(&self, path: &str) -> Option<(Ino, Inode)> {
        let names = path.split('/').filter(|name| !name.is_empty());
        let mut at = self.root;
        for name in names {
            (at, _) = self
                .world
                .index
                .lookup(at, name.as_bytes())
                .expect("read")?;
        }
        let inode = self.world.index.inode(at).expect("read")?;
        Some((at, inode))
    }

    fn step(&mut self, step: &Step, salt: u8) {
        let done = match step {
            Step::Publish(path, marker, staged) => {
                self.publish(&spelled(path, *marker), *staged, salt)
            }
            Step::Remove(path, marker) => {
                let text = spelled(path, *marker);
                let remove = removal(self.root, &text);
                let errno = self.world.run(Op::RemoveObject { remove }).answer.errno;
                (errno, self.model.remove(&text).err().unwrap_or(0))
            }
            Step::Make(path, kind) => return self.make(&spelled(path, false), *kind),
            Step::Unmake(path) => return self.unmake(&spelled(path, false)),
            Step::Write(path) => return self.write(&spelled(path, false), salt),
            Step::Describe(path, silent) => {
                return self.describe(&spelled(path, false), *silent);
            }
        };
        assert_eq!(done.0, done.1, "{step:?}");
    }

    fn publish(&mut self, text: &str, staged: bool, salt: u8) -> (i32, i32) {
        let bytes = vec![salt; usize::from(salt) * 7];
        let content = match (text.ends_with('/'), staged) {
            (true, _) => PublishContent::Directory,
            (false, true) => {
                let ino = self.world.run(stage(self.root)).answer.inodes[0];
                self.world.write(ino, 0, &bytes);
                PublishContent::Staged { ino }
            }
            (false, false) => data(&bytes),
        };
        let held = match content {
            PublishContent::Staged { ino } => Some(ino),
            PublishContent::Data { .. } | PublishContent::Directory => None,
        };
        let publish = publish(self.root, text, content);
        let errno = self.world.run(Op::Publish { publish }).answer.errno;
        if let Some(ino) = held.filter(|_| errno != 0) {
            let (session, inos) = (self.world.session, vec![ino]);
            self.world.run(Op::Release { session, inos });
        }
        (errno, self.model.publish(text, &bytes).err().unwrap_or(0))
    }

    /// As a mount would.
    fn make(&mut self, path: &str, kind: u8) {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        if !self.model.is_directory(above) || self.model.0.contains_key(path) {
            return;
        }
        let (kind, node) = match kind {
            0 => (
                Kind::Directory,
                Node::Directory {
                    implied: false,
                    s3: None,
                },
            ),
            1 => (
                Kind::File,
                Node::File {
                    data: Vec::new(),
                    s3: None,
                    stale: false,
                },
            ),
            _ => (Kind::Symlink, Node::Link),
        };
        let (parent, _) = self.find(above).expect("a directory");
        self.world.create(parent, name, kind);
        self.model.0.insert(path.to_owned(), node);
    }

    fn unmake(&mut self, path: &str) {
        if !self.model.0.contains_key(path) || !self.model.is_empty(path) {
            return;
        }
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (parent, _) = self.find(above).expect("a directory");
        let directory = self.model.is_directory(path);
        let outcome = self.world.run(unlink(parent, name, directory));
        assert_eq!(outcome.answer.errno, 0);
        self.model.0.remove(path);
    }

    fn write(&mut self, path: &str, salt: u8) {
        let Some(Node::File { data, stale, .. }) = self.model.0.get_mut(path) else {
            return;
        };
        *data = vec![salt; data.len().max(3)];
        *stale = true;
        let bytes = data.clone();
        let (ino, _) = self.find(path).expect("a file");
        self.world.write(ino, 0, &bytes);
    }

    /// A silent description is one of a file, and changes nothing else of it.
    fn describe(&mut self, path: &str, silent: bool) {
        let Some((ino, inode)) = self.find(path) else {
            return;
        };
        let value = Bytes::from_static(b"described");
        let op = |stamp| Op::SetObject {
            ino,
            expected_stamp: Some(stamp),
            s3: Some(value.clone()),
            silent,
        };
        if silent && inode.kind == Kind::Directory {
            let refused = self.world.run(op(inode.stamp));
            assert_eq!(refused.answer.errno, libc::EINVAL);
            return;
        }
        match self.model.0.get_mut(path) {
            Some(Node::File { s3, stale, .. }) => (*s3, *stale) = (Some(value.clone()), false),
            Some(Node::Directory { s3, implied }) => {
                (*s3, *implied) = (Some(value.clone()), false);
            }
            Some(Node::Link) | None => return,
        }
        let late = self.world.run(op(Version(inode.stamp.0 + 1)));
        assert_eq!(late.answer.errno, libc::ECANCELED);
        let done = self.world.run(op(inode.stamp));
        assert_eq!(done.answer.errno, 0);
        let (_, now) = self.find(path).expect("it is there");
        assert!(now.stamp > inode.stamp);
        let told: &[Effect] = if silent { &[] } else { &[Effect::Attr { ino }] };
        assert_eq!((now.ctime > inode.ctime, &*done.effects), (!silent, told));
        let otherwise = Inode {
            stamp: inode.stamp,
            ctime: inode.ctime,
            s3: inode.s3.clone(),
            ..now
        };
        assert_eq!(otherwise, inode);
    }

    fn compare(&self) {
        let keys = self.model.keys();
        let all = ListKeys {
            as_nobody: false,
            prefix: Bytes::new(),
            after: Bytes::new(),
            delimiter: false,
            max: 1000,
        };
        let entries = listed(&self.world, self.root, &all);
        let found: Vec<String> = entries.iter().map(text).collect();
        assert_eq!(found, keys.keys().cloned().collect::<Vec<_>>());
        for entry in entries {
            let ListedKey::Object { ino, inode, .. } = &entry else {
                panic!("nothing in common was asked for");
            };
            let text = text(&entry);
            let there = self.world.index.object(self.root, &key(&text));
            let there = there
                .expect("read")
                .map(|(ino, inode)| (ino, Box::new(inode)));
            assert_eq!(there, Some((*ino, inode.clone())));
            let record = inode.object().expect("readable");
            match keys[&text] {
                Node::File { data, s3, stale } => {
                    assert_eq!(&self.world.content(*ino), data);
                    assert_eq!(&record.value, s3);
                    let fresh = record.described == inode.content_version;
                    assert!(s3.is_none() || fresh != *stale);
                    let links = (inode.nlink, record.implied);
                    assert_eq!(links, (1, false));
                }
                Node::Directory { implied, s3 } => {
                    assert_eq!((&record.value, &record.implied), (s3, implied));
                }
                Node::Link => panic!("a link is no key"),
            }
        }
    }
}

proptest! {
    #[test]
    fn keys_do_what_a_plain_map_does(
        steps in steps(), requests in requests(), restart in 0usize..100,
    ) {
        let mut pair = Pair::new();
        for (at, step) in steps.iter().enumerate() {
            pair.step(step, at as u8);
            pair.compare();
        }
        pair.world.check();
        let keys: BTreeSet<String> = pair.model.keys().into_keys().collect();
        for request in requests {
            let entries = listed(&pair.world, pair.root, &request);
            let found: Vec<String> = entries.iter().map(text).collect();
            prop_assert_eq!(found, expected(&keys, &request), "{:?} of {:?}", request, keys);
        }
        pair.world.check_replay(restart % pair.world.log.len());
    }
}

#[test]
fn a_listing_that_finds_nothing_ends_and_goes_on() {
    let mut pair = Pair::new();
    let many = pair.world.create(pair.root, "many", Kind::Directory);
    for number in 0..limits::LIST_STEPS_MAX + 10 {
        pair.world
            .own(create(many, &format!("link{number:05}"), Kind::Symlink));
    }
    let publish = publish(pair.root, "many/z/last", data(b"x"));
    assert_eq!(pair.world.run(Op::Publish { publish }).answer.errno, 0);
    let request = ListKeys {
        as_nobody: false,
        prefix: Bytes::from_static(b"many/l"),
        after: Bytes::new(),
        delimiter: false,
        max: 3,
    };
    let page = pair
        .world
        .index
        .list_keys(pair.root, &request)
        .expect("read");
    assert!(page.entries.is_empty() && page.more);
    assert_eq!(listed(&pair.world, pair.root, &request), []);
    for delimiter in [false, true] {
        let request = ListKeys {
            as_nobody: false,
            prefix: Bytes::from_static(b"many/"),
            after: Bytes::from_static(b"many/"),
            delimiter,
            max: 3,
        };
        let found: Vec<_> = listed(&pair.world, pair.root, &request)
            .iter()
            .map(text)
            .collect();
        assert_eq!(found, [if delimiter { "many/z/" } else { "many/z/last" }]);
    }
    // Of a directory that stands for all that is in it, nobody looks that far for a key.
    let deep = publish_deep(&mut pair);
    for number in 0..limits::LIST_STEPS_MAX + 10 {
        pair.world
            .own(create(deep, &format!("link{number:05}"), Kind::Symlink));
    }
    for max in [1, 2] {
        let request = ListKeys {
            as_nobody: false,
            prefix: Bytes::new(),
            after: Bytes::new(),
            delimiter: true,
            max,
        };
        let found: Vec<_> = listed(&pair.world, pair.root, &request)
            .iter()
            .map(text)
            .collect();
        assert_eq!(found, ["a", "deep/", "many/"]);
    }
    pair.world.check();
}

/// A directory that is there for a key below it alone.
fn publish_deep(pair: &mut Pair) -> Ino {
    for text in ["a", "deep/x/last"] {
        let publish = publish(pair.root, text, data(b"x"));
        assert_eq!(pair.world.run(Op::Publish { publish }).answer.errno, 0);
    }
    let found = pair.world.index.lookup(pair.root, b"deep").expect("read");
    found.expect("a directory").0
}

#[test]
fn a_listing_of_many_deep_directories_ends_and_goes_on() {
    let mut pair = Pair::new();
    let (path, count) = ("a/".repeat(400), limits::LIST_STEPS_MAX / 400 + 5);
    for number in 0..count {
        let publish = publish(pair.root, &format!("{number:04}/{path}k"), data(b"x"));
        pair.world.own(Op::Publish { publish });
    }
    for delimiter in [false, true] {
        let request = ListKeys {
            as_nobody: false,
            prefix: Bytes::new(),
            after: Bytes::new(),
            delimiter,
            max: 1000,
        };
        let page = pair
            .world
            .index
            .list_keys(pair.root, &request)
            .expect("read");
        assert!(page.more && (1..count).contains(&page.entries.len()));
        assert_eq!(listed(&pair.world, pair.root, &request).len(), count);
    }
    pair.world.check();
}

#[test]
fn names_beyond_the_longest_key_are_no_keys() {
    let mut world = World::new();
    let root = world.create(Ino::ROOT, "bucket", Kind::Directory);
    let (name, mut at) = ("d".repeat(255), root);
    for _ in 0..6 {
        at = world.create(at, &name, Kind::Directory);
        world.create(at, "f", Kind::File);
    }
    let all = ListKeys {
        as_nobody: false,
        prefix: Bytes::new(),
        after: Bytes::new(),
        delimiter: false,
        max: 2,
    };
    let found: Vec<_> = listed(&world, root, &all).iter().map(text).collect();
    assert_eq!(found.len(), 7, "four directories and files of three");
    assert!(found.iter().all(|key| key.len() <= 1024));
}
