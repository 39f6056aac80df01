//! `-o subdir=` on a machine whose token gives it one directory: it is a path below that, and leads nowhere else.

use std::fs;
use std::os::unix::fs::symlink;

use wolfdisk_tests::{Cluster, Daemon, Node, signal, wait_until};

use nix::sys::signal::Signal;

/// A cluster with a directory `in,side`, in which there are others, and one beside it.
fn cluster() -> Cluster {
    let cluster = Cluster::start();
    let node = cluster.node();
    fs::create_dir_all(node.path("in,side/a/b")).expect("made");
    fs::write(node.path("in,side/a/file"), "of a").expect("written");
    fs::create_dir(node.path("out")).expect("made");
    fs::write(node.path("out/secret"), "of others").expect("written");
    symlink("../out", node.path("in,side/link")).expect("made");
    symlink("a", node.path("in,side/near")).expect("made");
    cluster
}

fn read(node: &Node, name: &str) -> String {
    fs::read_to_string(node.path(name)).expect(name)
}

#[test]
fn a_path_is_one_below_the_directory_of_the_token() {
    let cluster = cluster();
    let desk = cluster.up(cluster.joined("desk", &["--subdir", "in,side", "--no-squash-root"]));
    assert_eq!(read(&desk, "a/file"), "of a");

    let below = desk.second_mount_with("subdir=/a,admin=off");
    assert_eq!(
        fs::read_to_string(below.path("file")).expect("read"),
        "of a"
    );
    fs::write(below.path("b/new"), "by the desk").expect("written");
    assert_eq!(read(cluster.node(), "in,side/a/b/new"), "by the desk");
    let above = fs::read_dir(below.path("..")).expect("above the mount");
    let mut names = above.map(|entry| entry.expect("one").file_name());
    assert!(!names.any(|name| name == "near" || name == "out"));

    for (path, why) in [
        ("missing", "/missing in the volume is not there"),
        ("out", "/out in the volume is not there"),
        (r"in\,side", "/in,side in the volume is not there"),
        ("../out", "without .."),
        ("a/../../out", "without .."),
        (
            "link",
            "/link in the volume is no directory; symbolic links",
        ),
        (
            "near",
            "/near in the volume is no directory; symbolic links",
        ),
        ("a/file", "/a/file in the volume is no directory"),
    ] {
        let outcome = desk.try_to_mount(&format!("subdir={path}"));
        assert_eq!(outcome.code, Some(2), "{path}: {outcome:#?}");
        assert!(outcome.stderr.contains(why), "{path}: {outcome:#?}");
    }
}

#[test]
fn what_is_renamed_above_it_or_out_of_reach_takes_the_mount_with_it() {
    let cluster = cluster();
    let node = cluster.node();
    let desk = cluster.up(cluster.joined("desk", &["--subdir", "in,side", "--no-squash-root"]));
    let below = desk.second_mount_with("subdir=a,admin=off");
    // The token is for the directory, whatever it is called.
    fs::rename(node.path("in,side"), node.path("renamed")).expect("renamed");
    fs::write(below.path("file"), "again").expect("written");
    assert_eq!(read(node, "renamed/a/file"), "again");
    assert_eq!(read(&desk, "a/file"), "again");
    // So does a new process find it.
    signal(desk.pid(Daemon::Fuse), Signal::SIGKILL);
    wait_until("a successor serves the mount", || {
        fs::read_to_string(desk.path("a/file")).is_ok_and(|text| text == "again")
    });
    // What leaves the directory is out of reach.
    fs::rename(node.path("renamed/a"), node.path("out/a")).expect("moved out");
    wait_until("it is gone from the mount", || {
        fs::metadata(desk.path("a")).is_err()
    });
    wait_until("nothing can be written there", || {
        fs::write(below.path("file"), "from outside").is_err()
    });
    assert_eq!(read(node, "out/a/file"), "again");
}
