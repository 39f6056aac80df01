//! `Op::Repair`: puts right what a check has counted anew.
//!
//! A check looks at one version and its repair is applied at a later one. So each record is changed only if
//! it is still what it was when it was looked at, all of one entry or none; and sums, which every mutation
//! changes, are moved by the difference that was found.

use wolfdisk_common::ids::Ino;
use wolfdisk_common::name::FileName;

use super::fail::{Done, require};
use crate::index::codec::restamp;
use crate::index::key::Key;
use crate::index::op::{Answer, Effect, RepairCounters, RepairRecord, RepairUsage};
use crate::index::records::{Read, Records};
use crate::index::tx::Tx;

/// See the module. `EAGAIN`: something has changed since, and nothing is done.
pub(crate) fn repair<R: Records>(
    tx: &mut Tx<'_, R>,
    records: &[RepairRecord],
    counters: &RepairCounters,
    usage: &[RepairUsage],
) -> Done<Answer> {
    let mut changes = Vec::with_capacity(records.len());
    for record in records {
        let key = Key::decode(&record.key)?;
        require(is_repairable(&key), libc::EINVAL)?;
        require(tx.bytes(&key.encode())? == record.expected, libc::EAGAIN)?;
        let stamp = tx.version();
        let value = record
            .value
            .clone()
            .map(|value| restamp(value, stamp))
            .transpose()?;
        changes.push((key, value));
    }
    for (key, value) in changes {
        tell(tx, &key);
        tx.put(&key, value);
    }
    add(&mut tx.counters.chunks, counters.chunks);
    add(&mut tx.counters.garbage, counters.garbage);
    add(&mut tx.counters.undestaged_bytes, counters.undestaged_bytes);
    tx.counters.next_ino = Ino(tx.counters.next_ino.0.max(counters.next_ino.0));
    for RepairUsage {
        project,
        bytes,
        inodes,
    } in usage
    {
        tx.use_more(*project, i128::from(*bytes), *inodes)?;
    }
    Ok(Answer::default())
}

fn add(counter: &mut u64, by: i64) {
    *counter = counter.saturating_add_signed(by);
}

/// What is counted anew, or stands twice. Nothing that only a user can know.
fn is_repairable(key: &Key) -> bool {
    match key {
        Key::Inode { .. }
        | Key::Dirent { .. }
        | Key::Cookie { .. }
        | Key::Link { .. }
        | Key::Chunk { .. }
        | Key::Garbage { .. }
        | Key::Sparse { .. }
        | Key::Answer { .. }
        | Key::Lock { .. }
        | Key::SessionLock { .. }
        | Key::Orphan { .. }
        | Key::SessionOrphan { .. }
        | Key::Undestaged { .. }
        | Key::Reap { .. } => true,
        Key::Counters
        | Key::Volume
        | Key::Extent { .. }
        | Key::Xattr { .. }
        | Key::Usage { .. }
        | Key::Session { .. }
        | Key::Node { .. }
        | Key::Member { .. }
        | Key::Token { .. }
        | Key::Voters => false,
    }
}

/// Caches elsewhere may hold what was wrong.
fn tell<R: Records>(tx: &mut Tx<'_, R>, key: &Key) {
    match key {
        Key::Inode { ino } => tx.effect(Effect::Attr { ino: *ino }),
        Key::Dirent { parent, name } => {
            // A name that is none was never given to anybody.
            if let Ok(name) = FileName::new(name) {
                let parent = *parent;
                tx.effect(Effect::Name { parent, name });
            }
        }
        _ => {}
    }
}
