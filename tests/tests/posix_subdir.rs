//! `-o subdir=`: a directory of the volume is the root of a mount, which follows it, and is the same there as in a mount
//! of the whole.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;

use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use wolfdisk_tests::{
    Daemon, Node, Outcome, Plan, is_mounted, program, repository, run, signal, wait_until,
};

/// A node whose mount shows `projects/a`, in which there is a file, of a volume that has more.
fn node() -> Node {
    let mut node = Node::start();
    fs::create_dir_all(node.path("projects/a/inner")).expect("made");
    fs::write(node.path("projects/a/file"), "of a").expect("written");
    fs::write(node.path("outside"), "of the whole").expect("written");
    node.stop();
    *node.plan() = Plan {
        arguments: ["-o".into(), "subdir=/projects//a/".into()].into(),
        ..Plan::default()
    };
    node.up();
    node
}

fn number(path: &Path) -> u64 {
    fs::metadata(path).expect("there").ino()
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("listed");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("text");
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("one"))).collect();
    names.sort();
    names
}

#[test]
fn what_is_seen_is_the_directory_and_nothing_above_it() {
    let node = node();
    assert_eq!(names(node.mount()), ["file", "inner"]);
    let above = node.path("..");
    assert_ne!(
        number(&above),
        number(node.mount()),
        "it leads out of the mount"
    );
    assert_eq!(number(&node.path("inner/..")), number(node.mount()));
    assert_eq!(
        number(&node.path("inner/../file")),
        number(&node.path("file"))
    );
    // As it is listed, without looking anything up.
    let mut listing = Dir::open(node.mount(), OFlag::O_DIRECTORY, Mode::empty()).expect("opened");
    let dots: Vec<u64> = listing
        .iter()
        .map(|entry| entry.expect("one"))
        .filter(|entry| [c".", c".."].contains(&entry.file_name()))
        .map(|entry| entry.ino())
        .collect();
    assert_eq!(dots, [number(node.mount()); 2]);
}

#[test]
fn what_one_mount_does_the_other_sees_at_once() {
    let node = node();
    let whole = node.second_mount();
    let inside = |name: &str| whole.path("projects/a").join(name);
    for round in 0..50 {
        let text = format!("round {round}");
        fs::write(node.path("file"), &text).expect("written");
        assert_eq!(fs::read_to_string(inside("file")).expect("read"), text);
        fs::write(inside("other"), &text).expect("written");
        assert_eq!(fs::read_to_string(node.path("other")).expect("read"), text);
        fs::remove_file(inside("other")).expect("removed");
        assert_eq!(names(node.mount()), ["file", "inner"]);
        // The root itself.
        let permissions = fs::metadata(node.mount()).expect("there").permissions();
        let mode = 0o700 + round % 8;
        let mut changed = permissions;
        std::os::unix::fs::PermissionsExt::set_mode(&mut changed, mode);
        fs::set_permissions(whole.path("projects/a"), changed).expect("changed");
        let seen = fs::metadata(node.mount()).expect("there").mode();
        assert_eq!(seen & 0o777, mode);
    }
    // What happens elsewhere in the volume under the same name is nothing to it.
    assert!(!node.path("outside").exists());
    fs::write(whole.path("file"), "of the whole").expect("written");
    fs::remove_file(whole.path("file")).expect("removed");
    assert_eq!(
        fs::read_to_string(node.path("file")).expect("read"),
        "round 49"
    );
}

#[test]
fn it_follows_the_directory_also_to_the_next_process() {
    let node = node();
    let whole = node.second_mount();
    let open = fs::File::open(node.path("file")).expect("opened");
    fs::create_dir(whole.path("elsewhere")).expect("made");
    fs::rename(whole.path("projects/a"), whole.path("elsewhere/b")).expect("renamed");
    fs::create_dir(whole.path("projects/a")).expect("another one");
    assert_eq!(names(node.mount()), ["file", "inner"]);
    for end in [Signal::SIGUSR2, Signal::SIGKILL] {
        let pid = node.pid(Daemon::Fuse);
        signal(pid, end);
        wait_until("a successor serves the mount", || {
            node.pid(Daemon::Fuse) != pid && open.metadata().is_ok()
        });
        assert_eq!(names(node.mount()), ["file", "inner"]);
        fs::write(node.path("made"), "after").expect("written");
        assert_eq!(
            fs::read(whole.path("elsewhere/b/made")).expect("there"),
            b"after"
        );
        fs::remove_file(node.path("made")).expect("removed");
    }
    assert_eq!(names(&whole.path("projects/a")), [""; 0]);
}

#[test]
fn a_directory_that_is_removed_is_gone_and_the_mount_can_be_taken_off() {
    let mut node = node();
    let whole = node.second_mount();
    fs::remove_dir_all(whole.path("projects")).expect("removed");
    let gone = fs::metadata(node.mount()).expect_err("it is gone");
    let known = [Some(libc::ENOENT), Some(libc::ESTALE)];
    assert!(known.contains(&gone.raw_os_error()), "{gone}");
    fs::write(node.path("new"), "text").expect_err("there is no place for it");
    drop(whole);
    node.stop();
}

#[test]
fn what_is_no_directory_is_refused_and_named() {
    let node = Node::start();
    fs::create_dir(node.path("a")).expect("made");
    fs::write(node.path("a/file"), "text").expect("written");
    symlink("a", node.path("link")).expect("made");
    let long = "n".repeat(300);
    for (path, why) in [
        (
            "a/missing/b",
            "/a/missing in the volume is not there; make it",
        ),
        ("a/file", "/a/file in the volume is no directory"),
        (
            "link",
            "/link in the volume is no directory; symbolic links",
        ),
        ("a/../a", "without .."),
        (&long, "too long"),
    ] {
        let outcome = node.try_to_mount(&format!("subdir={path}"));
        assert_eq!(outcome.code, Some(2), "{outcome:#?}");
        assert!(outcome.stderr.contains(why), "{outcome:#?}");
    }
    // Nothing is left of the tries.
    let sessions = node.control(&["status", "--json"]).stdout;
    assert_eq!(sessions.matches("another").count(), 0, "{sessions}");
    let shown = node.second_mount_with("subdir=a,ro");
    assert_eq!(names(shown.mount()), ["file"]);
}

/// Makes directories of these names, each with a file that holds its name.
fn make(node: &Node, names: &[&[u8]]) {
    for name in names {
        let path = node.path(OsStr::from_bytes(name));
        fs::create_dir(&path).expect("made");
        fs::write(path.join("inside"), name).expect("written");
    }
}

#[test]
fn any_name_can_be_written() {
    let node = Node::start();
    let (comma, backslash, space, latin) = (b"a,b", br"a\b", b"a b", b"caf\xe9");
    make(&node, &[comma, backslash, space, latin]);
    for (written, name) in [
        (r"a\,b", comma.as_slice()),
        (r"a\054b", comma),
        (r"a\\b", backslash),
        ("a b", space),
        (r"a\040b", space),
        (r"caf\351", latin),
    ] {
        let mount = node.second_mount_with(&format!("ro,subdir={written},noatime"));
        assert_eq!(fs::read(mount.path("inside")).expect(written), name);
    }
    for (written, why) in [
        ("a,b", "write the comma as"),
        (r"a\b", "without .."),
        (r"a\400b", "without .."),
    ] {
        let outcome = node.try_to_mount(&format!("subdir={written}"));
        assert_eq!(outcome.code, Some(2), "{outcome:#?}");
        assert!(outcome.stderr.contains(why), "{outcome:#?}");
    }
}

/// Mounts by a line of fstab, shows the file `inside`, and takes the mount off: in a mount namespace of its own, in which
/// `$1` has the helpers of mount(8), and `$4` the programs where a helper looks: it is started without a `PATH`.
const BY_FSTAB: &str = r#"
set -e
mount --bind "$1" "$(readlink -f /sbin)"
mount --bind "$4" /usr/local/bin
trap 'umount "$3" 2>/dev/null || true' EXIT
mount --fstab "$2" "$3"
cat "$3/inside"
"#;

/// See [`BY_FSTAB`]; with these options.
fn by_fstab(node: &Node, options: &str) -> Outcome {
    let scratch = node.scratch();
    let (helpers, place) = (scratch.directory("sbin"), scratch.directory("by-fstab"));
    let helper = repository().join("deploy/mount.wolfdisk");
    fs::copy(helper, helpers.join("mount.wolfdisk")).expect("copied");
    let (fstab, config) = (
        scratch.path().join("fstab"),
        scratch.path().join("fstab.toml"),
    );
    let line = format!("wolfdisk {} wolfdisk {options} 0 0\n", place.display());
    fs::write(&fstab, line).expect("written");
    let text = format!("[node]\ndata_dir = \"{}\"\n", node.data().display());
    fs::write(&config, text).expect("written");
    let control = program("wolfdiskctl");
    let programs = control.parent().expect("a folder").to_owned();
    let outcome = run(Command::new("unshare")
        .args(["--mount", "sh", "-c", BY_FSTAB, "sh"])
        .args([helpers, fstab, place.clone(), programs])
        .env("WOLFDISK_CONFIG", config));
    assert!(!is_mounted(&place));
    outcome
}

#[test]
fn fstab_names_it_with_escapes_of_its_own() {
    let node = Node::start();
    make(&node, &[b"plain", b"a,b c", b"caf\xe9"]);
    for (options, shown) in [
        ("ro,subdir=plain,nofail", "plain"),
        (r"subdir=a\,b\040c,ro,admin=off", "a,b c"),
        (r"admin=off,subdir=a\134054b\040c", "a,b c"),
        (r"admin=off,subdir=caf\134351", "caf\u{fffd}"),
    ] {
        let outcome = by_fstab(&node, options);
        assert_eq!(outcome.code, Some(0), "{options}: {outcome:#?}");
        assert_eq!(outcome.stdout.lines().last(), Some(shown), "{options}");
    }
    for (options, why) in [
        ("subdir=missing", "/missing in the volume is not there"),
        ("subdir=plain/..", "without .."),
        // Its own escape for a comma is read before the options are told apart.
        (r"subdir=a\054b\040c", "write the comma as"),
    ] {
        let outcome = by_fstab(&node, options);
        assert_ne!(outcome.code, Some(0), "{options}: {outcome:#?}");
        assert!(outcome.stderr.contains(why), "{options}: {outcome:#?}");
    }
}
