//! Members with less than the whole: one that may only read, and one that has one directory.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use bytes::Bytes;
use wolfdisk_proto::Failure;
use wolfdisk_proto::v1;
use wolfdisk_proto::v1::mutate_request::Op;
use wolfdisk_tests::{Cluster, wait_until};

use crate::raw::{Listener, Raw, Span, create, credentials, unlink, write};

/// More than is kept beside the attributes, so that chunks hold it.
const LARGE_BYTES: usize = 5_000_000;
const STALE: Failure = Failure::Errno(libc::ESTALE);

fn refused_read_only(what: &str, done: io::Result<()>) {
    let error = done.expect_err(what);
    assert_eq!(error.raw_os_error(), Some(libc::EROFS), "{what}");
}

fn truncate(path: &Path) -> io::Result<()> {
    fs::File::options()
        .write(true)
        .truncate(true)
        .open(path)
        .map(drop)
}

#[test]
fn a_client_that_may_only_read_changes_nothing() {
    let cluster = Cluster::start();
    let node = cluster.node();
    fs::write(node.path("file"), "of the node").expect("written");
    let data = cluster.joined("desk", &["--read-only", "--no-squash-root"]);
    let desk = cluster.up(data.clone());
    let (file, new) = (desk.path("file"), desk.path("new"));
    assert_eq!(fs::read(&file).expect("it may read"), b"of the node");
    let permissions = || fs::Permissions::from_mode(0o600);
    for (what, done) in [
        ("create", fs::write(&new, "x")),
        ("truncate", truncate(&file)),
        (
            "append",
            fs::File::options().append(true).open(&file).map(drop),
        ),
        ("unlink", fs::remove_file(&file)),
        ("rename", fs::rename(&file, &new)),
        ("link", fs::hard_link(&file, &new)),
        ("symlink", std::os::unix::fs::symlink("file", &new)),
        ("mkdir", fs::create_dir(&new)),
        ("chmod", fs::set_permissions(&file, permissions())),
    ] {
        refused_read_only(what, done);
    }

    // The servers hold to it, whatever a client does, and count it.
    let [meta, chunkd] = Listener::both(&credentials(&data));
    let denied = |daemon: &Listener| daemon.counter(&cluster, "calls_denied");
    let before = [&meta, &chunkd].map(denied);
    let mut raw = Raw::of(&data);
    let ino = fs::metadata(node.path("file")).expect("there").ino();
    let root = raw.root;
    for op in [
        write(ino, b"by the desk"),
        create(root, "new"),
        unlink(root, "file"),
        Op::Setattr(v1::SetAttr {
            ino,
            size: Some(0),
            ..Default::default()
        }),
    ] {
        let what = format!("{op:?}");
        assert_eq!(raw.change(op), Ok(libc::EROFS as u32), "{what}");
    }
    let put = raw.put(b"a chunk");
    assert!(matches!(put, Err(Failure::Denied(_))), "{put:?}");
    assert_eq!(denied(&meta) - before[0], 4, "each is counted");
    wait_until("it is counted", || denied(&chunkd) == before[1] + 1);
    assert_eq!(fs::read(node.path("file")).expect("read"), b"of the node");
    assert_eq!(fs::read_dir(node.mount()).expect("listed").count(), 1);
    assert_eq!(fs::read(&file).expect("it still may read"), b"of the node");
}

#[test]
fn a_client_with_one_directory_reaches_nothing_beside_it() {
    let cluster = Cluster::start();
    let node = cluster.node();
    for directory in ["in", "out"] {
        fs::create_dir(node.path(directory)).expect("made");
    }
    fs::write(node.path("in/own"), vec![1; LARGE_BYTES]).expect("written");
    fs::write(node.path("out/secret"), vec![2; LARGE_BYTES]).expect("written");
    let number = |path: &str| fs::metadata(node.path(path)).expect("there").ino();
    let (inside, own, outside, secret) = (
        number("in"),
        number("in/own"),
        number("out"),
        number("out/secret"),
    );
    let data = cluster.joined("desk", &["--subdir", "/in", "--no-squash-root"]);
    let desk = cluster.up(data.clone());
    let listed = fs::read_dir(desk.mount()).expect("listed");
    let names: Vec<_> = listed
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["own"]);
    assert!(fs::metadata(desk.path("../out/secret")).is_err());

    let [meta, chunkd] = Listener::both(&credentials(&data));
    let denied = |daemon: &Listener| daemon.counter(&cluster, "calls_denied");
    let before = [&meta, &chunkd].map(denied);
    let mut raw = Raw::of(&data);
    assert_eq!(raw.root, inside);
    let volume = 1;
    for ino in [volume, outside, secret] {
        assert_eq!(raw.attributes(ino).map(drop), Err(STALE), "{ino}");
        for write in [false, true] {
            assert_eq!(raw.open(ino, write), Err(STALE), "{ino}");
        }
        assert_eq!(raw.map(ino).map(drop), Err(STALE), "{ino}");
        assert_eq!(raw.list(ino), Err(STALE), "{ino}");
    }
    for (parent, name) in [(volume, "out"), (outside, "secret")] {
        assert_eq!(raw.look_up(parent, name), Err(STALE), "{name}");
    }
    for op in [
        write(secret, b"by the desk"),
        unlink(outside, "secret"),
        create(outside, "new"),
        Op::Link(v1::Link {
            ino: secret,
            parent: inside,
            name: Bytes::from_static(b"stolen"),
        }),
        Op::Rename(v1::Rename {
            parent: outside,
            name: Bytes::from_static(b"secret"),
            new_parent: inside,
            new_name: Bytes::from_static(b"stolen"),
            ..Default::default()
        }),
    ] {
        let what = format!("{op:?}");
        assert_eq!(raw.change(op), Ok(libc::ESTALE as u32), "{what}");
    }
    // Three inodes in five ways, two names, five changes.
    assert_eq!(denied(&meta) - before[0], 15 + 2 + 5, "each is counted");

    // Nor chunks: another member may name them, and its tickets are no use to this one.
    let whole = Raw::of(&cluster.joined("table", &["--no-squash-root"]));
    let theirs = whole.map(secret).expect("mapped");
    let read = whole.read(&theirs).expect("read");
    assert!(read.iter().all(|byte| *byte == 2));
    let ours = raw.map(own).expect("mapped");
    assert_eq!(raw.read(&ours).expect("read").len(), ours.length as usize);
    for (what, ticket) in [
        ("none", Bytes::new()),
        ("forged", Bytes::from_static(&[7; 16])),
        ("of another member", theirs.ticket.clone()),
        ("for another chunk", ours.ticket.clone()),
    ] {
        let span = Span {
            ticket,
            ..theirs.clone()
        };
        let answer = raw.read(&span);
        assert!(
            matches!(answer, Err(Failure::Denied(_))),
            "{what}: {answer:?}"
        );
    }
    // Wider than the ticket.
    let wider = Span {
        length: ours.length + 1,
        ..ours
    };
    let answer = raw.read(&wider);
    assert!(matches!(answer, Err(Failure::Denied(_))), "{answer:?}");
    wait_until("each is counted", || denied(&chunkd) == before[1] + 5);
    assert_eq!(number("out/secret"), secret);
    let whole = fs::read(node.path("out/secret")).expect("read");
    assert!(whole == vec![2; LARGE_BYTES], "it was changed");
}
