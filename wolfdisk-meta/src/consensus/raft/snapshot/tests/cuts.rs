//! A power cut at each operation of the disk while a snapshot is taken and put into its place.

use std::sync::Arc;

use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::crash::CrashDisk;
use wolfdisk_common::ids::LogIndex;

use super::site::{Failure, Site};
use crate::consensus::raft::snapshot::IndexOwner;
use crate::index::table::Table;

/// More operations than taking and installing one takes.
const OPERATIONS_MAX: u64 = 2000;
const SEEDS: u64 = 4;

fn shared(disk: &CrashDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

/// With content in an entry that stands alone at the beginning of what is left of the log.
fn sender() -> Site {
    let site = Site::start(&shared(&CrashDisk::new())).expect("it starts");
    for number in 0..8 {
        site.make(&format!("gone{number}"), 9000);
        site.remove(&format!("gone{number}"));
    }
    site.make("here", 20_000);
    site.make("there", 700);
    site.checkpoint().expect("written");
    site.cut();
    site
}

/// The old index with all that was durable, or the new one; and in any case one that a snapshot gets to the new one.
fn check(disk: &CrashDisk, from: &Site, old: &Content) -> Result<bool, Failure> {
    let to = Site::start(&shared(disk))?;
    let content = to.content();
    to.check_needed();
    let is_new = to.held.checkpoint().applied() == from.applied();
    if content
        != if is_new {
            from.content()
        } else {
            old.0.clone()
        }
    {
        return Err("it is neither the old one nor the new one".into());
    }
    if is_new && to.applied() != from.applied() {
        return Err(format!("it is at {:?}", to.applied()).into());
    }
    if is_new && !to.left_over().is_empty() {
        return Err(format!("{:?} is left", to.left_over()).into());
    }
    if !is_new {
        if to.store.written() < old.1 {
            return Err(format!("the log ends at {}", to.store.written()).into());
        }
        to.follow(from)?;
    }
    to.make("after", 900);
    to.checkpoint()?;
    let content = to.content();
    drop(to);
    let to = Site::start(&shared(disk))?;
    to.check_needed();
    match to.content() == content {
        true => Ok(is_new),
        false => Err("it is another one after the next start".into()),
    }
}

struct Content(Vec<(Vec<u8>, Vec<u8>)>, LogIndex);

/// What `prepare` leaves on a disk is followed by the snapshot of `from`, with a cut at each operation.
fn cut_everywhere(from: &Site, prepare: impl Fn(&Site)) {
    let (mut olds, mut news) = (0, 0);
    for nth in 1..OPERATIONS_MAX {
        let mut finished = false;
        for seed in 0..SEEDS {
            let disk = CrashDisk::new();
            let to = Site::start(&shared(&disk)).expect("it starts");
            prepare(&to);
            to.store.sync().expect("synced");
            let old = Content(to.content(), to.store.written());
            disk.power_off_at(nth);
            let followed = to.follow(from);
            finished = followed.is_ok() && !disk.is_off();
            drop(to);
            disk.crash(seed);
            match check(&disk, from, &old) {
                Ok(is_new) => {
                    assert!(
                        is_new || followed.is_err(),
                        "{nth} {seed}: it was said to be in its place"
                    );
                    (olds, news) = (olds + u32::from(!is_new), news + u32::from(is_new));
                }
                Err(error) => panic!("operation {nth}, seed {seed}: {error}"),
            }
        }
        if finished {
            assert!(olds > 20 && news > 4, "{olds} old ones, {news} new ones");
            return;
        }
    }
    panic!("it never ended");
}

#[tokio::test]
async fn a_cut_leaves_the_old_index_or_the_new_one() {
    cut_everywhere(&sender(), |to| {
        to.make("old", 400);
        to.checkpoint().expect("written");
        to.make("older", 400);
    });
}

#[tokio::test]
async fn a_cut_leaves_one_of_them_where_the_log_stays() {
    let from = Site::start(&shared(&CrashDisk::new())).expect("it starts");
    let prepare = |site: &Site| {
        site.make("one", 5000);
        site.make("two", 200);
    };
    prepare(&from);
    from.checkpoint().expect("written");
    cut_everywhere(&from, prepare);
}

/// A disk that lies: what is installed is lost with the cut.
#[tokio::test]
async fn without_syncs_it_would_be_noticed() {
    let from = sender();
    let caught = (0..20).filter(|seed| {
        let disk = CrashDisk::new();
        let to = Site::start(&shared(&disk)).expect("it starts");
        to.make("old", 400);
        to.checkpoint().expect("written");
        let old = Content(to.content(), to.store.written());
        disk.lose_syncs(true);
        to.follow(&from).expect("it was told so");
        drop(to);
        disk.crash(*seed);
        let found =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&disk, &from, &old)));
        !matches!(found, Ok(Ok(true)))
    });
    assert!(caught.count() > 5);
}
