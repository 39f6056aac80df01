//! What systemd is told and asks: what each daemon does, a configuration that is read anew, an end to what hangs, and the
//! journal with its fields.

use std::process::Stdio;

use wolfdisk_tests::{System, program, wait_until};

/// Appends a line every 10 ms to a file that it keeps open, and ends with an error at the first that is not taken.
const WRITER: &str =
    "exec >>/mnt/wolfdisk/written; while [ ! -e /run/enough ]; do echo line; sleep 0.01; done";
/// The mount as the kernel numbers it: another one has another number.
const MOUNT_NUMBER: &str = "awk '$5 == \"/mnt/wolfdisk\" {print $1, $3}' /proc/self/mountinfo";
/// Speaks no protocol to wolfdisk-meta.
const NONSENSE: &str = "perl -MIO::Socket::UNIX -e 'IO::Socket::UNIX->new(\"/run/wolfdisk/meta.sock\")->print(\"x\" x 99)'";
const CONFIG: &str = "/etc/wolfdisk/config.toml";
/// Each daemon's unit, and what it says of itself.
const DAEMONS: [(&str, &str); 4] = [
    (
        "wolfdisk-fuse@mnt-wolfdisk",
        "mounted at /mnt/wolfdisk, session ok",
    ),
    ("wolfdisk-meta", "leads cluster "),
    ("wolfdisk-chunkd", " GiB free"),
    ("wolfdisk-s3", "listening on 127.0.0.1:9878, 0 connections"),
];

/// A node with all daemons, each of which hangs when it gives no sign of life within 5 s.
fn node(name: &str) -> System {
    let system = System::boot(name);
    system.put(&program("dist/wolfdisk.deb"), "/root/wolfdisk.deb");
    system.run("dpkg -i /root/wolfdisk.deb");
    let drop_in = "/etc/systemd/system/wolfdisk-.service.d";
    system.run(&format!(
        "mkdir -p {drop_in}; printf '[Service]\\nWatchdogSec=5s\\n' >{drop_in}/watchdog.conf"
    ));
    system.run(&format!(
        "sed -i 's/^#enabled = false/enabled = true/' {CONFIG}"
    ));
    system.run(&format!(
        "wolfdiskctl init --id {name}; systemctl daemon-reload"
    ));
    system.run("systemctl start wolfdisk");
    system
}

/// What a unit says of itself.
fn said(system: &System, unit: &str) -> String {
    system.run(&format!("systemctl show -P StatusText {unit}"))
}

fn main_pid(system: &System, unit: &str) -> String {
    system.run(&format!("systemctl show -P MainPID {unit}"))
}

/// Lines of the journal that match.
fn journal(system: &System, matches: &str) -> String {
    system.run(&format!("journalctl -q -b -o cat {matches}"))
}

fn wait_for_line(system: &System, unit: &str, matches: &str, line: &str) {
    wait_until(&format!("{unit} logs: {line}"), || {
        journal(system, &format!("-u {unit} {matches}")).contains(line)
    });
}

/// Lets a daemon stand still until it runs anew and says so.
fn hang(system: &System, unit: &str, text: &str) {
    let before = main_pid(system, unit);
    system.run(&format!("kill -STOP {before}"));
    wait_until(&format!("{unit} runs anew"), || {
        let now = main_pid(system, unit);
        now != before && now != "0\n" && said(system, unit).contains(text)
    });
    let told = journal(system, &format!("-u {unit} _PID=1"));
    assert!(told.contains("Watchdog timeout"), "{unit}: {told}");
}

/// One system for all, since each takes a while to boot.
#[test]
fn systemd_knows_what_daemons_do_reloads_them_and_ends_what_hangs() {
    let system = node("gamma");
    a_reload_takes_up_what_it_can_and_the_journal_has_fields(&system);
    what_hangs_is_started_anew_and_the_mount_goes_on(&system);
    system.run("systemctl stop wolfdisk");
}

fn what_hangs_is_started_anew_and_the_mount_goes_on(system: &System) {
    for (unit, text) in DAEMONS {
        wait_until(&format!("{unit} says what it does"), || {
            said(system, unit).contains(text)
        });
    }
    let shown = system.run("systemctl status wolfdisk-meta --no-pager -n 0");
    assert!(shown.contains("Status: \"leads cluster "), "{shown}");

    let number = system.run(MOUNT_NUMBER);
    let writer = system
        .command(WRITER)
        .stderr(Stdio::piped())
        .spawn()
        .expect("a writer");
    let written = || system.run("wc -l </mnt/wolfdisk/written || echo 0");
    let [(mount, mounted), others @ ..] = DAEMONS;
    for (unit, text) in others {
        hang(system, unit, text);
        let lines = written();
        wait_until("the writer goes on", || written() != lines);
    }
    system.run("touch /run/enough");
    let ended = writer.wait_with_output().expect("the writer");
    let trouble = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{trouble}");
    // A writer would be told that what the mount buffered is lost.
    system.run("sync /mnt/wolfdisk/written");
    let lines = written();
    hang(system, mount, mounted);
    assert_eq!(system.run(MOUNT_NUMBER), number, "the mount stays");
    assert_eq!(written(), lines);
    system.run("echo more >>/mnt/wolfdisk/written");
    assert_ne!(written(), lines);
}

fn a_reload_takes_up_what_it_can_and_the_journal_has_fields(system: &System) {
    let pids = || DAEMONS.map(|(unit, _)| main_pid(system, unit));
    let before = pids();
    for (unit, _) in DAEMONS {
        let debug = journal(system, &format!("-u {unit} PRIORITY=7"));
        assert_eq!(debug, "", "{unit}");
    }

    system.run(&format!("cp -p {CONFIG} /root/good.toml"));
    system.run(&format!(
        "sed -i 's/^#level = .*/level = \"debug\"/' {CONFIG}"
    ));
    system.run("systemctl reload wolfdisk-meta");
    wait_for_line(
        system,
        "wolfdisk-meta",
        "WOLFDISK_LEVEL=DEBUG",
        "the configuration was read anew",
    );
    // It says so only now when a connection ends because of what came on it.
    system.run(NONSENSE);
    wait_for_line(system, "wolfdisk-meta", "PRIORITY=7", "a connection ended");
    // Nobody asked the others.
    assert_eq!(journal(system, "-u wolfdisk-chunkd PRIORITY=7"), "");

    system.run(&format!(
        "sed -i 's/^#heartbeat_ms = .*/heartbeat_ms = 100/' {CONFIG}"
    ));
    system.run("systemctl reload wolfdisk");
    for (unit, _) in DAEMONS {
        wait_for_line(
            system,
            unit,
            "PRIORITY=6",
            "the configuration was read anew",
        );
    }
    wait_for_line(
        system,
        "wolfdisk-meta",
        "PRIORITY=4",
        "only a restart changes these settings=cluster.heartbeat_ms",
    );
    wait_until("the status says so", || {
        said(system, "wolfdisk-meta").contains("only a restart changes cluster.heartbeat_ms")
    });
    assert!(!said(system, "wolfdisk-chunkd").contains("restart"));

    system.run(&format!(
        "echo nonsense >>{CONFIG}; systemctl reload wolfdisk"
    ));
    for (unit, text) in DAEMONS {
        let line = "the configuration is wrong, the last one is kept";
        wait_for_line(system, unit, "PRIORITY=3", line);
        wait_until("the status says so", || {
            let said = said(system, unit);
            said.contains(line) && said.contains(text)
        });
    }
    system.run(&format!(
        "cp -p /root/good.toml {CONFIG}; systemctl reload wolfdisk"
    ));
    for (unit, _) in DAEMONS {
        wait_until("the status is as before", || {
            !said(system, unit).contains("configuration")
        });
    }
    assert_eq!(pids(), before, "all go on");
    system.run("touch /mnt/wolfdisk/there");

    for unit in ["wolfdisk-meta", "wolfdisk-chunkd", "wolfdisk-s3"] {
        let fields = format!("-u {unit} WOLFDISK_NODE_ID=gamma SYSLOG_IDENTIFIER={unit}");
        assert_ne!(journal(system, &fields), "", "{unit}");
    }
    let opened = journal(system, "-u wolfdisk-meta WOLFDISK_REPLAYED=0 PRIORITY=6");
    assert!(opened.contains("the index is open"), "{opened}");
    // What root's daemon says and what systemd says of all is the node's as well; everything is the pattern's.
    let line = "mounted path=/mnt/wolfdisk";
    let of_node = journal(system, "-u wolfdisk");
    for line in [line, "Started wolfdisk-meta.service"] {
        assert!(of_node.contains(line), "{line}: {of_node}");
    }
    let of_all = journal(system, "-u 'wolfdisk*'");
    for line in [line, "the index is open", "wolfdisk-chunkd is ready"] {
        assert!(of_all.contains(line), "{line}: {of_all}");
    }
}
