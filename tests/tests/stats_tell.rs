//! `wolfdiskctl stats` and `profile` show what the mounts of the machine do.

use std::fs;
use std::path::Path;
use std::process::Command;

use wolfdisk_tests::{
    Background, Daemon, Node, STEP_DEADLINE, Stopped, program, python, wait_until,
};

/// Looks at the screen on a terminal of its own while it makes files, and has it end by what is typed.
const LOOK: &str = "
import fcntl, os, pty, select, struct, sys, termios, time
program, data, mount, typed = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.environ['TERM'] = 'xterm'
    os.execv(program, [program, 'stats', '--data-dir', data])
size = lambda lines, columns: fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('4H', lines, columns, 0, 0))
size(30, 100)
said, made, until = b'', 0, time.monotonic() + 30
def read():
    global said
    if select.select([terminal], [], [], 0.05)[0]:
        said += os.read(terminal, 65536)
    assert time.monotonic() < until, said
def until_said(what):
    global made
    while what not in said:
        open(f'{mount}/{typed.encode().hex()}-{made}', 'x').close()
        made += 1
        read()
until_said(b'operations/s')
until_said(b'create')
size(5, 20)
said = b''
until_said(b'm')
os.write(terminal, typed.encode())
try:
    while True:
        read()
except OSError:
    pass
assert b'\\x1b[?1049l' in said, said
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

fn told(node: &Node, name: &str) -> u64 {
    let outcome = node.control(&["stats", "--once", "--json"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let all: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("one object");
    all[name].as_u64().unwrap_or_default()
}

#[test]
fn mounts_tell_what_they_count() {
    let node = Node::start();
    assert_eq!(told(&node, "mounts.count"), 1);
    let written = told(&node, "mounts.bytes_written");
    fs::write(node.path("a"), [7; 100_000]).expect("a write");
    assert!(told(&node, "mounts.bytes_written") >= written + 100_000);

    let created = told(&node, "mounts.call_create");
    for number in 0..500 {
        fs::File::create_new(node.path(format!("created {number}"))).expect("a new file");
    }
    assert_eq!(told(&node, "mounts.call_create"), created + 500);
    assert!(told(&node, "mounts.call_create_ns") > 0);

    let second = node.second_mount();
    // It is in the tree before its process tells what it counts.
    wait_until("both tell", || told(&node, "mounts.count") == 2);
    let read = || fs::read(second.mount().join("a")).expect("a read");
    let before = told(&node, "mounts.bytes_read");
    assert_eq!(read().len(), 100_000);
    assert!(told(&node, "mounts.bytes_read") >= before + 100_000);
    let hits = told(&node, "mounts.open_hits");
    assert_eq!(read().len(), 100_000);
    assert!(told(&node, "mounts.open_hits") > hits);
    drop(second);
    assert_eq!(told(&node, "mounts.count"), 1);

    let stopped = Stopped::stop(node.pid(Daemon::Fuse));
    let outcome = node.control(&["stats", "--once"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(
        outcome.stderr.contains("does not tell its counters"),
        "{outcome:?}"
    );
    assert!(outcome.stdout.contains("meta.inodes"), "{outcome:?}");
    drop(stopped);

    node.kill(Daemon::Fuse);
    wait_until("the mount tells again", || told(&node, "mounts.count") == 1);
}

#[test]
fn a_terminal_shows_what_happens_until_somebody_has_seen_enough() {
    let node = Node::start();
    let control = program("wolfdiskctl");
    for typed in ["q", "\u{3}", "\u{1b}"] {
        let arguments = [
            control.as_os_str(),
            node.data().as_os_str(),
            node.mount().as_os_str(),
            typed.as_ref(),
        ];
        let code = python(node.mount(), LOOK, &arguments);
        assert_eq!(code.trim(), "0", "{typed:?}");
    }
}

#[test]
fn a_profile_is_of_the_mount_that_is_named() {
    let node = Node::start();
    let second = node.second_mount();
    let mut made = 0;
    let mut profile = |mount: &Path| {
        let mut command = Command::new(program("wolfdiskctl"));
        command
            .args(["profile", "--once", "--json", "--data-dir"])
            .arg(node.data())
            .arg(mount);
        let mut running = Background::start(&mut command, "profile", node.scratch());
        while running.ended().is_none() {
            fs::File::create_new(node.path(format!("made {made}"))).expect("a new file");
            made += 1;
        }
        let said = running.succeed(STEP_DEADLINE);
        serde_json::from_str::<serde_json::Value>(&said).expect("one object")
    };
    let busy = profile(node.mount());
    assert_eq!(
        busy["mounts"][0],
        node.mount().to_str().expect("a plain path")
    );
    let operations = busy["operations"].as_array().expect("a list");
    let create = operations.iter().find(|one| one["operation"] == "create");
    let create = create.expect("files were made");
    assert!(create["per_second"].as_f64() > Some(0.0), "{busy}");
    assert!(create["mean_us"].as_f64() > Some(0.0), "{busy}");
    let shares = operations.iter().map(|one| one["share"].as_f64());
    let shares: Vec<f64> = shares.map(|share| share.expect("a share")).collect();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{busy}");
    assert!(shares.is_sorted_by(|one, other| one >= other), "{busy}");

    let idle = profile(second.mount());
    let operations = idle["operations"].as_array().expect("a list");
    let creates = operations.iter().any(|one| one["operation"] == "create");
    assert!(!creates, "another mount made the files: {idle}");

    let refused = node.control(&["profile", "--once", "/"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
}
