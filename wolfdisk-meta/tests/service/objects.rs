//! Objects by their keys, beside front-ends that know files by their names.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use wolfdisk_proto::v1::invalidation::Kind;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_proto::v1::publish::Content;
use wolfdisk_proto::v1::{self, Right};

use crate::daemon::{DEADLINE, Node, Session, options};

fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver
}

fn publish(key: &'static str, content: Option<Content>) -> v1::MutateRequest {
    let publish = v1::Publish {
        root: 1,
        key: key.into(),
        content,
        mode: 0o644,
        directory_mode: 0o755,
        s3: Bytes::from_static(b"kept"),
        ..Default::default()
    };
    v1::MutateRequest {
        durable: true,
        op: Some(Op::Publish(publish)),
        ..Default::default()
    }
}

fn data(key: &'static str, bytes: &'static [u8]) -> Op {
    let content = Some(Content::Data(Bytes::from_static(bytes)));
    publish(key, content).op.expect("a mutation")
}

fn remove(key: &'static str) -> Op {
    Op::RemoveObject(v1::RemoveObject {
        root: 1,
        key: key.into(),
        expected: None,
    })
}

impl Session {
    fn durably(&self, op: Op) -> v1::MutateReply {
        let request = v1::MutateRequest {
            durable: true,
            ..self.request(op)
        };
        self.send(&request)
    }

    fn object(&self, key: &'static str, open: Option<u64>) -> v1::LookupObjectReply {
        let request = v1::LookupObjectRequest {
            session: self.id,
            root: 1,
            key: key.into(),
            open: open.is_some(),
            number: open.unwrap_or_default(),
        };
        let reply = self.meta.lookup_object(&mut options(), &request);
        reply.expect("an answer")
    }

    /// Confirms everything until the feed says nothing more for a while.
    fn confirms_while(&self, done: impl Fn() -> bool) {
        let until = std::time::Instant::now() + DEADLINE;
        let mut confirmed = 0;
        while !done() {
            assert!(std::time::Instant::now() < until, "not in time");
            let reply = self.feed(confirmed, Duration::from_millis(20));
            let last = reply.invalidations.last();
            confirmed = last.map_or(confirmed, |item| item.number);
        }
    }
}

#[test]
fn a_key_that_another_misses_is_published_only_once_that_other_knows() {
    let node = Node::new();
    let daemon = node.start();
    let (writer, reader) = (daemon.session("s3"), daemon.session("fuse"));
    let missing = reader.lookup("a");
    assert!(!missing.found && missing.parent_rights & Right::Names as u32 != 0);
    let published = beside(move || writer.durably(data("a/b/c", b"content")));
    let told = reader.told(0);
    let name = told
        .invalidations
        .iter()
        .find(|item| item.kind() == Kind::Name);
    let name = name.expect("the name is told");
    assert_eq!((name.ino, &name.name[..]), (1, &b"a"[..]));
    assert!(published.try_recv().is_err(), "told is not confirmed");
    reader.confirms_while(|| {
        let answer = published.try_recv();
        answer.is_ok_and(|answer| {
            let object = answer.object.expect("an object");
            let attr = object.attr.expect("attributes");
            assert_eq!(object.s3_version, attr.content_version);
            assert_eq!(object.s3.as_deref(), Some(&b"kept"[..]));
            answer.errno == 0
        })
    });
    assert!(reader.lookup("a").found);
}

#[test]
fn who_has_an_object_open_keeps_it_when_it_is_replaced_by_itself_or_others() {
    let node = Node::new();
    let daemon = node.start();
    let (writer, reader) = (daemon.session("s3"), daemon.session("fuse"));
    writer.durably(data("k", b"first"));
    let opened = reader.object("k", Some(1));
    let first = opened
        .object
        .and_then(|object| object.attr)
        .expect("found")
        .ino;
    assert_eq!(opened.map.expect("a map").size, 5);
    writer.object("k", Some(1));
    let other = writer.clone();
    let replaced = beside(move || other.durably(data("k", b"second")));
    let answer = std::cell::OnceCell::new();
    reader.confirms_while(|| {
        replaced
            .try_recv()
            .is_ok_and(|reply| answer.set(reply).is_ok())
    });
    let answer = answer.into_inner().expect("answered");
    assert!(answer.removed && answer.held == [first]);
    assert_eq!(reader.content(first), b"first");
    let closes = |session: &Session| {
        let request = v1::FeedRequest {
            session: session.id,
            released: vec![first],
            ..Default::default()
        };
        session.meta.feed(&mut options(), &request).expect("a feed");
    };
    closes(&writer);
    assert_eq!(reader.content(first), b"first");
    closes(&reader);
    let until = std::time::Instant::now() + DEADLINE;
    while reader.attr(first).is_some() {
        assert!(std::time::Instant::now() < until, "it goes with the last");
        std::thread::yield_now();
    }
    let now = writer
        .object("k", None)
        .object
        .and_then(|object| object.attr);
    assert_ne!(now.expect("found").ino, first);
}

#[test]
fn what_was_published_and_removed_survives_a_kill_and_is_done_once() {
    let node = Node::new();
    let daemon = node.start();
    let session = daemon.session("s3");
    session.durably(data("a/b", b"1"));
    session.durably(data("gone/x", b"1"));
    let twice = session.request(remove("gone/x"));
    let first = session.send(&twice);
    assert_eq!((first.errno, first.changed.len()), (0, 3));
    daemon.kill();
    let daemon = node.start();
    let again = session.send(&twice);
    assert_eq!(
        (again.version, &again.changed),
        (first.version, &first.changed)
    );
    let missing = session.durably(remove("gone/x"));
    assert_eq!(missing.errno, libc::ENOENT as u32);
    let list = v1::ListKeysRequest {
        session: session.id,
        root: 1,
        max: 10,
        ..Default::default()
    };
    let page = session
        .meta
        .list_keys(&mut options(), &list)
        .expect("a page");
    let keys: Vec<_> = page.entries.iter().map(|entry| entry.key.clone()).collect();
    assert_eq!(keys, ["a/b"]);
    let known = session.object("a/b", None);
    assert_eq!(page.entries[0].object, known.object);
    assert!(!page.more);
    drop(daemon);
}

#[test]
fn many_that_publish_in_one_directory_share_batches_and_lose_nothing() {
    const EACH: u64 = 40;
    let node = Node::new();
    let daemon = node.start();
    let sessions = [0; 4].map(|_| daemon.session("s3"));
    let keys = ["d/e/1", "d/e/2", "d/e/3", "d/e/same"];
    std::thread::scope(|scope| {
        for (session, key) in sessions.iter().zip(keys) {
            scope.spawn(move || {
                for round in 0..EACH {
                    let key = if round % 4 == 0 { "d/e/same" } else { key };
                    assert_eq!(session.mutate(data(key, b"x")).errno, 0);
                    if round % 5 == 4 {
                        // Another may have been faster.
                        let gone = session.mutate(remove(key)).errno;
                        assert!(gone == 0 || gone == libc::ENOENT as u32);
                    }
                }
            });
        }
    });
    for key in keys {
        sessions[0].mutate(data(key, b"x"));
        assert_eq!(sessions[1].mutate(remove(key)).errno, 0);
    }
    assert!(!sessions[2].lookup("d").found, "what was implied is gone");
    daemon.stop_well();
}
