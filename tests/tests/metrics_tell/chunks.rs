//! What wolfdisk-chunkd tells of what it stores and of what is under way, against its files, its system calls and what
//! it was asked for.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{self, ChunkClient};
use wolfdisk_tests::{
    Daemon, Effect, Fault, Node, Random, Trace, count, damage_chunk, joined, wait_until,
    write_durably,
};

use crate::{chunkd, equal, events, grown, is_same, meta, same};

const MIB: usize = 1 << 20;
/// A chunk at the most.
const CHUNK: usize = 4 * MIB;
const CHUNKS: u32 = 3;
const PUTS: u32 = 3;
/// What stands in a segment before the chunks.
const HEAD: f64 = 64.0;
const CALL_DEADLINE: Duration = Duration::from_secs(30);
const EACH_TAKES: Duration = Duration::from_secs(2);
const BLOCK: usize = 4096;
/// What a crash leaves behind the last chunk.
const TORN: u32 = 777;

fn client(node: &Node) -> ChunkClient<Pool> {
    ChunkClient(Pool::new(node.data().join("run/chunkd.sock")))
}

fn put(client: &ChunkClient<Pool>, content: Vec<u8>) -> v1::PutReply {
    let request = v1::PutRequest {
        source: Some(v1::put_request::Source::Data(Bytes::from(content))),
        ..Default::default()
    };
    let mut options = Options::within(CALL_DEADLINE);
    client.put(&mut options, &request).expect("stored")
}

/// Segments on the disk, and their bytes.
pub fn segments(data: &Path) -> (u32, f64) {
    let files = fs::read_dir(data.join("chunks"))
        .expect("a folder")
        .flatten();
    let segments = files.filter(|file| file.file_name().to_string_lossy().ends_with(".seg"));
    let bytes: Vec<u64> = segments
        .map(|file| file.metadata().expect("a file").len())
        .collect();
    (bytes.len() as u32, bytes.iter().sum::<u64>() as f64)
}

/// What a check found: chunks that it read, and their bytes.
fn checked(node: &Node) -> (f64, f64) {
    let outcome = node.control(&["check", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    let number = |name: &str| json[name].as_f64().expect("a number");
    (number("chunks_read"), number("bytes_read"))
}

fn now_s() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs_f64()
}

#[test]
fn what_is_stored_is_told_as_it_lies_on_the_disk_and_as_a_check_reads_it() {
    let node = Node::start();
    let before = chunkd(&node);
    write_durably(&node.path("file"), &Random::new().bytes(3 * MIB));
    let written = chunkd(&node);
    let of_file = grown(&before, &written, "wolfdisk_chunk_chunks");
    equal(
        meta(&node).of("wolfdisk_meta_chunks"),
        of_file,
        "chunks that the index knows",
    );
    same(
        events(&before, &written, "put_bytes"),
        3 * MIB as u32,
        "bytes",
    );
    let (client, contents) = (client(&node), [(); 3].map(|()| Random::new().bytes(MIB)));
    for content in contents.iter().chain(&contents) {
        put(&client, content.clone());
    }
    let after = chunkd(&node);
    same(events(&written, &after, "puts"), 3_u32, "puts");
    same(
        events(&written, &after, "put_bytes"),
        3 * MIB as u32,
        "bytes",
    );
    same(
        events(&written, &after, "deduplicated"),
        3_u32,
        "puts of what was there",
    );
    let asked = "wolfdisk_chunk_requests_total{operation=\"put\",outcome=\"ok\"}";
    same(after.of(asked) - written.of(asked), 6_u32, "calls");
    let timed = "wolfdisk_chunk_request_duration_seconds_count{operation=\"put\"}";
    same(
        after.of(timed) - written.of(timed),
        6_u32,
        "calls that were timed",
    );
    same(
        grown(&written, &after, "wolfdisk_chunk_chunks"),
        3_u32,
        "chunks",
    );

    let (files, bytes) = segments(node.data());
    same(after.of("wolfdisk_chunk_segments"), files, "segments");
    equal(
        after.of("wolfdisk_chunk_segment_bytes"),
        bytes,
        "bytes of segments",
    );
    let (chunks, chunk_bytes) = checked(&node);
    equal(after.of("wolfdisk_chunk_chunks"), chunks, "chunks");
    equal(
        after.of("wolfdisk_chunk_live_bytes"),
        chunk_bytes,
        "bytes of chunks",
    );
    let dead = after.of("wolfdisk_chunk_dead_bytes");
    equal(dead, f64::from(files) * HEAD, "what no chunk needs");
    let verified = chunkd(&node);
    equal(
        events(&after, &verified, "verified_chunks"),
        chunks,
        "chunks that were read",
    );
    equal(
        events(&after, &verified, "verified_bytes"),
        chunk_bytes,
        "bytes that were",
    );

    let maps = fs::read_to_string(format!("/proc/{}/maps", node.pid(Daemon::Chunkd)));
    let shared = maps.expect("it runs");
    let shared = shared
        .lines()
        .filter(|line| line.contains("/memfd:wolfdisk-area"));
    same(
        verified.of("wolfdisk_chunk_areas"),
        shared.count() as u32,
        "areas",
    );

    let garbage = || meta(&node).of("wolfdisk_meta_garbage_chunks");
    same(garbage(), 0_u32, "all are needed");
    fs::remove_file(node.path("file")).expect("removed");
    wait_until("nobody needs them", || is_same(garbage(), of_file));
}

#[test]
fn syncs_are_counted_as_the_system_sees_them() {
    let node = Node::start();
    write_durably(&node.path("first"), &Random::new().bytes(MIB));
    let trace = Trace::start(node.pid(Daemon::Chunkd), "fdatasync,fsync", node.scratch());
    let before = chunkd(&node);
    for number in 0..CHUNKS {
        write_durably(&node.path(number.to_string()), &Random::new().bytes(MIB));
    }
    let after = chunkd(&node);
    let lines: Vec<_> = trace
        .stop()
        .into_iter()
        .filter(|line| line.contains(".seg>"))
        .collect();
    let name = "wolfdisk_chunk_sync_duration_seconds_count";
    same(
        grown(&before, &after, name),
        count(&lines, "fdatasync") as u32,
        "syncs",
    );
    equal(
        events(&before, &after, "syncs"),
        grown(&before, &after, name),
        "syncs",
    );
    assert!(
        grown(&before, &after, name) > f64::from(CHUNKS) - 0.5,
        "each waited for one"
    );
}

#[test]
fn what_is_under_way_is_told() {
    let node = Node::start();
    write_durably(&node.path("first"), &Random::new().bytes(MIB));
    let fault = Fault {
        calls: "pwrite64",
        effect: Effect::Delay(EACH_TAKES),
        at: 1,
    };
    let trace = Trace::with_fault(node.pid(Daemon::Chunkd), fault, node.scratch());
    let puts: Vec<_> = (0..PUTS)
        .map(|_| {
            let (client, content) = (client(&node), Random::new().bytes(MIB));
            std::thread::spawn(move || drop(put(&client, content)))
        })
        .collect();
    wait_until("all of them are under way", || {
        let now = chunkd(&node);
        let of = |name: &str| now.of(&format!("wolfdisk_chunk_{name}"));
        is_same(of("in_flight_bytes"), (PUTS as usize * MIB) as f64)
            && is_same(of("pool_jobs"), PUTS.into())
            && is_same(of("requests_in_flight"), PUTS.into())
    });
    drop(trace);
    for put in puts {
        joined("a put", put);
    }
    for name in [
        "wolfdisk_chunk_in_flight_bytes",
        "wolfdisk_chunk_pool_jobs",
        "wolfdisk_chunk_requests_in_flight",
    ] {
        wait_until(name, || is_same(chunkd(&node).of(name), 0.0));
    }
}

/// Scrubs round after round.
fn scrub_always(node: &Node, bytes_per_second: u64) {
    let config = node.scratch().path().join("config.toml");
    let text = fs::read_to_string(&config).expect("a file");
    let settings = format!("[scrub]\ninterval_hours = 0\nbytes_per_second = {bytes_per_second}\n");
    fs::write(&config, text + &settings).expect("a file");
}

#[test]
fn damage_is_told_as_it_was_done_and_healed() {
    let mut node = Node::start();
    let contents = [(); 2].map(|()| Random::new().bytes(MIB));
    for (number, content) in contents.iter().enumerate() {
        write_durably(&node.path(number.to_string()), content);
    }
    node.stop();
    for content in &contents {
        damage_chunk(&node, &content[..BLOCK]);
    }
    scrub_always(&node, 1 << 30);
    let begun = now_s();
    node.up();
    let event = |event: &str| {
        let name = format!("wolfdisk_chunk_events_total{{event=\"{event}\"}}");
        chunkd(&node).of(&name)
    };
    let damaged = || chunkd(&node).of("wolfdisk_chunk_damaged_chunks");
    wait_until("scrubbing finds it", || is_same(damaged(), 2.0));
    same(event("damaged_chunks"), 2_u32, "found");
    assert!(chunkd(&node).of("wolfdisk_chunk_problems") > 0.5);
    wait_until("a pass ends", || {
        let ended = chunkd(&node).of("wolfdisk_chunk_scrub_ended_timestamp_seconds");
        // In whole seconds.
        ended > begun - 1.0 && ended < now_s() + 1.0
    });
    for content in &contents {
        write_durably(&node.path("again"), content);
    }
    wait_until("all is whole", || is_same(damaged(), 0.0));
    same(event("healed_chunks"), 2_u32, "healed");
    same(event("damaged_chunks"), 2_u32, "found once");
}

#[test]
fn a_pass_that_runs_is_told() {
    let mut node = Node::start();
    write_durably(&node.path("file"), &Random::new().bytes(CHUNK));
    let running = |node: &Node| chunkd(node).of("wolfdisk_chunk_scrub_running");
    let ended = |node: &Node| chunkd(node).of("wolfdisk_chunk_scrub_ended_timestamp_seconds");
    same(running(&node), 0_u32, "nothing is read");
    same(ended(&node), 0_u32, "nothing was");
    node.stop();
    scrub_always(&node, 2_000_000);
    let begun = now_s();
    node.up();
    wait_until("it is being read", || is_same(running(&node), 1.0));
    wait_until("it was read", || ended(&node) > 0.5);
    // In whole seconds.
    let took = ended(&node) - begun;
    assert!(
        took > CHUNK as f64 / 2e6 - 1.0 && took < now_s() - begun + 1.0,
        "{took}"
    );
}

/// The last segment, and where it ends.
fn last_segment(node: &Node) -> (PathBuf, u64) {
    let files = fs::read_dir(node.data().join("chunks"))
        .expect("a folder")
        .flatten();
    let paths = files.map(|file| file.path());
    let last = paths
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .max();
    let last = last.expect("a segment");
    let length = fs::metadata(&last).expect("a segment").len();
    (last, length)
}

fn write_over(path: &Path, bytes: &[u8], at: u64) {
    let file = File::options().write(true).open(path).expect("a segment");
    file.write_all_at(bytes, at).expect("written");
}

#[test]
fn a_start_tells_what_it_read_and_what_a_crash_tore() {
    let mut node = Node::start();
    let event = |node: &Node, event: &str| {
        chunkd(node).of(&format!("wolfdisk_chunk_events_total{{event=\"{event}\"}}"))
    };
    let write = |node: &Node, name: &str| {
        write_durably(&node.path(name), &Random::new().bytes(MIB));
        last_segment(node)
    };
    for number in 0..CHUNKS {
        write(&node, &number.to_string());
    }
    let (segment, length) = last_segment(&node);
    node.crash();
    write_over(&segment, &[0x5a; TORN as usize], length);
    node.up();
    same(
        event(&node, "scanned_records"),
        CHUNKS,
        "chunks that no checkpoint names",
    );
    same(event(&node, "torn_bytes"), TORN, "bytes that were torn");
    same(event(&node, "gap_bytes"), 0_u32, "bytes between chunks");
    assert_eq!(fs::metadata(&segment).expect("a segment").len(), length);

    // An orderly end leaves a checkpoint: nothing is to be read.
    node.restart();
    same(
        event(&node, "scanned_records"),
        0_u32,
        "chunks that a checkpoint names",
    );

    let (_, begin) = write(&node, "one");
    let (segment, end) = write(&node, "two");
    write(&node, "three");
    node.crash();
    write_over(&segment, &vec![0; (end - begin) as usize], begin);
    node.up();
    same(
        event(&node, "gap_bytes"),
        (end - begin) as u32,
        "bytes that are gone",
    );
    same(event(&node, "scanned_records"), 2_u32, "chunks around them");
}
