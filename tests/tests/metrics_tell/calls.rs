//! Calls, mutations, syncs and bytes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use wolfdisk_tests::{Daemon, Node, Numbers, Random, Trace, count, wait_until};

use crate::{chunkd, equal, grown, grown_of, meta, mount, same};

const CREATED: u32 = 200;
const SYNCED: u32 = 50;

/// The volume as `df` sees it: inodes in use.
fn inodes(node: &Node) -> u32 {
    let found = nix::sys::statvfs::statvfs(node.mount()).expect("a file system");
    u32::try_from(found.files() - found.files_free()).expect("few")
}

#[test]
fn files_and_calls_are_counted_as_they_were_made() {
    let node = Node::start();
    let (before, asked) = (meta(&node), mount(&node));
    same(before.of("wolfdisk_meta_sessions"), 1_u32, "sessions");
    for number in 0..CREATED {
        File::create(node.path(number.to_string())).expect("created");
    }
    fs::rename(node.path("0"), node.path("renamed")).expect("renamed");
    fs::remove_file(node.path("1")).expect("removed");
    File::open(node.path("2"))
        .expect("there")
        .sync_all()
        .expect("synced");
    let (after, answered) = (meta(&node), mount(&node));
    let made = |name: &str| {
        let name = format!("wolfdisk_meta_mutations_total{{operation=\"{name}\"}}");
        after.of(&name) - before.of(&name)
    };
    same(made("create"), CREATED, "creates");
    same(made("rename"), 1_u32, "renames");
    same(made("unlink"), 1_u32, "removals");
    // The mount counts what it asks, wolfdisk-meta what it is asked.
    for operation in ["mutate", "lookup", "open", "sync", "read_dir"] {
        let event = format!("wolfdisk_volume_events_total{{event=\"meta_{operation}\"}}");
        let label = format!("{{operation=\"{operation}\"");
        let of = |numbers: &Numbers| numbers.sum_of("wolfdisk_meta_requests_total", &label);
        equal(
            grown_of(&asked, &answered, &event),
            of(&after) - of(&before),
            operation,
        );
    }
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
