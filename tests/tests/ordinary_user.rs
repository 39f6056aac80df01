//! Without root: the node runs and mounts with fusermount3, and `allow_other` is dropped with one line
//! where fuse.conf does not allow it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use wolfdisk_tests::{
    Daemon, Node, Numbers, Outcome, Plan, Scratch, program, run, run_as, sh, told,
};

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
fn root_starts_no_daemons_on_what_belongs_to_somebody_else() {
    let scratch = Scratch::new();
    let data = scratch.directory("data");
    let mount = scratch.directory("mount");
    let control = program("wolfdiskctl");
    let init = run(Command::new(&control).arg("init").arg("-d").arg(&data));
    assert_eq!(init.code, Some(0), "{init:?}");
    std::os::unix::fs::chown(&data, Some(USER), Some(USER)).expect("root gives it away");
    for how in [&["mount"][..], &["mount", "--background"], &["up"]] {
        let mut command = Command::new(&control);
        let outcome = run(command.args(how).arg("-d").arg(&data).arg("-m").arg(&mount));
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        let advice = "x-systemd.requires=wolfdisk.service";
        assert!(outcome.stderr.contains(advice), "{outcome:?}");
    }
    assert!(!data.join("meta").exists(), "nothing ran");
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
    let address = node.admin(Daemon::Fuse);
    assert_eq!(told(&address, "readyz").1, "200");
    let lookups = "wolfdisk_fuse_requests_total{operation=\"lookup\",outcome=\"ok\"}";
    assert!(Numbers::at(&address).of(lookups) > 0.5);
    let secret = fs::metadata(node.data().join("cluster.key")).expect("there");
    assert_eq!((secret.uid(), secret.mode() & 0o777), (USER, 0o600));
}

#[test]
fn what_root_imports_belongs_to_whom_the_data_is() {
    let _device = OpenDevice::new();
    let mut node = Node::start_as(Plan {
        uid: Some(USER),
        ..Plan::default()
    });
    as_user(
        node.mount(),
        "head -c 300000 /dev/zero > zeros; echo before > file; sync file zeros",
    );
    // Where every user may run what it starts.
    let control = node.scratch().path().join("bin/wolfdiskctl");
    let data = node.data().to_owned();
    let by_root = |arguments: &[&str]| -> Outcome {
        let outcome = run(Command::new(&control).args(arguments).arg("-d").arg(&data));
        assert_eq!(outcome.code, Some(0), "{arguments:?}: {outcome:?}");
        outcome
    };
    // Nobody but root may read where it is.
    let backup = Scratch::new();
    let file = backup.path().join("index.export");
    let file = file.to_str().expect("text");
    by_root(&["index", "export", file]);
    assert_eq!(fs::metadata(file).expect("there").uid(), 0);
    as_user(node.mount(), "echo after > later; sync later");
    node.stop();
    by_root(&[
        "index",
        "export",
        "--offline",
        "--force",
        &format!("{file}.later"),
    ]);
    let imported = by_root(&["index", "import", "--replace", file]);
    assert!(imported.stdout.contains("meta.replaced-"), "{imported:?}");
    by_root(&["check", "--offline"]);
    assert_eq!(owners(&data), BTreeSet::from([(USER, USER)]));
    node.up();
    assert_eq!(
        as_user(node.mount(), "cat file; ls"),
        "before\nfile\nzeros\n"
    );
    node.stop();
    // Its disk is lost, and a look at what is left is the first thing that root takes.
    fs::remove_dir_all(data.join("meta")).expect("removed");
    let checked = run(Command::new(&control)
        .args(["check", "--offline", "-d"])
        .arg(&data));
    assert_eq!(checked.code, Some(5), "{checked:?}");
    by_root(&["index", "import", &format!("{file}.later")]);
    assert_eq!(owners(&data), BTreeSet::from([(USER, USER)]));
    node.up();
    assert_eq!(as_user(node.mount(), "cat file later"), "before\nafter\n");
    node.must_be_whole();
}

/// Users and groups that a directory and all in it belong to.
fn owners(directory: &Path) -> BTreeSet<(u32, u32)> {
    let own = fs::symlink_metadata(directory).expect("there");
    let mut owners = BTreeSet::from([(own.uid(), own.gid())]);
    if own.is_dir() {
        for entry in fs::read_dir(directory).expect("a directory") {
            owners.extend(self::owners(&entry.expect("an entry").path()));
        }
    }
    owners
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
