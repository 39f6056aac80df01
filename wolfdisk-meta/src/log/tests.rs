//! What survives is a prefix, everything synced is there, and what was synced and is damaged is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::crash::{CrashDisk, Operation};
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::ids::{LogIndex, Term};

use super::format::{SEGMENT_HEADER_BYTES, record_bytes};
use super::store::Log;
use super::{LogOptions, Syncing};
use crate::consensus::ReplicationError;

const DIRECTORY: &str = "/log";
const MANUAL: LogOptions = LogOptions {
    segment_bytes: 4096,
    syncing: Syncing::Manual,
    first_segment: 0,
};

fn open(disk: &CrashDisk) -> Result<Log, ReplicationError> {
    Log::open(Arc::new(disk.clone()), Path::new(DIRECTORY), &MANUAL)
}

/// A payload that says where it belongs.
fn payload(index: u64, length: usize) -> Bytes {
    (0..length)
        .map(|byte| (index as usize * 31 + byte * 7 + byte / 251) as u8)
        .collect()
}

fn segments(disk: &CrashDisk) -> Vec<PathBuf> {
    disk.files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect()
}

/// Of which branch of the history an entry is: one that took the place of another has other bytes.
fn branched(branch: u64, index: u64, length: usize) -> Bytes {
    payload(index + branch * 1009, length)
}

/// Entries in the log, checked to be those that were appended.
fn check(log: &Log, model: &[Bytes], first: u64) -> Result<(), String> {
    for index in first..=log.written().0 {
        let (_, found) = log
            .read_entry(LogIndex(index))
            .map_err(|error| error.to_string())?;
        if Some(&found) != model.get(index as usize - 1) {
            return Err(format!("entry {index} is another"));
        }
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Flush,
    Sync,
    Want,
    Read {
        at: usize,
        from: usize,
        length: usize,
    },
    Truncate(usize),
    /// Entries are taken back.
    TakeBack(usize),
    /// The process ends; the page cache stays.
    Kill,
    Crash(u64),
    /// The power goes off during the operations that follow.
    CutAt(u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![8 => 0..600usize, 4 => 600..5000usize, 1 => 120_000..300_000usize];
    prop_oneof![
        12 => length.prop_map(Step::Append),
        6 => Just(Step::Flush),
        3 => Just(Step::Sync),
        2 => Just(Step::Want),
        4 => (any::<usize>(), any::<usize>(), any::<usize>())
            .prop_map(|(at, from, length)| Step::Read { at, from, length }),
        2 => any::<usize>().prop_map(Step::Truncate),
        2 => any::<usize>().prop_map(Step::TakeBack),
        1 => Just(Step::Kill),
        2 => any::<u64>().prop_map(Step::Crash),
        2 => (1..12u64, any::<u64>()).prop_map(|(nth, seed)| Step::CutAt(nth, seed)),
    ]
}

fn reopen(disk: &CrashDisk, seed: u64, lying: bool) -> Result<Log, String> {
    disk.crash(seed);
    disk.lose_syncs(lying);
    open(disk).map_err(|error| error.to_string())
}

/// Runs `steps` against a model; an error says which promise was broken.
fn run(steps: &[Step], lying: bool) -> Result<(), String> {
    let disk = CrashDisk::new();
    let mut log = open(&disk).map_err(|error| error.to_string())?;
    disk.lose_syncs(lying);
    let mut model: Vec<Bytes> = Vec::new();
    let (mut durable, mut cut_seed, mut branch) = (0u64, 0, 0);
    for step in steps {
        let first = log.first_index().0;
        // What may be found instead, if taking back was cut off.
        let mut kept: Option<Vec<Bytes>> = None;
        let outcome = match step {
            Step::Append(length) => {
                let index = model.len() as u64 + 1;
                let entry = branched(branch, index, *length);
                model.push(entry.clone());
                assert_eq!(log.append(Term(1), entry), LogIndex(index));
                Ok(())
            }
            Step::Flush => log.flush(),
            Step::Sync => log.sync(),
            Step::Want => {
                log.want_durable(LogIndex(model.len() as u64));
                log.flush()
            }
            Step::Read { at, from, length } => {
                let written = log.written().0;
                if written >= first {
                    let index = first + *at as u64 % (written - first + 1);
                    let whole = &model[index as usize - 1];
                    let from = from % (whole.len() + 1);
                    let length = length % (whole.len() - from + 1);
                    match log.read(LogIndex(index), from as u32, length as u32) {
                        Ok(found) if found == whole[from..from + length] => Ok(()),
                        Ok(_) => return Err(format!("a part of entry {index} is another")),
                        Err(error) => Err(error),
                    }
                } else {
                    Ok(())
                }
            }
            Step::Truncate(at) => {
                // As the daemon does: nothing goes that a checkpoint of durable entries lacks.
                log.truncate_before(LogIndex(*at as u64 % (log.durable().0 + 1)))
            }
            Step::TakeBack(at) => {
                // As Raft does: never what the state was made from.
                let last = model.len() as u64;
                let to = first - 1 + *at as u64 % (last + 2 - first);
                branch += 1;
                kept = Some(model.clone());
                model.truncate(to as usize);
                durable = durable.min(to);
                log.truncate_after(LogIndex(to))
            }
            Step::Kill | Step::Crash(_) => Ok(()),
            Step::CutAt(nth, seed) => {
                disk.power_off_at(*nth);
                cut_seed = *seed;
                Ok(())
            }
        };
        if kept.is_none() || outcome.is_ok() {
            durable = durable.max(log.durable().0);
        }
        let crash = match step {
            Step::Crash(seed) => Some(*seed),
            _ => disk.is_off().then_some(cut_seed),
        };
        match (crash, step) {
            (Some(seed), _) => {
                drop(log);
                log = reopen(&disk, seed, lying)?;
            }
            (None, Step::Kill) => {
                model.truncate(log.written().0 as usize);
                drop(log);
                log = match open(&disk) {
                    Ok(log) => log,
                    Err(_) if disk.is_off() => reopen(&disk, cut_seed, lying)?,
                    Err(error) => return Err(error.to_string()),
                };
            }
            (None, _) => outcome.map_err(|error| error.to_string())?,
        }
        if crash.is_some() || matches!(step, Step::Kill) {
            let found = log.written().0;
            if found < durable {
                return Err(format!(
                    "{durable} entries were durable, {found} were found"
                ));
            }
            if let Some(kept) = kept.filter(|_| found > model.len() as u64) {
                model = kept;
            }
            if found > model.len() as u64 {
                return Err(format!(
                    "{} entries were appended, {found} found",
                    model.len()
                ));
            }
            model.truncate(found as usize);
            durable = durable.max(found.min(log.durable().0));
            check(&log, &model, log.first_index().0)?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn what_survives_is_a_prefix_with_everything_synced(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        run(&steps, false).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn a_disk_that_loses_syncs_is_noticed() {
    let caught = (0..32).filter(|seed| {
        let mut steps = vec![Step::Append(700), Step::Sync, Step::Append(90), Step::Sync];
        steps.push(Step::Crash(*seed));
        run(&steps, true).is_err()
    });
    assert!(caught.count() > 8);
}

/// Entries of various lengths, three of them to a sync, over several segments.
fn filled(disk: &CrashDisk, count: u64, synced: u64) -> Vec<Bytes> {
    let mut log = open(disk).unwrap();
    let mut model = Vec::new();
    for index in 1..=count {
        let bytes = payload(index, (index as usize * 97) % 900);
        model.push(bytes.clone());
        log.append(Term(1), bytes);
        log.flush().unwrap();
        if index == synced {
            log.sync().unwrap();
        }
    }
    model
}

#[test]
fn a_cut_at_every_byte_leaves_the_records_before_it() {
    let whole = CrashDisk::new();
    let model = filled(&whole, 7, 0);
    let [segment] = segments(&whole).try_into().unwrap();
    let end: usize = SEGMENT_HEADER_BYTES
        + model
            .iter()
            .map(|bytes| record_bytes(bytes.len()))
            .sum::<usize>();
    for cut in SEGMENT_HEADER_BYTES..=end {
        for garbage in [false, true] {
            let disk = CrashDisk::new();
            filled(&disk, 7, 0);
            disk.corrupt(&segment, |bytes| {
                let from = cut.min(bytes.len());
                if garbage {
                    bytes[from..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
                } else {
                    bytes[from..].fill(0);
                }
            })
            .unwrap();
            let mut log = open(&disk).unwrap();
            let mut at = SEGMENT_HEADER_BYTES;
            let mut expected = 0;
            for bytes in &model {
                at += record_bytes(bytes.len());
                // The last bytes of a record may be padding, or zeroes of its own.
                expected += u64::from(at <= cut);
            }
            let found = log.written().0;
            assert!(
                found >= expected && found <= expected + 1,
                "cut {cut}: {found} {expected}"
            );
            check(&log, &model, 1).unwrap();
            // The log goes on from there and is whole after another start.
            log.append(Term(1), payload(99, 40));
            log.sync().unwrap();
            drop(log);
            disk.crash(cut as u64);
            let log = open(&disk).unwrap();
            assert_eq!(log.written().0, found + 1);
            assert_eq!(
                log.read_entry(LogIndex(found + 1)).unwrap().1,
                payload(99, 40)
            );
        }
    }
}

/// A log whose first 20 of 24 entries are known to be synced, changed by `change`, then opened.
fn damaged(change: impl Fn(&CrashDisk)) -> Result<(), ReplicationError> {
    let disk = CrashDisk::new();
    let model = filled(&disk, 24, 20);
    change(&disk);
    let log = open(&disk)?;
    assert!(
        log.written().0 >= 20,
        "synced entries were dropped without a word"
    );
    check(&log, &model, 1).map_err(|what| panic!("{what}"))
}

#[test]
fn damage_below_the_floor_is_refused_by_file_and_offset() {
    damaged(|_| {}).unwrap();
    let disk = CrashDisk::new();
    filled(&disk, 24, 20);
    let files = segments(&disk);
    assert!(files.len() >= 3, "{files:?}");
    let mut refused = 0;
    for file in &files {
        for at in (0..4096).step_by(5) {
            let outcome = damaged(|disk| disk.corrupt(file, |bytes| bytes[at] ^= 4).unwrap());
            match outcome {
                Err(ReplicationError::Damaged { path, offset, .. }) => {
                    assert!(
                        &path == file && offset <= at as u64,
                        "{path:?} {offset} {at}"
                    );
                    refused += 1;
                }
                // Padding, or behind the floor.
                Ok(()) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(refused > 1000, "{refused}");
    let first = &files[0];
    let is_damaged = |outcome| matches!(outcome, Err(ReplicationError::Damaged { .. }));
    for length in [0, 100, 512, 4095] {
        assert!(is_damaged(damaged(|disk| disk
            .corrupt(first, |b| b.truncate(length))
            .unwrap())));
    }
    for page in [0, 512, 1024, 2048] {
        let zero = |bytes: &mut Vec<u8>| bytes[page..page + 512].fill(0);
        assert!(
            is_damaged(damaged(|disk| disk.corrupt(first, zero).unwrap())),
            "{page}"
        );
    }
    assert!(is_damaged(damaged(|disk| disk.remove(&files[1]).unwrap())));
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let disk = CrashDisk::new();
    filled(&disk, 3, 3);
    let file = segments(&disk).remove(0);
    disk.corrupt(&file, |bytes| {
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..68]);
        bytes[68..72].copy_from_slice(&crc.to_le_bytes());
    })
    .unwrap();
    let error = open(&disk).err().unwrap();
    assert!(
        matches!(error, ReplicationError::NewerFormat { found: 2, .. }),
        "{error}"
    );
}

#[test]
fn a_damaged_payload_is_never_read() {
    let disk = CrashDisk::new();
    let mut log = open(&disk).unwrap();
    let lengths = [1000, 300_000];
    for (index, length) in lengths.iter().enumerate() {
        log.append(Term(1), payload(index as u64, *length));
    }
    log.sync().unwrap();
    let files = segments(&disk);
    disk.corrupt(&files[0], |bytes| bytes[300] ^= 1).unwrap();
    disk.corrupt(&files[1], |bytes| bytes[200_000] ^= 1)
        .unwrap();
    assert!(log.read(LogIndex(1), 900, 10).is_err());
    assert!(log.read(LogIndex(2), 131_072, 1).is_err());
    assert!(log.read_entry(LogIndex(2)).is_err());
    // Blocks that are whole can still be read.
    assert_eq!(log.read(LogIndex(2), 5, 9).unwrap(), payload(1, 14)[5..]);
    assert!(matches!(
        log.read(LogIndex(3), 0, 1),
        Err(ReplicationError::NoEntry(_))
    ));
    assert!(matches!(
        log.read(LogIndex(1), 999, 2),
        Err(ReplicationError::NoEntry(_))
    ));
}

#[test]
fn old_segments_go_and_their_bytes_are_counted() {
    let disk = CrashDisk::new();
    let model = filled(&disk, 40, 40);
    let mut log = open(&disk).unwrap();
    let (all, count) = (log.bytes(), segments(&disk).len());
    log.truncate_before(LogIndex(30)).unwrap();
    assert!(log.bytes() < all && segments(&disk).len() < count);
    assert!(log.read_entry(LogIndex(1)).is_err());
    drop(log);
    disk.crash(3);
    let log = open(&disk).unwrap();
    assert!(log.first_index().0 > 1 && log.first_index().0 <= 30);
    check(&log, &model, log.first_index().0).unwrap();
}

fn wait_for(log: &Log, index: u64) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let receiver = log.subscribe();
    while receiver.borrow().0 < index && receiver.has_changed().is_ok() {
        assert!(Instant::now() < deadline, "never durable");
        std::thread::yield_now();
    }
}

fn threaded(disk: &CrashDisk, interval: Duration) -> Log {
    let syncing = Syncing::Thread { interval };
    let options = LogOptions {
        segment_bytes: 1 << 16,
        syncing,
        first_segment: 0,
    };
    Log::open(Arc::new(disk.clone()), Path::new(DIRECTORY), &options).unwrap()
}

#[test]
fn a_waiter_is_served_at_once_and_others_within_the_interval() {
    let disk = CrashDisk::new();
    let mut log = threaded(&disk, Duration::from_secs(3600));
    for index in 1..=50 {
        log.append(Term(1), payload(index, 3000));
        log.want_durable(LogIndex(index));
        log.flush().unwrap();
        wait_for(&log, index);
    }
    drop(log);
    let mut log = threaded(&disk, Duration::from_millis(5));
    log.append(Term(1), payload(51, 10));
    log.flush().unwrap();
    wait_for(&log, 51);
    disk.crash(1);
    assert_eq!(
        threaded(&disk, Duration::from_millis(5)).written(),
        LogIndex(51)
    );
}

#[test]
fn a_failed_sync_ends_the_log_and_is_not_repeated() {
    let disk = CrashDisk::new();
    let mut log = open(&disk).unwrap();
    log.append(Term(1), payload(1, 10));
    let receiver = log.subscribe();
    disk.fail_at(Some(Operation::Sync), 1, libc::EIO);
    assert!(log.sync().is_err());
    let syncs = disk.operations_of(Operation::Sync);
    assert!(receiver.has_changed().is_err(), "the sender must be gone");
    log.append(Term(1), payload(2, 10));
    assert!(log.flush().is_err() && log.sync().is_err());
    assert!(log.failure().unwrap().to_string().contains("a sync failed"));
    assert_eq!(disk.operations_of(Operation::Sync), syncs);
    assert_eq!(log.durable(), LogIndex(0));
}

#[test]
fn what_a_failed_sync_left_in_the_cache_is_durable_once_it_was_opened() {
    for seed in 0..32 {
        let disk = CrashDisk::new();
        let mut log = open(&disk).unwrap();
        log.append(Term(1), payload(1, 10));
        log.sync().unwrap();
        log.append(Term(1), payload(2, 10));
        disk.fail_at(Some(Operation::Sync), 1, libc::EIO);
        assert!(log.sync().is_err());
        drop(log);
        let mut log = open(&disk).unwrap();
        assert_eq!(log.durable(), LogIndex(2));
        log.append(Term(1), payload(3, 10));
        log.sync().unwrap();
        drop(log);
        disk.crash(seed);
        assert_eq!(open(&disk).unwrap().written(), LogIndex(3));
    }
}

#[test]
fn a_failed_write_ends_the_log() {
    let disk = CrashDisk::new();
    let mut log = open(&disk).unwrap();
    disk.fail_at(Some(Operation::Write), 1, libc::ENOSPC);
    log.append(Term(1), payload(1, 10));
    assert!(log.flush().is_err() && log.flush().is_err());
}

#[test]
fn an_entry_costs_one_write_and_one_sync_and_an_idle_log_nothing() {
    let disk = CrashDisk::new();
    let mut log = open(&disk).unwrap();
    let before = disk.operations();
    for index in 1..=5 {
        log.append(Term(1), payload(index, 20));
    }
    log.want_durable(LogIndex(5));
    log.flush().unwrap();
    assert_eq!(log.durable(), LogIndex(5));
    log.flush().unwrap();
    log.sync().unwrap();
    log.want_durable(LogIndex(5));
    assert_eq!(disk.operations(), before + 2);
}

#[test]
fn the_machines_disk_keeps_a_log_too() {
    let directory = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = LogOptions {
        segment_bytes: 1 << 20,
        ..LogOptions::default()
    };
    let mut model = Vec::new();
    let mut log = Log::open(disk.clone(), directory.path(), &options).unwrap();
    for index in 1..=300 {
        model.push(payload(index, 10_000));
        log.append(Term(1), payload(index, 10_000));
        log.flush().unwrap();
    }
    log.sync().unwrap();
    drop(log);
    let log = Log::open(disk, directory.path(), &options).unwrap();
    assert_eq!(log.written(), LogIndex(300));
    check(&log, &model, 1).unwrap();
}

/// A log of `count` synced entries, of which those after `to` are taken back while the disk stops at the `nth`
/// operation; then the power comes back.
fn taken_back(count: u64, to: u64, nth: u64, seed: u64) -> (CrashDisk, Vec<Bytes>, bool) {
    let disk = CrashDisk::new();
    let model = filled(&disk, count, count);
    let mut log = open(&disk).expect("it opens");
    disk.power_off_at(nth);
    let done = log.truncate_after(LogIndex(to)).is_ok();
    drop(log);
    disk.crash(seed);
    (disk, model, done)
}

#[test]
fn a_cut_while_entries_are_taken_back_leaves_all_of_them_or_none() {
    let (mut some, mut none) = (0, 0);
    for to in [0, 1, 7, 19] {
        for nth in 1..40 {
            for seed in 0..4 {
                let (disk, model, done) = taken_back(20, to, nth, seed);
                let mut log = open(&disk).expect("it opens");
                let found = log.written().0;
                assert!(found == to || found == 20 && !done, "{found} after {nth}");
                some += u32::from(found == 20);
                none += u32::from(found == to);
                check(&log, &model, 1).expect("what is left is what was there");
                // What takes their place is found, and nothing of theirs behind it.
                let next = log.written().0 + 1;
                log.append(Term(2), branched(1, next, 50));
                log.sync().expect("synced");
                drop(log);
                disk.crash(seed);
                let log = open(&disk).expect("it opens again");
                assert_eq!(log.written(), LogIndex(next));
                let entry = log.read_entry(LogIndex(next)).expect("read");
                assert_eq!(entry, (Term(2), branched(1, next, 50)));
            }
        }
    }
    assert!(some > 0 && none > 0, "{some} {none}");
}

/// The first entry that did not come with the snapshot.
const CAME: u64 = 1012;

#[test]
fn a_log_that_begins_anew_is_the_old_one_or_the_new_one_as_the_manifest_says() {
    for cut in 1..40 {
        for seed in 0..4 {
            let disk = CrashDisk::new();
            let model = filled(&disk, 20, 20);
            let mut log = open(&disk).expect("it opens");
            disk.power_off_at(cut);
            // Prepared with the entries that come with it, in more than one segment, then named by the manifest, then
            // gone on with.
            let prepared = log.prepare_anew(LogIndex(1000)).and_then(|mut anew| {
                for index in 1000..CAME {
                    anew.append(Term(4), &payload(index, 900))?;
                }
                anew.sync().map(|()| anew)
            });
            let named = prepared.as_ref().ok().map(|anew| anew.sequence());
            let begun = prepared.and_then(|anew| log.begin_anew(anew));
            if begun.is_ok() && !disk.is_off() {
                log.append(Term(5), payload(CAME, 70));
                log.sync().ok();
            }
            drop(log);
            disk.crash(seed);
            let options = LogOptions {
                first_segment: named.unwrap_or_default(),
                ..MANUAL
            };
            let log = Log::open(Arc::new(disk.clone()), Path::new(DIRECTORY), &options);
            let log = log.expect("it opens");
            match named {
                None => {
                    assert_eq!(log.written(), LogIndex(20));
                    check(&log, &model, 1).expect("nothing is changed");
                }
                Some(_) => {
                    assert_eq!(log.first_index(), LogIndex(1000));
                    for index in 1000..CAME {
                        let found = log.read_entry(LogIndex(index)).expect("read");
                        assert_eq!(found, (Term(4), payload(index, 900)));
                    }
                    assert!((CAME - 1..=CAME).contains(&log.written().0));
                    if log.written().0 == CAME {
                        let found = log.read_entry(LogIndex(CAME)).expect("read");
                        assert_eq!(found, (Term(5), payload(CAME, 70)));
                    }
                }
            }
        }
    }
}

#[test]
fn what_was_prepared_and_not_named_is_in_nobodys_way() {
    let disk = CrashDisk::new();
    let model = filled(&disk, 20, 20);
    let mut log = open(&disk).expect("it opens");
    let mut unused = log.prepare_anew(LogIndex(1000)).expect("prepared");
    for index in 1000..CAME {
        unused.append(Term(4), &payload(index, 900)).expect("there");
    }
    unused.sync().expect("durable");
    drop(unused);
    // It rolls over its place.
    let mut model = model;
    for index in 21..=80 {
        model.push(payload(index, 300));
        log.append(Term(1), payload(index, 300));
    }
    log.sync().expect("synced");
    drop(log);
    disk.crash(3);
    let log = open(&disk).expect("it opens");
    assert_eq!(log.written(), LogIndex(80));
    check(&log, &model, 1).expect("all is there");
}

#[test]
fn what_is_not_there_cannot_be_taken_back_to() {
    let disk = CrashDisk::new();
    let model = filled(&disk, 60, 60);
    let mut log = open(&disk).expect("it opens");
    log.truncate_before(LogIndex(60)).expect("cut");
    let first = log.first_index().0;
    assert!(first > 2, "{first}");
    let refused = log.truncate_after(LogIndex(first - 2));
    assert!(
        matches!(refused, Err(ReplicationError::NoEntry(_))),
        "{refused:?}"
    );
    check(&log, &model, first).expect("nothing is changed");
    assert_eq!(log.written(), LogIndex(60));
    log.truncate_after(LogIndex(60)).expect("nothing to do");
    log.truncate_after(LogIndex(first - 1))
        .expect("all that is left");
    assert_eq!(log.written(), LogIndex(first - 1));
    assert_eq!(log.append(Term(2), branched(1, first, 10)), LogIndex(first));
    log.sync().expect("synced");
}

#[test]
fn followers_of_what_is_durable_see_it_go_back() {
    let disk = CrashDisk::new();
    let mut log = threaded(&disk, Duration::from_secs(60));
    for index in 1..=5 {
        log.append(Term(1), payload(index, 100));
    }
    log.sync().expect("synced");
    let follower = log.subscribe();
    assert_eq!(*follower.borrow(), LogIndex(5));
    log.truncate_after(LogIndex(2)).expect("taken back");
    assert_eq!(*follower.borrow(), LogIndex(2));
    assert_eq!(log.durable(), LogIndex(2));
    log.append(Term(2), branched(1, 3, 100));
    log.flush().expect("written");
    assert_eq!(log.durable(), LogIndex(2));
    log.sync().expect("synced");
    assert_eq!(*follower.borrow(), LogIndex(3));
}

#[test]
fn what_says_that_entries_are_taken_back_is_believed_only_if_it_is_whole_and_of_this_log() {
    let cut = super::cut::Cut {
        log_id: uuid::Uuid::from_u128(7),
        sequence: 3,
        offset: 4000,
    };
    let path = Path::new("/log/cut");
    let good = cut.encode();
    assert_eq!(super::cut::Cut::decode(&good, path).expect("whole"), cut);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(super::cut::Cut::decode(&bad, path).is_err(), "bit {bit}");
    }
    let disk = CrashDisk::new();
    filled(&disk, 3, 3);
    wolfdisk_common::disk::replace_file(&disk, path, &good).expect("written");
    let refused = open(&disk).map(|_| ()).expect_err("it is of another log");
    assert!(refused.to_string().contains("another log"), "{refused}");
}
