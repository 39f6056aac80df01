//! What the daemons tell for Prometheus: each number against another count of the same, and the text against its rules
//! and its documentation.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use wolfdisk_tests::{
    Daemon, Gateway, Node, Numbers, Random, Stopped, Trace, count, repository, told, vm_rss_bytes,
    wait_until,
};

const CREATED: u32 = 200;
const SYNCED: u32 = 50;

fn meta(node: &Node) -> Numbers {
    Numbers::at(&node.admin(Daemon::Meta))
}

fn chunkd(node: &Node) -> Numbers {
    Numbers::at(&node.admin(Daemon::Chunkd))
}

/// By how much a number has grown, all labels together.
fn grown(before: &Numbers, after: &Numbers, name: &str) -> f64 {
    after.sum(name) - before.sum(name)
}

#[track_caller]
fn same(found: f64, expected: impl TryInto<u32>, what: &str) {
    let expected = f64::from(expected.try_into().ok().expect("a small number"));
    assert!(
        (found - expected).abs() < 0.5,
        "{what}: {found}, not {expected}"
    );
}

/// What the mounts themselves have counted.
fn mounts(node: &Node, name: &str) -> f64 {
    let outcome = node.control(&["stats", "--once", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("one object");
    all[format!("mounts.{name}")].as_f64().unwrap_or_default()
}

/// The volume as `df` sees it: inodes in use.
fn inodes(node: &Node) -> u32 {
    let found = nix::sys::statvfs::statvfs(node.mount()).expect("a file system");
    u32::try_from(found.files() - found.files_free()).expect("few")
}

#[test]
fn files_and_calls_are_counted_as_they_were_made() {
    let node = Node::start();
    let before = meta(&node);
    same(before.of("wolfdisk_meta_sessions"), 1_u32, "sessions");
    let mutate = |numbers: &Numbers| {
        let name = "wolfdisk_meta_requests_total{operation=\"mutate\",outcome=\"ok\"}";
        numbers.of(name)
    };
    let asked = mounts(&node, "meta_mutate");
    for number in 0..CREATED {
        File::create(node.path(number.to_string())).expect("created");
    }
    fs::rename(node.path("0"), node.path("renamed")).expect("renamed");
    fs::remove_file(node.path("1")).expect("removed");
    let after = meta(&node);
    let made = |name: &str| {
        let name = format!("wolfdisk_meta_mutations_total{{operation=\"{name}\"}}");
        after.of(&name) - before.of(&name)
    };
    same(made("create"), CREATED, "creates");
    same(made("rename"), 1_u32, "renames");
    same(made("unlink"), 1_u32, "removals");
    let asked = mounts(&node, "meta_mutate") - asked;
    assert!(
        (mutate(&after) - mutate(&before) - asked).abs() < 0.5,
        "{asked}"
    );
    let kept = grown(&before, &after, "wolfdisk_meta_inodes");
    same(kept, CREATED - 1, "inodes");
    same(
        after.of("wolfdisk_meta_inodes"),
        inodes(&node),
        "inodes of df",
    );
    let entries = grown(&before, &after, "wolfdisk_meta_log_entries_total");
    let mutations = grown(&before, &after, "wolfdisk_meta_mutations_total");
    assert!((entries - mutations).abs() < 0.5, "{entries} entries");
    let version = grown(&before, &after, "wolfdisk_meta_version");
    assert!((version - mutations).abs() < 0.5, "{version} versions");
    for operation in ["mutate", "lookup", "status"] {
        let label = format!("{{operation=\"{operation}\"");
        let ended: f64 = after.sum_of("wolfdisk_meta_requests_total", &label);
        let timed = format!("wolfdisk_meta_request_duration_seconds_count{label}}}");
        assert!((ended - after.of(&timed)).abs() < 0.5, "{operation}");
    }
    let second = node.second_mount();
    same(meta(&node).of("wolfdisk_meta_sessions"), 2_u32, "sessions");
    drop(second);
    wait_until("the session of the other mount ends", || {
        (meta(&node).of("wolfdisk_meta_sessions") - 1.0).abs() < 0.5
    });
}

#[test]
fn syncs_and_bytes_are_counted_as_the_system_sees_them() {
    let node = Node::start();
    let file = File::create(node.path("file")).expect("created");
    file.sync_all().expect("synced");
    let meta_trace = Trace::start(node.pid(Daemon::Meta), "fdatasync", node.scratch());
    let before = meta(&node);
    for round in 0..SYNCED {
        file.write_all_at(&[round as u8; 4096], 0).expect("written");
        file.sync_data().expect("synced");
    }
    let after = meta(&node);
    let mut calls = meta_trace.stop();
    // The next segment of the log is made beside.
    calls.retain(|line| !line.contains("/spare.new>"));
    let name = "wolfdisk_meta_log_sync_duration_seconds_count";
    let syncs = grown(&before, &after, name);
    // Between the looks and the trace's ends time passes.
    let seen = count(&calls, "fdatasync") as f64;
    assert!(
        (syncs - seen).abs() <= 2.0 && syncs >= f64::from(SYNCED),
        "{syncs}, seen {seen}"
    );
    let name = "wolfdisk_meta_log_written_bytes_total";
    let written = grown(&before, &after, name);
    let least = f64::from(SYNCED) * 4096.0;
    assert!(written >= least && written < 1.5 * least, "{written} bytes");

    const BYTES: usize = 16 << 20;
    let content = Random::new().bytes(BYTES);
    let (before, old) = (chunkd(&node), meta(&node));
    fs::write(node.path("large"), &content).expect("written");
    File::open(node.path("large"))
        .expect("there")
        .sync_all()
        .expect("synced");
    let (after, new) = (chunkd(&node), meta(&node));
    let put = |numbers: &Numbers, name: &str| {
        numbers.of(&format!("wolfdisk_chunk_events_total{{event=\"{name}\"}}"))
    };
    same(
        put(&after, "put_bytes") - put(&before, "put_bytes"),
        BYTES as u32,
        "bytes put",
    );
    same(
        grown(&old, &new, "wolfdisk_meta_content_bytes"),
        BYTES as u32,
        "content",
    );
    let chunks = grown(&before, &after, "wolfdisk_chunk_chunks");
    assert!(
        (chunks - grown(&old, &new, "wolfdisk_meta_chunks")).abs() < 0.5,
        "{chunks}"
    );
    let segments = fs::read_dir(node.data().join("chunks")).expect("a folder");
    let segments = segments
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().ends_with(".seg"))
        .count();
    same(
        after.of("wolfdisk_chunk_segments"),
        segments as u32,
        "segments",
    );
    let dead = after.of("wolfdisk_chunk_segment_bytes") - after.of("wolfdisk_chunk_live_bytes");
    assert!(
        (dead - after.of("wolfdisk_chunk_dead_bytes")).abs() < 0.5,
        "{dead}"
    );
    let syncs = after.of("wolfdisk_chunk_sync_duration_seconds_count");
    assert!(
        (syncs - put(&after, "syncs")).abs() < 0.5 && syncs > 0.0,
        "{syncs}"
    );
    same(
        after.of("wolfdisk_chunk_in_flight_bytes"),
        0_u32,
        "bytes in flight",
    );
}

#[test]
fn the_state_of_a_daemon_is_told_as_it_is() {
    let node = Node::start();
    let found = nix::sys::statvfs::statvfs(node.data()).expect("a file system");
    let size = (found.blocks() * found.fragment_size()) as f64;
    for (numbers, prefix, daemon) in [
        (meta(&node), "wolfdisk_meta", Daemon::Meta),
        (chunkd(&node), "wolfdisk_chunk", Daemon::Chunkd),
    ] {
        let told = |name: &str| numbers.of(&format!("{prefix}_{name}"));
        assert!((told("disk_size_bytes") - size).abs() < 1.0);
        assert!(told("disk_available_bytes") < size);
        let memory = numbers.of("process_resident_memory_bytes");
        let resident = vm_rss_bytes(node.pid(daemon)) as f64;
        assert!(
            (memory / resident - 1.0).abs() < 0.5,
            "{memory}, not {resident}"
        );
        assert!(told("uptime_seconds") > 0.0 && told("uptime_seconds") < 300.0);
        same(told("problems"), 0_u32, "problems");
    }
    let open = || meta(&node).of("wolfdisk_meta_local_connections_open");
    let socket = node.data().join("run/meta.sock");
    wait_until("as many connections are open as the system knows", || {
        (open() - f64::from(connected(&socket))).abs() < 0.5
    });
    for daemon in [Daemon::Meta, Daemon::Chunkd] {
        let address = node.admin(daemon);
        assert_eq!(told(&address, "healthz").1, "200");
        assert_eq!(told(&address, "readyz").1, "200");
    }
    let stopped = Stopped::stop(node.pid(Daemon::Chunkd));
    wait_until("it is seen that the chunk store does not answer", || {
        meta(&node).of("wolfdisk_meta_chunk_store_up") < 0.5
    });
    let (reason, status) = told(&node.admin(Daemon::Meta), "readyz");
    assert_eq!(
        (status.as_str(), reason.contains("wolfdisk-chunkd")),
        ("503", true),
        "{reason}"
    );
    assert!(meta(&node).of("wolfdisk_meta_problems") > 0.5);
    drop(stopped);
    wait_until("it is ready again", || {
        told(&node.admin(Daemon::Meta), "readyz").1 == "200"
    });
}

/// Connections to a socket that are established, of all that the kernel knows.
fn connected(socket: &std::path::Path) -> u32 {
    let table = fs::read_to_string("/proc/net/unix").expect("the table");
    let path = socket.to_string_lossy();
    let of = table.lines().filter(|line| line.ends_with(&*path));
    // The sixth column: 03 is connected.
    let state = |line: &&str| line.split_whitespace().nth(5) == Some("03");
    u32::try_from(of.filter(state).count()).expect("few")
}

/// What both of these tell is documented once.
const DAEMONS: [&str; 2] = ["wolfdisk_meta", "wolfdisk_chunk"];

/// Names of metrics in back ticks, with `*_` as one of the two daemons that it stands for.
fn documented(prefix: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(repository().join("docs/metrics.md")).expect("the document");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`'));
    let names = names.map(|name| match name.strip_prefix("*_") {
        Some(rest) if DAEMONS.contains(&prefix) => format!("{prefix}_{rest}"),
        _ => name.to_owned(),
    });
    names
        .filter(|name| name.starts_with(prefix) || name.starts_with("process_"))
        .collect()
}

#[test]
fn what_is_told_is_documented_and_what_is_documented_is_told() {
    let node = Node::start();
    let gateway = Gateway::start(&node, "");
    // So that there are requests to tell.
    let (_, status) = told(&gateway.address(), "");
    assert_eq!(status, "200");
    let volume = documented("wolfdisk_volume");
    for (numbers, prefix) in [
        (meta(&node), "wolfdisk_meta"),
        (chunkd(&node), "wolfdisk_chunk"),
        (Numbers::at(&gateway.admin()), "wolfdisk_s3"),
    ] {
        let told: BTreeSet<String> = numbers.names().into_iter().collect();
        let mut known = documented(prefix);
        if prefix == "wolfdisk_s3" {
            known.extend(volume.iter().cloned());
            // No connection was ended here.
            known.remove("wolfdisk_s3_connections_ended_total");
        }
        assert_eq!(told, known, "{prefix}");
        follows_the_rules(&node, &numbers);
    }
    gateway.stop();
}

/// Strictly, as OpenMetrics; then what Prometheus itself says of names and help texts.
fn follows_the_rules(node: &Node, numbers: &Numbers) {
    let text = &numbers.text;
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut with_times = String::new();
    let mut classic = String::new();
    for line in text.lines() {
        let is_sample = !line.starts_with('#');
        with_times += line;
        with_times += if is_sample { " 1700000000\n" } else { "\n" };
        // There the name of a counter has its `_total` also where its type and its help are told.
        let mut words: Vec<String> = line.splitn(4, ' ').map(str::to_owned).collect();
        let of_counter = words
            .get(2)
            .is_some_and(|name| !is_sample && text.contains(&format!("# TYPE {name} counter\n")));
        if of_counter && let Some(name) = words.get_mut(2) {
            *name += "_total";
        }
        classic += &(words.join(" ") + "\n");
    }
    let scratch = node.scratch().path();
    fs::write(scratch.join("numbers"), with_times).expect("a file");
    fs::write(scratch.join("classic"), classic).expect("a file");
    let blocks =
        "promtool tsdb create-blocks-from openmetrics numbers blocks > out 2>&1 || cat out";
    let said = wolfdisk_tests::sh(scratch, blocks);
    assert_eq!(said, "", "{text}");
    let said = wolfdisk_tests::sh(scratch, "promtool check metrics < classic 2>&1 || true");
    assert_eq!(said, "", "{text}");
}
