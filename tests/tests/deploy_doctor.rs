//! `wolfdiskctl doctor`: it finds nothing on a node that is well, names each harm with its fix, waits for nothing without an
//! end, and its bundle gives no secret away.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use wolfdisk_tests::{
    Cluster, Daemon, Node, Outcome, Scratch, Stopped, ctl, kill_hard, program, run, sh, wait_until,
};

/// What it looks at.
const CHECKS: [&str; 19] = [
    "configuration",
    "data",
    "keys",
    "file system",
    "disk",
    "fuse",
    "kernel",
    "memory",
    "open files",
    "clock",
    "network",
    "ports",
    "firewall",
    "systemd",
    "programs",
    "daemons",
    "mounts",
    "sockets",
    "s3",
];
/// More than all deadlines together, which pass side by side.
const IN_TIME: Duration = Duration::from_secs(50);
/// So much of a secret is one.
const SECRET_PART_BYTES: usize = 8;
/// As a user may have in a configuration, and in a log.
const PASSWORD: &str = "Zq7xWv3kTp9Lm2";
const S3_SECRET: &str = "y8KdE5rUj1HnB6sXoV4tGaQ0zMwCfPiLkRb7TeYu";
const FILE_NAME: &str = "letter-to-nobody-8812.txt";
const BUCKET_NAME: &str = "holiday-pictures-4471";

/// What `doctor --json` said.
#[derive(Debug)]
struct Told {
    code: Option<i32>,
    all: serde_json::Value,
}

impl Told {
    fn of(outcome: &Outcome) -> Told {
        let all = serde_json::from_str(&outcome.stdout);
        Told {
            code: outcome.code,
            all: all.unwrap_or_else(|error| panic!("{error}: {outcome:?}")),
        }
    }

    fn findings(&self) -> impl Iterator<Item = &serde_json::Value> {
        self.all["checks"].as_array().expect("a list").iter()
    }

    /// The harm is named under `check`, with what mends it.
    #[track_caller]
    fn must_name(&self, check: &str, says: &str, todo: &str) {
        let holds = |finding: &serde_json::Value, name: &str, part: &str| {
            finding[name]
                .as_str()
                .is_some_and(|text| text.contains(part))
        };
        let named = self.findings().any(|finding| {
            finding["check"] == check
                && finding["level"] == "fail"
                && holds(finding, "says", says)
                && holds(finding, "todo", todo)
        });
        assert!(named, "{check}, {says:?}, {todo:?}: {self:#?}");
        assert_eq!(self.code, Some(4), "{self:?}");
    }
}

/// Asks about a data directory by a configuration.
fn doctor(data: &Path, config: &Path) -> Told {
    let config = config.to_str().expect("a plain path");
    Told::of(&ctl(data, &["doctor", "--json", "--config", config]))
}

/// The configuration of a node, with another mount point and what else is wanted.
fn config(node: &Node, mount: &Path, more: &str) -> std::path::PathBuf {
    let base = fs::read_to_string(node.scratch().path().join("config.toml")).expect("a file");
    let path = node.scratch().path().join("doctor.toml");
    let text = format!("{base}{more}[mount]\npath = \"{}\"\n", mount.display());
    fs::write(&path, text).expect("written");
    path
}

#[test]
fn a_node_that_is_well_needs_nothing() {
    let node = Node::start();
    let told = doctor(node.data(), &config(&node, node.mount(), ""));
    assert_eq!(told.code, Some(0), "{told:#?}");
    assert_eq!(told.all["healthy"], true);
    for check in CHECKS {
        let found = told.findings().any(|finding| finding["check"] == check);
        assert!(found, "{check} is not looked at: {told:#?}");
    }
    let people = node.control(&["doctor"]);
    assert!(people.stdout.contains("ok    keys"), "{people:?}");
}

#[test]
fn each_harm_is_named_with_its_fix() {
    let node = Node::start();
    let good = config(&node, node.mount(), "");

    let key = node.data().join("cluster.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("root may");
    let fix = format!("chmod 600 {}", key.display());
    let told = doctor(node.data(), &good);
    told.must_name("keys", "cluster.key is readable by others", &fix);
    sh(node.scratch().path(), &fix);
    assert_eq!(doctor(node.data(), &good).code, Some(0));

    let wrong = node.scratch().path().join("wrong.toml");
    fs::write(&wrong, "[node]\nrol = \"auto\"\n").expect("written");
    let told = doctor(node.data(), &wrong);
    told.must_name(
        "configuration",
        "unknown field `node.rol`",
        "did you mean `node.role`?",
    );

    let second = node.second_mount();
    kill_hard(second.pid());
    wait_until("the mount is dead", || {
        fs::metadata(second.mount())
            .is_err_and(|error| error.raw_os_error() == Some(libc::ENOTCONN))
    });
    let at_second = config(&node, second.mount(), "");
    let told = doctor(node.data(), &at_second);
    let fix = format!("wolfdiskctl unmount --lazy -m {}", second.mount().display());
    told.must_name("mounts", "Transport endpoint is not connected", &fix);
    let mut unmount = Command::new(program("wolfdiskctl"));
    let unmounted = run(unmount
        .args(["unmount", "--lazy", "-m"])
        .arg(second.mount()));
    assert_eq!(unmounted.code, Some(0), "{unmounted:?}");
    assert_eq!(doctor(node.data(), &at_second).code, Some(0));
}

#[test]
fn daemons_that_hang_are_named_in_time() {
    let node = Node::start();
    let config = config(&node, node.mount(), "");
    for daemon in [Daemon::Meta, Daemon::Chunkd] {
        let pid = node.pid(daemon);
        let stopped = Stopped::stop(pid);
        let begun = Instant::now();
        let told = doctor(node.data(), &config);
        let took = begun.elapsed();
        assert!(took < IN_TIME, "it took {took:?}");
        let who = format!("{} (process {pid}) does not answer", daemon.name());
        told.must_name("daemons", &who, &format!("kill -CONT {pid}"));
        drop(stopped);
    }
    wait_until("the node is well again", || {
        doctor(node.data(), &config).code == Some(0)
    });
}

#[test]
fn what_keeps_a_node_from_starting_is_named() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let file = scratch.path().join("config.toml");
    let text = format!("[node]\nbind = \"127.0.0.1:{port}\"\n[cluster]\ndiscovery = \"none\"\n");
    fs::write(&file, text).expect("written");

    let told = doctor(&data, &file);
    told.must_name(
        "data",
        "is missing",
        &format!("wolfdiskctl init -d {}", data.display()),
    );

    assert_eq!(ctl(&data, &["init", "--id", "alpha"]).code, Some(0));
    let told = doctor(&data, &file);
    let who = format!("process {}", std::process::id());
    told.must_name(
        "ports",
        &format!("port {port} of wolfdisk-meta is in use"),
        "node.bind",
    );
    told.must_name("ports", &who, "stop that");
    told.must_name("daemons", "wolfdisk-meta does not run", "wolfdiskctl up -d");
    drop(listener);

    let disk = scratch.directory("disk");
    sh(scratch.path(), "mount -t tmpfs -o size=16m tmpfs disk");
    let small = disk.join("data");
    assert_eq!(ctl(&small, &["init", "--id", "beta"]).code, Some(0));
    sh(&disk, "head -c 16m /dev/zero >filler || true");
    let told = doctor(&small, &file);
    told.must_name("disk", "is full", "delete files");
    let in_memory = told.findings().any(|finding| {
        finding["check"] == "file system"
            && finding["says"]
                .as_str()
                .is_some_and(|says| says.contains("tmpfs"))
    });
    assert!(in_memory, "{told:#?}");
}

#[test]
fn a_bundle_gives_no_secret_away() {
    let cluster = Cluster::start();
    let (node, data) = (cluster.node(), cluster.node().data());
    fs::write(node.path(FILE_NAME), "private").expect("a write");
    let key = |name: &str| {
        fs::read_to_string(data.join(name))
            .expect("a key")
            .trim()
            .to_owned()
    };
    let (cluster_key, node_key, token) = (key("cluster.key"), key("node.key"), cluster.token(&[]));
    let config = cluster.elsewhere().join("secret.toml");
    let base = fs::read_to_string(cluster.elsewhere().join("config.toml")).expect("a file");
    let text = format!(
        "# password {PASSWORD}\n{base}[s3]\naccess_key = \"WDKEY\"\nsecret_key = \"{S3_SECRET}\"\n"
    );
    fs::write(&config, text).expect("written");
    fs::set_permissions(&config, Permissions::from_mode(0o600)).expect("permissions");
    // As a careless program, or a user who looks for an error, would leave it.
    let log = format!(
        "2026-11-29T09:00:00Z  INFO a line that helps\n\
         2026-11-29T09:00:00Z  WARN key={cluster_key}\n\
         2026-11-29T09:00:00Z  WARN a key of a node {node_key}\n\
         init --join {token}\n\
         export AWS_SECRET_ACCESS_KEY={S3_SECRET}\n\
         curl -u me:{S3_SECRET} http://localhost\n\
         the password: {PASSWORD}\n\
         2026-11-29T09:00:00Z DEBUG looked up name=\"{FILE_NAME}\"\n\
         2026-11-29T09:00:00Z  WARN a bucket's folder is not known bucket={BUCKET_NAME} error=none\n\
         {FILE_NAME} cannot be read whole\n"
    );
    fs::write(data.join("wolfdisk.log"), log).expect("written");

    let bundle = cluster.elsewhere().join("bundle.tar.gz");
    let arguments = [
        "doctor",
        "--bundle",
        bundle.to_str().expect("a plain path"),
        "--config",
    ];
    let make = || {
        ctl(
            data,
            &[&arguments[..], &[config.to_str().expect("a plain path")]].concat(),
        )
    };
    let made = make();
    assert_eq!(made.code, Some(0), "{made:?}");
    let mode = fs::metadata(&bundle)
        .expect("a bundle")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let whole = fs::read(&bundle).expect("a bundle");
    let again = make();
    assert_ne!(again.code, Some(0), "{again:?}");
    assert!(again.stderr.contains("not there yet"), "{again:?}");
    assert_eq!(
        fs::read(&bundle).expect("a bundle"),
        whole,
        "it is as it was"
    );

    sh(cluster.elsewhere(), "tar -xzf bundle.tar.gz");
    let unpacked = cluster.elsewhere().join("wolfdisk-support");
    let text = sh(&unpacked, "find . -type f -print0 | sort -z | xargs -0 cat");
    let names = sh(&unpacked, "find . -type f | sort");
    for secret in [
        &*cluster_key,
        &node_key,
        &token,
        S3_SECRET,
        PASSWORD,
        FILE_NAME,
        BUCKET_NAME,
    ] {
        for part in secret.as_bytes().windows(SECRET_PART_BYTES) {
            let part = std::str::from_utf8(part).expect("ASCII");
            assert!(!text.contains(part), "{part:?} of {secret:?} is in\n{text}");
        }
    }
    for name in [
        "README.txt",
        "config.txt",
        "doctor.json",
        "doctor.txt",
        "logs/wolfdisk.log",
        "metrics/wolfdisk-meta.txt",
        "programs.txt",
        "stats.json",
        "status.json",
        "system.txt",
    ] {
        assert!(names.contains(name), "{name} is not among\n{names}");
    }
    for part in [
        "a line that helps",
        "node.id = \"alpha\"",
        "meta.inodes",
        "mounts.call_write",
        "\"healthy\": true",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}
