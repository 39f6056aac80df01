//! Snapshots of a small index from one node to another: what arrives, what goes on where it stopped, what is refused, and
//! what a power cut leaves.

mod cluster;
mod cuts;
mod site;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use openraft::storage::RaftLogStorage;
use uuid::Uuid;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::crash::CrashDisk;
use wolfdisk_common::ids::{LogIndex, Term};

use self::site::{DIRECTORY, OPTIONS, Site};
use super::format::{BODY_MAX_BYTES, Head};
use super::install::Said;
use super::{IndexOwner, SnapshotParts};
use crate::consensus::raft::wire::{SnapshotSink, Taken};
use crate::index::op::Op;
use crate::index::table::Table;
use crate::storage::StorageError;

fn disk() -> Arc<dyn Disk> {
    Arc::new(CrashDisk::new())
}

fn fresh() -> Site {
    Site::start(&disk()).expect("it starts")
}

/// A node of which the first entries are gone from the log, with content in what is left, in several parts.
fn sender() -> Site {
    sender_on(&disk())
}

fn sender_on(disk: &Arc<dyn Disk>) -> Site {
    let site = Site::start(disk).expect("it starts");
    for number in 0..6 {
        site.make(&format!("gone{number}"), 9000);
    }
    for number in 0..6 {
        site.remove(&format!("gone{number}"));
    }
    for number in 0..3 {
        site.make(&format!("big{number}"), 900_000 + number);
    }
    site.make("small", 700);
    site.checkpoint().expect("written");
    site.cut();
    assert!(site.store.read_entry(LogIndex(1)).is_err(), "it is gone");
    site
}

fn all(parts: &dyn SnapshotParts) -> Vec<bytes::Bytes> {
    let part = |number| parts.part(number).expect("readable");
    (0..).map_while(part).collect()
}

#[tokio::test]
async fn the_state_arrives_with_what_rides_in_the_log_and_the_log_goes_on_behind_it() {
    let (from, disk) = (sender(), disk());
    let to = Site::start(&disk).expect("it starts");
    to.make("of its own", 100);
    let before = to.manifest();
    to.follow(&from).expect("installed");
    assert_eq!(to.content(), from.content());
    assert_eq!(to.applied(), from.applied());
    to.check_needed();
    assert!(to.left_over().is_empty());
    let after = to.manifest();
    assert_eq!(after.incarnation, before.incarnation);
    assert_eq!(after.generation, before.generation + 1);

    for site in [&from, &to] {
        site.make("after", 300);
    }
    assert_eq!(to.content(), from.content());
    to.checkpoint().expect("written");
    to.make("and after that", 300);
    to.store.sync().expect("synced");
    let content = to.content();
    drop(to);
    let to = Site::start(&disk).expect("it starts");
    assert_eq!(to.content(), content);
    to.check_needed();
    assert_eq!(to.manifest().incarnation.0, before.incarnation.0 + 1);

    // What has come is as good to be sent on.
    let third = fresh();
    third.follow(&to).expect("installed");
    assert_eq!(third.applied(), to.held.checkpoint().applied());
}

#[tokio::test]
async fn a_checkpoint_has_the_same_parts_in_any_order_and_in_the_next_life() {
    let disk = disk();
    let site = sender_on(&disk);
    let sent = site.sending.snapshot().expect("readable").expect("one");
    let parts = all(&*sent.parts);
    assert!(parts.len() >= 3, "{}", parts.len());
    for (number, part) in parts.iter().enumerate() {
        let (head, body) = Head::decode(part).expect("a part");
        assert_eq!(head.number, number as u64);
        assert_eq!(head.is_last, number + 1 == parts.len());
        assert!(body.len() == BODY_MAX_BYTES || head.is_last);
    }
    for number in [1, 0, 2, 2, 1] {
        let again = sent.parts.part(number).expect("readable");
        assert_eq!(again.as_ref(), parts.get(number as usize));
    }
    assert_eq!(sent.parts.part(99).expect("readable"), None);

    // A later checkpoint takes nothing from it.
    site.make("later", 5000);
    site.checkpoint().expect("written");
    assert_eq!(all(&*sent.parts), parts);

    let id = sent.parts.id();
    let other = sender();
    let twin = other.sending.snapshot().expect("readable").expect("one");
    assert_eq!(twin.parts.id(), id);
    drop((twin, other, sent, site));
    let site = Site::start(&disk).expect("it starts");
    site.checkpoint().expect("written");
    let newer = site.sending.snapshot().expect("readable").expect("one");
    assert_ne!(newer.parts.id(), id);
    let parts = all(&*newer.parts);
    drop((newer, site));
    let site = Site::start(&disk).expect("it starts");
    let again = site.sending.snapshot().expect("readable").expect("one");
    assert_eq!(all(&*again.parts), parts);
}

#[tokio::test]
async fn a_transfer_goes_on_in_the_next_life_of_whoever_takes_it() {
    let (from, disk) = (sender(), disk());
    let sent = from.sending.snapshot().expect("readable").expect("one");
    let (id, parts) = (sent.parts.id(), all(&*sent.parts));
    let last = parts.len() as u64 - 1;
    for number in 0..last {
        let to = Site::start(&disk).expect("it starts");
        assert_eq!(to.intake.wanted(&id), number);
        let taken = to.intake.take(&id, number, &parts[number as usize]);
        assert!(matches!(taken, Ok(Taken::Next(next)) if next == number + 1));
    }
    // The last part too may come in one life and be put into its place by the next.
    for _ in 0..2 {
        let to = Site::start(&disk).expect("it starts");
        assert_eq!(to.intake.wanted(&id), last);
        let taken = to.intake.take(&id, last, &parts[last as usize]);
        assert!(matches!(taken, Ok(Taken::Whole(_))));
    }
    let to = Site::start(&disk).expect("it starts");
    to.follow(&from).expect("installed");
    assert_eq!(to.content(), from.content());
    assert!(to.left_over().is_empty());
}

#[tokio::test]
async fn a_damaged_part_comes_again_and_parts_that_make_no_whole_begin_anew() {
    let (from, to) = (sender(), fresh());
    let sent = from.sending.snapshot().expect("readable").expect("one");
    let (id, parts) = (sent.parts.id(), all(&*sent.parts));
    to.intake.take(&id, 0, &parts[0]).expect("taken");
    let mut bad = parts[1].to_vec();
    bad[5000] ^= 1;
    let refused = to.intake.take(&id, 1, &bad).err().expect("refused");
    assert!(refused.to_string().contains("part 1"), "{refused}");
    assert_eq!(to.intake.wanted(&id), 1);
    let taken = to.intake.take(&id, 2, &parts[2]);
    assert!(matches!(taken, Ok(Taken::Next(1))), "it is not its turn");

    // Whole in itself, and not what was written.
    let (head, body) = Head::decode(&parts[1]).expect("a part");
    let mut body = body.to_vec();
    body[5000] ^= 1;
    to.intake.take(&id, 1, &head.encode(&body)).expect("taken");
    let refused = to.take(&*sent.parts).expect_err("refused");
    assert!(refused.to_string().contains("as a whole"), "{refused}");
    assert_eq!(to.intake.wanted(&id), 0);
    assert!(to.left_over().is_empty());
    assert!(to.applied().index == LogIndex(0));
    to.follow(&from).expect("installed after all");
    assert_eq!(to.content(), from.content());
}

#[tokio::test]
async fn damage_on_the_disk_of_whoever_takes_it_is_noticed() {
    let (from, disk) = (sender(), CrashDisk::new());
    let to = Site::start(&(Arc::new(disk.clone()) as Arc<dyn Disk>)).expect("it starts");
    let sent = from.sending.snapshot().expect("readable").expect("one");
    let (id, parts) = (sent.parts.id(), all(&*sent.parts));
    to.intake.take(&id, 0, &parts[0]).expect("taken");
    to.intake.take(&id, 1, &parts[1]).expect("taken");
    let path = to.left_over().remove(0);
    disk.corrupt(&path, |bytes| {
        if let Some(byte) = bytes.get_mut(1_500_000) {
            *byte ^= 4;
        }
    })
    .ok();
    drop(to);
    disk.crash(1);
    // What was not synced may be gone, but is never taken for a part.
    let to = Site::start(&(Arc::new(disk) as Arc<dyn Disk>)).expect("it starts");
    to.follow(&from).expect("installed");
    assert_eq!(to.content(), from.content());
}

#[tokio::test]
async fn a_snapshot_of_another_volume_one_without_room_and_one_that_is_too_long_are_refused() {
    let other = Site::of(&disk(), Uuid::from_u128(8)).expect("it starts");
    other.make("of another", 100);
    other.checkpoint().expect("written");
    let to = fresh();
    let refused = to.follow(&other).expect_err("refused").to_string();
    assert!(refused.contains("of cluster"), "{refused}");
    assert!(to.left_over().is_empty());

    let from = sender();
    let small = CrashDisk::new();
    let to = Site::start(&(Arc::new(small.clone()) as Arc<dyn Disk>)).expect("it starts");
    small.set_capacity(4 << 20);
    let refused = to.follow(&from).expect_err("refused").to_string();
    assert!(
        refused.contains("needs") && refused.contains("make room"),
        "{refused}"
    );
    assert!(to.left_over().is_empty());
    small.set_capacity(1 << 40);
    to.follow(&from).expect("there is room now");

    let to = fresh();
    let sent = from.sending.snapshot().expect("readable").expect("one");
    let parts = all(&*sent.parts);
    let id = sent.parts.id();
    for (number, part) in parts.iter().enumerate().take(2) {
        let (head, body) = Head::decode(part).expect("a part");
        let lies = Head {
            room_bytes: 1_500_000,
            ..head
        };
        let taken = to.intake.take(&id, number as u64, &lies.encode(body));
        assert_eq!(taken.is_ok(), number == 0);
    }
    assert!(to.left_over().is_empty());
}

#[tokio::test]
async fn what_is_said_of_a_snapshot_must_be_true_and_it_must_be_newer() {
    let (from, to) = (sender(), fresh());
    let sent = from.sending.snapshot().expect("readable").expect("one");
    let built = to.take(&*sent.parts).expect("whole");
    let mut said = Said::of(sent.applied, sent.voters.as_ref());
    if let Some(last) = &mut said.last {
        last.index += 1;
    }
    let refused = to.installing.install(&said, &built).expect_err("refused");
    assert!(refused.to_string().contains("was said to be"), "{refused}");
    assert_eq!(to.applied().index, LogIndex(0));
    let said = Said::of(sent.applied, sent.voters.as_ref());
    to.installing.install(&said, &built).expect("installed");
    let refused = to.installing.install(&said, &built).expect_err("refused");
    assert!(refused.to_string().contains("the index is at"), "{refused}");
}

/// Both have the same entries, of which `from` has a checkpoint; `to` has some more.
async fn both(from: &Site, to: &Site) {
    for number in 0..8 {
        for site in [from, to] {
            site.make(&format!("both{number}"), 5000);
        }
    }
    from.checkpoint().expect("written");
    to.make("more", 3000);
    to.store.sync().expect("synced");
}

#[tokio::test]
async fn entries_that_follow_the_same_one_stay() {
    let (from, disk) = (fresh(), disk());
    let to = Site::start(&disk).expect("it starts");
    both(&from, &to).await;
    let (last, content) = (to.store.written(), to.content());
    let first_segment = to.manifest().first_segment;
    to.follow(&from).expect("installed");
    assert_eq!(to.manifest().first_segment, first_segment, "the same log");
    assert_eq!(to.store.written(), last);
    assert_eq!(to.applied(), from.applied(), "they are to be applied");
    drop(to);
    let to = Site::start(&disk).expect("it starts");
    assert_eq!(to.content(), content, "they are there");
}

#[tokio::test]
async fn entries_that_follow_stay_also_where_the_log_lacks_what_content_rides_in() {
    let (from, disk) = (fresh(), disk());
    let to = Site::start(&disk).expect("it starts");
    both(&from, &to).await;
    let content = to.content();
    // Nobody would do that, but then it is made good.
    to.checkpoint().expect("written");
    let purged = from.applied();
    to.store.truncate_before(LogIndex(9)).expect("cut");
    let purged = crate::consensus::raft::log_id(LogIndex(9), purged.term).expect("an entry");
    to.store.clone().purge(purged).await.expect("purged");
    assert!(to.store.read_entry(LogIndex(1)).is_err());
    let sent = from.sending.snapshot().expect("readable").expect("one");
    assert!(to.store.read_entry(sent.applied.index).is_ok());
    let entries = (1..=sent.applied.index.0).map(|index| {
        let (term, payload) = from.store.read_entry(LogIndex(index))?;
        Ok::<_, super::SnapshotError>((LogIndex(index), term, payload))
    });
    let entries: Vec<_> = entries.collect();
    let last = to.store.written();
    let named = parking_lot::Mutex::new(None);
    to.store
        .begin_after(sent.applied, LogIndex(1), entries, |sequence| {
            *named.lock() = sequence;
            Ok::<_, super::SnapshotError>(())
        })
        .expect("begun");
    assert!(named.lock().is_some());
    assert_eq!(to.store.written(), last);
    to.check_needed();
    assert_eq!(to.content(), content);
    let (term, _) = to.store.read_entry(last).expect("it is there");
    assert_eq!(term, Term(1));
}

#[tokio::test]
async fn entries_that_follow_another_one_go() {
    let (from, disk) = (fresh(), disk());
    let to = Site::start(&disk).expect("it starts");
    both(&from, &to).await;
    // The last one of the snapshot is another leader's.
    from.run_in(2, Op::Lead);
    from.checkpoint().expect("written");
    to.follow(&from).expect("installed");
    assert_eq!(to.content(), from.content());
    assert_eq!(to.store.written(), from.applied().index);
    drop(to);
    let to = Site::start(&disk).expect("it starts");
    assert_eq!(to.content(), from.content());
    to.check_needed();
}

#[tokio::test]
async fn the_log_is_held_for_what_is_sent_and_for_the_newest() {
    let site = sender();
    let sent = site.sending.snapshot().expect("readable").expect("one");
    let first = site.sending.held().expect("readable");
    assert!(!site.sending.is_under_way());
    sent.parts.part(0).expect("readable");
    assert!(site.sending.is_under_way());
    for name in ["big0", "big1", "big2", "small"] {
        site.remove(name);
    }
    assert_eq!(site.sending.held().expect("readable"), first);
    site.checkpoint().expect("written");
    let next = LogIndex(site.applied().index.0 + 1);
    assert_eq!(site.sending.held().expect("readable"), first);
    // As long as parts of it are asked for it is the one that is sent.
    let again = site.sending.snapshot().expect("readable").expect("one");
    assert_eq!(again.parts.id(), sent.parts.id());
    assert!(!all(&*again.parts).is_empty());
    assert!(!site.held.wanted.load(Ordering::Relaxed));
    // What follows it goes after all.
    site.cut();
    let newer = site.sending.snapshot().expect("readable").expect("one");
    assert_eq!(newer.applied, site.applied());
    assert_eq!(site.sending.held().expect("readable"), next);
}

#[tokio::test]
async fn what_an_index_needs_and_nobody_held_is_asked_for_anew() {
    let site = sender();
    site.remove("small");
    // As a daemon does that knows nothing of snapshots.
    site.store
        .truncate_before(LogIndex(site.applied().index.0))
        .expect("cut");
    site.make("next", 20_000);
    site.store.sync().expect("synced");
    site.store
        .truncate_before(LogIndex(site.applied().index.0))
        .expect("cut");
    let sent = site.sending.snapshot().expect("readable").expect("one");
    assert!(site.held.wanted.load(Ordering::Relaxed));
    sent.parts.part(0).expect_err("the log lacks it");
    site.checkpoint().expect("written");
    let to = fresh();
    let refused = to.follow(&site);
    assert!(refused.is_err(), "content still rides in what is gone");
}

#[tokio::test]
async fn nothing_is_sent_where_nothing_is() {
    assert!(fresh().sending.snapshot().expect("readable").is_none());
}

#[tokio::test]
async fn a_checkpoint_that_was_replaced_is_not_copied() {
    let (from, to) = (sender(), fresh());
    let old = to.held.checkpoint();
    to.follow(&from).expect("installed");
    let refused = to.held.files.lock().copy(&old);
    assert!(matches!(refused, Err(StorageError::Superseded(_))));
    let new = to.held.checkpoint();
    to.held.files.lock().copy(&new).expect("copied");
}

#[tokio::test]
async fn what_has_come_of_an_older_state_goes_at_the_next_start() {
    let (from, disk) = (sender(), disk());
    let to = Site::start(&disk).expect("it starts");
    let sent = from.sending.snapshot().expect("readable").expect("one");
    let part = sent.parts.part(0).expect("readable").expect("one");
    to.intake.take(&sent.parts.id(), 0, &part).expect("taken");
    from.make("later", 100);
    from.checkpoint().expect("written");
    from.cut();
    to.follow(&from).expect("installed");
    assert!(to.left_over().is_empty(), "a newer one took its place");
    to.intake.take(&sent.parts.id(), 0, &part).expect("taken");
    assert_eq!(to.left_over().len(), 1);
    drop(to);
    let to = Site::start(&disk).expect("it starts");
    assert!(to.left_over().is_empty());
    assert_eq!(to.intake.wanted(&sent.parts.id()), 0);
    let stray = Path::new(DIRECTORY).join("incoming/strange");
    disk.open(&stray, wolfdisk_common::disk::OpenMode::CreateNew)
        .expect("made");
    drop(to);
    let to = Site::start(&disk).expect("it starts");
    assert!(to.left_over().is_empty());
    assert_eq!(OPTIONS.log.first_segment, 0);
}
