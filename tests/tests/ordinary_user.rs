//! Without root: the node runs and mounts with fusermount3, and `allow_other` is dropped with one line
//! where fuse.conf does not allow it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use wolfdisk_tests::{Node, Plan, run, run_as, sh};

/// `nobody`: fusermount3 serves only users that have a name.
const USER: u32 = 65_534;

/// /dev/fuse open to all, as udev leaves it on every distribution; as it was when dropped.
struct OpenDevice(fs::Permissions);

impl OpenDevice {
    const PATH: &str = "/dev/fuse";

    fn new() -> OpenDevice {
        let before = fs::metadata(OpenDevice::PATH).expect("there").permissions();
        let open = fs::Permissions::from_mode(0o666);
        fs::set_permissions(OpenDevice::PATH, open).expect("root may");
        OpenDevice(before)
    }
}

impl Drop for OpenDevice {
    fn drop(&mut self) {
        fs::set_permissions(OpenDevice::PATH, self.0.clone()).expect("root may");
    }
}

#[test]
fn a_node_of_an_ordinary_user() {
    let conf = fs::read_to_string("/etc/fuse.conf").unwrap_or_default();
    let allows = conf.lines().any(|line| line.trim() == "user_allow_other");
    let _device = OpenDevice::new();
    let mut node = Node::start_as(Plan {
        uid: Some(USER),
        ..Plan::default()
    });
    let ours = as_user(
        node.mount(),
        "id -u; echo text > file; cat file; stat -c %u file",
    );
    assert_eq!(ours, format!("{USER}\ntext\n{USER}\n"));
    let said = node
        .log()
        .lines()
        .filter(|line| line.contains("allow_other"))
        .count();
    assert_eq!(said, usize::from(!allows), "{}", node.log());
    if !allows {
        let seen = fs::metadata(node.path("file"));
        assert!(seen.is_err(), "even root is kept out without allow_other");
    }
    node.restart();
    assert_eq!(as_user(node.mount(), "cat file"), "text\n");
    let secret = fs::metadata(node.data().join("cluster.key")).expect("there");
    assert_eq!((secret.uid(), secret.mode() & 0o777), (USER, 0o600));
}

fn as_user(directory: &Path, script: &str) -> String {
    let script = format!("cd '{}'\n{script}", directory.display());
    let arguments = ["-euc", &script].map(OsStr::new);
    let outcome = run(&mut run_as(
        USER,
        Path::new("/"),
        Path::new("/bin/bash"),
        &arguments,
    ));
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    outcome.stdout
}

#[test]
fn permissions_are_enforced_between_users() {
    let node = Node::start();
    sh(
        node.mount(),
        &format!(
            "mkdir own closed; chown {USER} own; chmod 700 closed; echo x > closed/file\n\
             echo secret > secret; chmod 600 secret; echo open > open; chmod 644 open"
        ),
    );
    let script = "cat open; echo mine > own/file; ! cat secret; ! ls closed; ! touch new; \
                  ! chmod 777 open; ! rm open; ! mv own other";
    let said = as_user(node.mount(), &format!("({script}) 2>/dev/null"));
    assert_eq!(said, "open\n");
    assert_eq!(
        fs::metadata(node.path("own/file")).expect("there").uid(),
        USER
    );
}
