//! What is refused, with what to do, and leaves nothing behind; and what was cut short.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use wolfdisk_tests::{Background, Cluster, Outcome, run, sh, wait_until, wait_within};

use crate::setting::{CONFIG, IDENTITY, Setting, assert_says, script, this_machine};

/// As long as a refused join takes, and more.
const JOIN_LIMIT: Duration = Duration::from_secs(60);

#[test]
fn an_answer_that_is_not_allowed_is_refused() {
    let setting = Setting::new();
    let answers = setting.path().join("answers");
    let file = answers.to_str().expect("a plain path");
    for (arguments, says) in [
        (&["--id", "No_Name"][..], &["--id No_Name", "1 to 63"][..]),
        (&["--role", "witness"], &["--role witness", "\"client\""]),
        (&["--bind", "192.0.2"], &["--bind 192.0.2", "an IP address"]),
        (
            &["--discovery", "magic"],
            &["automatic, peers or standalone"],
        ),
        (&["--discovery", "peers"], &["--peers", "at least one node"]),
        (
            &["--discovery", "standalone", "--token", "wdj1_x"],
            &["stands alone"],
        ),
        (&["--role", "client"], &["--token", "join-token"]),
        (
            &["--role", "client", "--join", "found"],
            &["a client joins by a token"],
        ),
        (&["--token", "x"], &["begins with wdj1_"]),
        (&["--token", "wdj1_x"], &["the join token is incomplete"]),
        (
            &["--token-file", "/nowhere"],
            &["/nowhere", "cannot be read"],
        ),
        (
            &["--key-file", "/nowhere"],
            &["cannot read /nowhere", "cluster.key"],
        ),
        (&["--mode", "both"], &["--mode both", "replicated"]),
        (
            &["--mode", "replicated", "--factor", "0"],
            &["--factor 0", "1 to 16"],
        ),
        (&["--mount", "here"], &["--mount here", "absolute"]),
        (&["--mount", "none"], &["a node has a mount"]),
        (
            &["--s3", "everywhere"],
            &["--s3 everywhere", "an IP address"],
        ),
        (&["--colour", "red"], &["there is no option --colour"]),
        (&["--id"], &["--id needs a value"]),
        (&["alpha"], &["what is alpha?"]),
        (&["--remove-data"], &["goes with --uninstall"]),
        (&["--answers", "/nowhere"], &["cannot read the answers"]),
    ] {
        setting.refused(arguments, says);
    }
    for (written, says) in [
        ("role leader\n", &["line 1", "is not name=value"]),
        ("# fine\nrule=leader\n", &["line 2", "no answer named rule"]),
        ("role=king", &["--role king", "allowed"]),
    ] {
        fs::write(&answers, written).expect("written");
        setting.refused(&["--answers", file], says);
    }
    // What somebody wrote is not repaired by guessing.
    fs::create_dir_all(setting.root().join("etc/wolfdisk")).expect("a folder");
    fs::write(setting.root().join(CONFIG), "[node]\nid = 7\n").expect("written");
    setting.refused(&[], &["config.toml is not good", "node.id", "correct it"]);
}

#[test]
fn without_a_terminal_it_asks_nothing() {
    let setting = Setting::new();
    let before = setting.files();
    let outcome = setting.run(&["--id", "alpha"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert_says(&outcome, &["no terminal", "--yes"]);
    assert_eq!(setting.files(), before);
}

#[test]
fn a_script_that_came_in_part_does_nothing() {
    let setting = Setting::new();
    let before = setting.files();
    let whole = fs::read(script()).expect("the script");
    // All that is left out at the end is the last line, or more: each byte of it, and places all over.
    let last = whole.len() - 200..whole.len() - 1;
    for length in last.chain((1..whole.len()).step_by(1013)) {
        let part = setting.path().join("part.sh");
        fs::write(&part, &whole[..length]).expect("written");
        let command = format!(
            "cat {} | setsid --wait bash -s -- --yes {}; true",
            part.display(),
            setting.options()
        );
        run(Command::new("sh").args(["-c", &command]));
        assert_eq!(setting.files(), before, "{length} bytes of it");
    }
}

#[test]
fn a_disk_that_is_full_or_read_only_is_refused() {
    let setting = Setting::new();
    let root = setting.root();
    fs::create_dir_all(root.join("var/lib")).expect("a folder");
    let try_it = |prepare: &str| {
        let command = format!(
            "{prepare}; setsid --wait {} --yes {}; code=$?; find . ! -type d >../found; exit $code",
            script().display(),
            setting.options()
        );
        let outcome = run(Command::new("unshare")
            .args(["--mount", "sh", "-c", &command])
            .current_dir(&root));
        let found = fs::read_to_string(setting.path().join("found")).expect("a list");
        assert_eq!(found, "", "{outcome:?}");
        outcome
    };
    let read_only = try_it("mount --bind etc etc && mount -o remount,bind,ro etc");
    assert_says(&read_only, &["etc cannot be written", "remount,rw"]);
    let small = try_it("mount -t tmpfs -o size=64m small var/lib");
    assert_says(
        &small,
        &["MiB free, /var/lib/wolfdisk needs 1024", "larger disk"],
    );
    let full = try_it("mkdir usr && mount -t tmpfs -o size=8m small usr");
    assert_says(&full, &["MiB free, /usr/local/bin needs"]);
}

/// The script on this machine itself, which it must not change, as it was made in a mount namespace.
fn on_this_machine(prepare: &str, arguments: &[&str]) -> Outcome {
    let command = format!(
        "mount -t tmpfs run /run && {prepare} && mount --bind / / && mount -o remount,bind,ro / && \
         exec env TMPDIR=/run setsid --wait {} --yes {}",
        script().display(),
        arguments.join(" ")
    );
    let _alone = this_machine();
    run(Command::new("unshare").args(["--mount", "sh", "-c", &command]))
}

#[test]
fn a_machine_that_cannot_run_a_node_is_told_why() {
    let setting = Setting::new();
    let programs = setting.programs();
    let from = ["--from", programs.to_str().expect("a plain path")];
    let outcome = on_this_machine("true", &from);
    assert_says(&outcome, &["not started by systemd", "wolfdiskctl up"]);
    assert_says(&outcome, &["nothing was changed"]);

    let no_fuse = "mkdir -p /run/systemd/system && mount -t tmpfs -o nodev fuse /mnt && \
                   mknod /mnt/fuse c 10 229 && mount --bind /mnt/fuse /dev/fuse";
    let outcome = on_this_machine(no_fuse, &from);
    assert_says(&outcome, &["no /dev/fuse", "modprobe fuse"]);
    let in_container = format!("{no_fuse} && echo lxc >/run/systemd/container");
    let outcome = on_this_machine(&in_container, &from);
    assert_says(&outcome, &["Proxmox", "Features", "fuse=1"]);

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let bind = format!("127.0.0.1:{port}");
    let plan = [&from[..], &["--dry-run", "--bind", &bind]].concat();
    let outcome = on_this_machine("mkdir -p /run/systemd/system", &plan);
    assert_says(&outcome, &[&format!("port {port} is in use"), "--bind"]);
    let plan = [&from[..], &["--dry-run", "--s3", &bind]].concat();
    let outcome = on_this_machine("mkdir -p /run/systemd/system", &plan);
    assert_says(&outcome, &[&format!("port {port} is in use"), "--s3"]);
    // A machine need not have `ss`, and a second run has to know its own daemons.
    let bare = "mkdir -p /run/systemd/system && mount --bind /dev/null \"$(command -v ss)\"";
    let outcome = on_this_machine(bare, &plan);
    let who = format!("process {})", std::process::id());
    assert_says(&outcome, &[&format!("port {port} is in use (by "), &who]);
}

#[test]
fn what_was_cut_short_is_taken_back_or_finished() {
    let cluster = Cluster::start();
    // It takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("its address").to_string();
    let token = cluster.token(&["--role", "node", "--address", &address]);
    let setting = Setting::new();
    let before = setting.files();
    let begin = |name: &str| {
        let mut command = Command::new(script());
        command
            .args(["--yes", "--id", "alpha", "--token", &token])
            .args(setting.options().split(' '));
        let running = Background::start(&mut command, name, setting.scratch());
        wait_until("it joins", || {
            setting.root().join("var/lib/wolfdisk").exists()
        });
        running
    };
    let end = |running: &Background, signal: &str| {
        sh(
            Path::new("/"),
            &format!("kill -{signal} -- -{}", running.pid()),
        );
    };
    let mut running = begin("ended");
    end(&running, "TERM");
    wait_within(JOIN_LIMIT, "it ended", || running.ended().is_some());
    assert!(running.said().contains("taking back"), "{}", running.said());
    assert_eq!(setting.files(), before);

    let mut running = begin("killed");
    end(&running, "KILL");
    wait_until("it was killed", || running.ended().is_some());
    setting.set_up(&["--id", "alpha"]);
    assert!(setting.root().join(IDENTITY).exists());
    let again = setting.set_up(&[]);
    assert!(again.stdout.contains("nothing to change"), "{again:?}");
}
