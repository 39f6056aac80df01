//! What wolfdisk-meta tells of its log, its checkpoints and its sessions.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::{Duration, Instant};

use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{self, MetaClient, mutate_request::Op};
use wolfdisk_tests::{Daemon, Effect, Fault, Node, Trace, joined, kill_hard, wait_until};

use crate::{chunkd, equal, grown, grown_of, is_same, meta, same, sync};

const FILES: u32 = 50;
const SMALL: usize = 4000;
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// Writes of the log end where a page does.
const PAGE: f64 = 4096.0;
/// Mutations of which each waits for the one before, and how long each takes.
const QUEUED: u32 = 20;
const EACH_TAKES: Duration = Duration::from_millis(100);
const SESSIONS: u32 = 5;
/// Long enough for all of them to be seen at once.
const FEED_WAITS: Duration = Duration::from_secs(2);

/// Where in the log a recorded write was made, and of how many bytes it is; also of a call that is recorded in two parts.
fn place(line: &str) -> Option<(u64, u64)> {
    let mut from_end = line.rsplitn(3, ", ");
    let digits = |text: &str| {
        let end = text.find(|letter: char| !letter.is_ascii_digit());
        text.get(..end.unwrap_or(text.len()))?.parse().ok()
    };
    let offset = digits(from_end.next()?)?;
    Some((offset, digits(from_end.next()?)?))
}

#[test]
fn writes_of_the_log_and_its_length_are_told_as_the_system_sees_them() {
    let node = Node::start();
    sync(&node);
    let trace = Trace::start(node.pid(Daemon::Meta), "pwrite64", node.scratch());
    let before = meta(&node);
    for number in 0..FILES {
        fs::write(node.path(number.to_string()), [number as u8; SMALL]).expect("written");
    }
    sync(&node);
    let after = meta(&node);
    let lines = trace.stop();
    let in_log = lines.iter().filter(|line| line.contains("/log/0"));
    let writes: Vec<_> = in_log.filter_map(|line| place(line)).collect();
    same(
        grown(&before, &after, "wolfdisk_meta_batches_total"),
        writes.len() as u32,
        "writes",
    );
    let begin = writes
        .iter()
        .map(|(offset, _)| *offset)
        .min()
        .expect("writes");
    let end = writes.iter().map(|(offset, bytes)| offset + bytes).max();
    let length = (end.expect("writes") - begin) as f64;
    for name in [
        "wolfdisk_meta_log_bytes",
        "wolfdisk_meta_log_written_bytes_total",
    ] {
        let told = grown(&before, &after, name);
        assert!(
            told <= length && told > length - PAGE,
            "{name}: {told} of {length}"
        );
    }
    assert!(length > f64::from(FILES) * SMALL as f64, "{length}");
}

#[test]
fn a_checkpoint_is_told_as_it_lies_on_the_disk_and_shortens_the_log() {
    let node = Node::start();
    for number in 0..FILES {
        File::create(node.path(number.to_string())).expect("created");
    }
    sync(&node);
    let before = meta(&node);
    assert!(
        before.of("wolfdisk_meta_overlay_bytes") > f64::from(FILES),
        "files are in memory"
    );
    assert!(
        before.of("wolfdisk_meta_log_bytes") > f64::from(FILES),
        "and in the log"
    );
    equal(
        before.of("wolfdisk_meta_durable_version"),
        before.of("wolfdisk_meta_version"),
        "synced",
    );
    assert!(before.of("wolfdisk_meta_checkpoint_version") < f64::from(FILES));
    // Checks the state of now, which it has a checkpoint made of.
    let asked = Instant::now();
    node.must_be_whole();
    let after = meta(&node);
    let made = grown(
        &before,
        &after,
        "wolfdisk_meta_checkpoint_duration_seconds_count",
    );
    same(made, 1_u32, "checkpoints");
    let took = grown(
        &before,
        &after,
        "wolfdisk_meta_checkpoint_duration_seconds_sum",
    );
    let since = asked.elapsed().as_secs_f64();
    assert!(took > 0.0 && took < since, "{took} of {since}");
    let age = after.of("wolfdisk_meta_checkpoint_age_seconds");
    assert!(age + took < asked.elapsed().as_secs_f64(), "{age}");
    equal(
        after.of("wolfdisk_meta_checkpoint_version"),
        after.of("wolfdisk_meta_version"),
        "all",
    );
    same(after.of("wolfdisk_meta_overlay_bytes"), 0_u32, "in memory");
    same(after.of("wolfdisk_meta_log_bytes"), 0_u32, "of the log");
    let files = fs::read_dir(node.data().join("meta"))
        .expect("a folder")
        .flatten();
    let files = files.filter(|file| file.file_name().to_string_lossy().ends_with(".redb"));
    // In units of 512 bytes, whatever the disk's are.
    let room = files.map(|file| file.metadata().expect("a file").blocks() * 512);
    same(
        after.of("wolfdisk_meta_checkpoint_file_bytes"),
        room.sum::<u64>() as u32,
        "room",
    );
}

#[test]
fn a_version_is_durable_as_soon_as_the_disk_has_it() {
    let node = Node::start();
    // That the chunk store has begun a life is a version too, and may come after the mount.
    wait_until("the chunk store is known", || {
        node.control(&["status"]).code == Some(0)
    });
    wait_until("all is on the disk", || {
        let now = meta(&node);
        is_same(
            now.of("wolfdisk_meta_durable_version"),
            now.of("wolfdisk_meta_version"),
        )
    });
    let fault = Fault {
        calls: "fdatasync",
        effect: Effect::Delay(Duration::from_secs(2)),
        at: 1,
    };
    let trace = Trace::with_fault(node.pid(Daemon::Meta), fault, node.scratch());
    let before = meta(&node);
    File::create(node.path("file")).expect("created");
    let waiting = meta(&node);
    same(
        grown(&before, &waiting, "wolfdisk_meta_version"),
        1_u32,
        "applied",
    );
    same(
        grown(&before, &waiting, "wolfdisk_meta_durable_version"),
        0_u32,
        "not on the disk",
    );
    drop(trace);
    sync(&node);
    same(
        grown(&before, &meta(&node), "wolfdisk_meta_durable_version"),
        1_u32,
        "on the disk",
    );
}

/// A session of its own.
fn session(client: &MetaClient<Pool>, pid: u32) -> v1::OpenSessionReply {
    let request = v1::OpenSessionRequest {
        frontend: "ctl".to_owned(),
        pid,
        ..Default::default()
    };
    let mut options = Options::within(CALL_DEADLINE);
    client
        .open_session(&mut options, &request)
        .expect("a session")
}

fn client(node: &Node) -> MetaClient<Pool> {
    MetaClient(Pool::new(node.data().join("run/meta.sock")))
}

#[test]
fn mutations_that_wait_are_told_until_they_are_done() {
    let node = Node::start();
    let opened = session(&client(&node), std::process::id());
    let fault = Fault {
        calls: "pwrite64",
        effect: Effect::Delay(EACH_TAKES),
        at: 1,
    };
    let trace = Trace::with_fault(node.pid(Daemon::Meta), fault, node.scratch());
    let before = meta(&node);
    let askers: Vec<_> = (1..=QUEUED)
        .map(|sequence| {
            let (client, opened) = (client(&node), opened.clone());
            // All are of one name, so that each has a write of the log for itself.
            let create = v1::Create {
                parent: opened.root,
                name: "one".into(),
                mode: libc::S_IFREG | 0o600,
                ..Default::default()
            };
            let request = v1::MutateRequest {
                session: opened.session,
                sequence: sequence.into(),
                op: Some(Op::Create(create)),
                ..Default::default()
            };
            std::thread::spawn(move || {
                client
                    .mutate(&mut Options::within(CALL_DEADLINE), &request)
                    .map(drop)
            })
        })
        .collect();
    let created = "wolfdisk_meta_mutations_total{operation=\"create\"}";
    wait_until("all that are not done wait", || {
        let now = meta(&node);
        let waiting = now.of("wolfdisk_meta_queued_mutations");
        waiting > 0.5
            && is_same(
                waiting + grown_of(&before, &now, created),
                f64::from(QUEUED),
            )
    });
    drop(trace);
    for asker in askers {
        joined("an answer", asker).expect("answered");
    }
    let after = meta(&node);
    same(after.of("wolfdisk_meta_queued_mutations"), 0_u32, "waiting");
    same(grown_of(&before, &after, created), QUEUED, "done");
}

#[test]
fn calls_under_way_and_sessions_that_died_are_told() {
    let node = Node::start();
    let before = meta(&node);
    // Each asks for news that do not come.
    let begun = Instant::now();
    let feeds: Vec<_> = (0..SESSIONS)
        .map(|_| {
            let client = client(&node);
            let session = session(&client, std::process::id()).session;
            let wait_ms = FEED_WAITS.as_millis() as u32;
            let request = v1::FeedRequest {
                session,
                wait_ms,
                ..Default::default()
            };
            std::thread::spawn(move || {
                client
                    .feed(&mut Options::within(CALL_DEADLINE), &request)
                    .map(drop)
            })
        })
        .collect();
    let mut most = 0.0_f64;
    wait_until("all of them wait", || {
        // The mount has one as well, but between two.
        most = most.max(meta(&node).of("wolfdisk_meta_requests_in_flight"));
        is_same(most, f64::from(SESSIONS) + 1.0)
    });
    for feed in feeds {
        joined("a feed", feed).expect("answered");
    }
    assert!(begun.elapsed() < CALL_DEADLINE);
    wait_until("no more than the mount's is under way", || {
        meta(&node).of("wolfdisk_meta_requests_in_flight") < 1.5
    });
    same(
        grown(&before, &meta(&node), "wolfdisk_meta_sessions"),
        SESSIONS,
        "sessions",
    );

    let second = node.second_mount();
    fs::metadata(second.path("")).expect("there");
    let with = meta(&node);
    kill_hard(second.pid());
    // Its process is gone as soon as somebody has heard of its end.
    drop(second);
    wait_until("its session is ended", || {
        let now = meta(&node);
        is_same(
            grown(&with, &now, "wolfdisk_meta_expired_sessions_total"),
            1.0,
        ) && is_same(grown(&with, &now, "wolfdisk_meta_sessions"), -1.0)
    });
}

#[test]
fn changes_that_wait_for_other_mounts_are_told() {
    let node = Node::start();
    let files: Vec<_> = (0..FILES)
        .map(|number| node.path(number.to_string()))
        .collect();
    for path in &files {
        fs::write(path, "text").expect("written");
    }
    let second = node.second_mount();
    for number in 0..FILES {
        fs::metadata(second.path(number.to_string())).expect("the other one knows it");
    }
    let before = meta(&node);
    for path in &files {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(path, permissions).expect("changed");
    }
    let after = meta(&node);
    same(
        grown(&before, &after, "wolfdisk_meta_barriers_total"),
        FILES,
        "changes that waited",
    );
    // Nobody else knows these any more.
    for path in &files {
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        fs::set_permissions(path, permissions).expect("changed");
    }
    same(
        grown(&after, &meta(&node), "wolfdisk_meta_barriers_total"),
        0_u32,
        "changes that did not",
    );
}

#[test]
fn passes_that_fail_are_told_as_often_as_the_disk_refused() {
    let node = Node::start();
    fs::write(node.path("file"), [7; SMALL]).expect("written");
    sync(&node);
    let fault = Fault {
        calls: "pwrite64",
        effect: Effect::Errors("EIO"),
        at: 1,
    };
    let trace = Trace::with_fault(node.pid(Daemon::Chunkd), fault, node.scratch());
    wait_until("passes fail", || {
        meta(&node).of("wolfdisk_meta_destage_failures_total") > 1.5
    });
    let lines = trace.stop();
    wait_until("one succeeds", || {
        is_same(
            meta(&node).of("wolfdisk_meta_destaged_bytes_total"),
            SMALL as f64,
        )
    });
    let failed = meta(&node).of("wolfdisk_meta_destage_failures_total");
    let refused = lines
        .iter()
        .filter(|line| line.contains("(INJECTED)") && line.contains(".seg"));
    same(failed, refused.count() as u32, "passes that failed");
    same(
        chunkd(&node).of("wolfdisk_chunk_events_total{event=\"puts\"}"),
        1_u32,
        "chunks",
    );
    // It is as it was.
    let file = File::open(node.path("file")).expect("opened");
    let mut content = [0; SMALL];
    file.read_exact_at(&mut content, 0).expect("read");
    assert_eq!(content, [7; SMALL]);
}
