//! Two mounts of one node: what a call on one has changed, the next call on the other sees, with caches
//! warm on both sides.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

use crate::harness::{Node, errno};

#[test]
fn names_that_come_go_and_change_are_seen_at_once() {
    let node = Node::start();
    let (a, b) = (node.mount(), node.mount());
    for round in 0..20 {
        let name = format!("name-{round}");
        assert_eq!(errno(fs::metadata(b.at(&name))), libc::ENOENT);
        fs::write(a.at(&name), format!("first {round}")).expect("written");
        assert_eq!(
            fs::read_to_string(b.at(&name)).expect("read"),
            format!("first {round}")
        );
        fs::write(b.at("new"), format!("second {round}")).expect("written");
        fs::rename(b.at("new"), b.at(&name)).expect("renamed");
        assert_eq!(
            fs::read_to_string(a.at(&name)).expect("read"),
            format!("second {round}")
        );
        assert_eq!(errno(fs::metadata(a.at("new"))), libc::ENOENT);
        fs::remove_file(a.at(&name)).expect("removed");
        assert_eq!(errno(fs::metadata(b.at(&name))), libc::ENOENT);
    }
    let list =
        |mount: &crate::harness::Mount| fs::read_dir(mount.path()).expect("a listing").count();
    for number in 0..10 {
        fs::create_dir(a.at(format!("dir-{number}"))).expect("a directory");
        assert_eq!((list(&b), list(&a)), (number + 1, number + 1));
    }
    for number in 0..10 {
        fs::remove_dir(b.at(format!("dir-{number}"))).expect("removed");
        assert_eq!((list(&b), list(&a)), (9 - number, 9 - number));
    }
}

#[test]
fn content_size_and_permissions_are_seen_at_once() {
    let node = Node::start();
    let (a, b) = (node.mount(), node.mount());
    fs::write(a.at("f"), b"").expect("a file");
    let watched = File::open(b.at("f")).expect("a file");
    let size = |file: &File| file.metadata().expect("attributes").len();
    for round in 1..30u64 {
        OpenOptions::new()
            .append(true)
            .open(a.at("f"))
            .expect("open")
            .write_all(&[7; 1000])
            .expect("written");
        assert_eq!(
            fs::metadata(b.at("f")).expect("attributes").len(),
            round * 1000
        );
        assert_eq!(size(&watched), round * 1000);
        let mut all = Vec::new();
        File::open(b.at("f"))
            .expect("open")
            .read_to_end(&mut all)
            .expect("read");
        assert!(all == vec![7; (round * 1000) as usize], "round {round}");
    }
    OpenOptions::new()
        .write(true)
        .open(a.at("f"))
        .expect("open")
        .set_len(10)
        .expect("cut");
    assert_eq!(
        (size(&watched), fs::read(b.at("f")).expect("read").len()),
        (10, 10)
    );
    for bits in [0o600, 0o644, 0o755] {
        fs::set_permissions(a.at("f"), fs::Permissions::from_mode(bits)).expect("chmod");
        assert_eq!(
            fs::metadata(b.at("f")).expect("attributes").mode() & 0o777,
            bits
        );
        assert_eq!(watched.metadata().expect("attributes").mode() & 0o777, bits);
    }
}

#[test]
fn an_open_file_that_is_rewritten_elsewhere_shows_the_new_bytes() {
    let node = Node::start();
    let (a, b) = (node.mount(), node.mount());
    fs::write(a.at("f"), vec![0; 50_000]).expect("a file");
    let reader = File::open(b.at("f")).expect("a file");
    let mut room = vec![0; 50_000];
    for round in 1..20u8 {
        reader.read_exact_at(&mut room, 0).expect("read");
        let writer = OpenOptions::new()
            .write(true)
            .open(a.at("f"))
            .expect("a file");
        writer
            .write_all_at(&vec![round; 50_000], 0)
            .expect("written");
        writer.sync_all().expect("synced");
        reader.read_exact_at(&mut room, 0).expect("read");
        assert!(room.iter().all(|byte| *byte == round), "round {round}");
    }
}

#[test]
fn writers_on_both_mounts_mix_without_loss() {
    let node = Node::start();
    let (a, b) = (node.mount(), node.mount());
    fs::write(a.at("f"), vec![0; 8192]).expect("a file");
    let open = |mount: &crate::harness::Mount| {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(mount.at("f"))
            .expect("a file")
    };
    let (first, second) = (open(&a), open(&b));
    for round in 1..20u8 {
        first.write_all_at(&[round; 100], 0).expect("written");
        second.write_all_at(&[round; 100], 100).expect("written");
        first.sync_data().expect("synced");
        second.sync_data().expect("synced");
        for file in [&first, &second] {
            let mut room = [0; 200];
            file.read_exact_at(&mut room, 0).expect("read");
            assert_eq!(room, [round; 200], "round {round}");
        }
    }
}
