//! A mount with `-o exclusive` is the only one, and does what any other does though the kernel buffers its writes and
//! keeps its locks.

use std::fs;
use std::os::unix::fs::FileExt;

use wolfdisk_tests::{Daemon, Exerciser, Node, Plan, Random, Role};

fn exclusive() -> Node {
    Node::start_as(Plan {
        arguments: ["-o".into(), "exclusive".into()].into(),
        ..Plan::default()
    })
}

#[test]
fn another_mount_is_refused_and_told_why() {
    let node = exclusive();
    fs::write(node.path("file"), b"content").expect("written");
    for options in ["rw", "ro", "exclusive"] {
        let refused = node.try_to_mount(options);
        assert_ne!(refused.code, Some(0), "{refused:#?}");
        let why = "has the volume for itself; unmount it first";
        assert!(refused.stderr.contains(why), "{refused:#?}");
    }
    assert_eq!(fs::read(node.path("file")).expect("read"), b"content");
}

#[test]
fn it_is_refused_beside_others_and_free_when_they_are_gone() {
    let mut node = Node::start();
    let refused = node.try_to_mount("exclusive");
    assert!(
        refused.stderr.contains("uses the volume") && refused.code != Some(0),
        "{refused:#?}"
    );
    node.stop();
    node.plan().arguments = ["-o".into(), "exclusive".into()].into();
    node.up();
    fs::write(node.path("file"), b"content").expect("written");
    node.stop();
    node.plan().arguments.clear();
    node.up();
    let second = node.second_mount();
    assert_eq!(fs::read(second.path("file")).expect("read"), b"content");
}

/// Every session is left behind, and its process is gone: it is in nobody's way for long.
#[test]
fn a_crash_leaves_nothing_in_the_way() {
    let mut node = exclusive();
    let file = fs::File::create_new(node.path("synced")).expect("created");
    file.write_all_at(b"content", 0).expect("written");
    file.sync_all().expect("synced");
    node.crash();
    node.up();
    assert_eq!(fs::read(node.path("synced")).expect("read"), b"content");
}

#[test]
fn what_was_closed_survives_a_kill_of_any_daemon_and_what_was_written_too() {
    let node = exclusive();
    let open = fs::File::create_new(node.path("open")).expect("created");
    for (number, daemon) in Daemon::ALL.into_iter().enumerate() {
        let name = node.path(format!("closed{number}"));
        let bytes = vec![number as u8 + 1; 100_000];
        fs::write(&name, &bytes).expect("written");
        let at = number as u64 * 5_000;
        open.write_all_at(&bytes[..5_000], at).expect("written");
        if daemon == Daemon::Fuse {
            // What it had taken and not saved would be lost, and told so.
            open.sync_all().expect("synced");
        }
        node.kill(daemon);
        assert_eq!(fs::read(&name).expect("read"), bytes);
        let mut back = vec![0; 5_000];
        open.read_exact_at(&mut back, at).expect("read");
        assert_eq!(back, bytes[..5_000]);
    }
    open.sync_all().expect("synced");
    node.must_be_whole();
}

/// Nobody but the kernel knows of what is buffered and of locks; both go with the mount.
#[test]
fn an_unmount_writes_back() {
    let mut node = exclusive();
    let bytes = vec![7; 3_000_000];
    let file = fs::File::create_new(node.path("file")).expect("created");
    file.write_all_at(&bytes, 0).expect("written");
    drop(file);
    node.restart();
    assert_eq!(fs::read(node.path("file")).expect("read"), bytes);
}

#[test]
fn random_calls_give_what_they_give_on_ext4() {
    let node = exclusive();
    let mounts = vec![node.mount().to_owned()];
    Exerciser::new(mounts.clone(), &[Role::ROOT, Role::ANN])
        .on_exclusive()
        .in_turn(|_| ());
    Exerciser::new(mounts, &[Role::ROOT, Role::ROOT, Role::ANN])
        .on_exclusive()
        .at_once(|_| ());
}

#[test]
fn random_calls_while_stores_are_killed() {
    let node = exclusive();
    let kill = |random: &mut Random| {
        node.kill([Daemon::Meta, Daemon::Chunkd][random.below(2) as usize]);
    };
    Exerciser::new(vec![node.mount().to_owned()], &[Role::ROOT])
        .on_exclusive()
        .in_turn(kill);
    node.must_be_whole();
}
