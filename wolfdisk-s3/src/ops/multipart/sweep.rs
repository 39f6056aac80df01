//! Ending uploads that nobody goes on with, and removing what is left of those that have ended.
//!
//! Any gateway may sweep at any time, beside others and beside requests, and no part that was acknowledged is lost:
//!
//! * An upload is its record, and it has ended when that is removed; nobody makes it again. Who ends one removes the
//!   record first, then the parts that it then finds. Parts without a record are nobody's.
//! * Who puts a part publishes it, then touches the record: a change of the record, which fails if it is gone. So
//!   either the part was there before the record went, or its request fails and takes it back.
//! * The sweep removes a record only in the very state in which it found that nobody had touched it for long. A
//!   touch makes it another state. So a part that is acknowledged keeps its upload: its touch came before the removal,
//!   which fails then, or after it, and then the part is not acknowledged.
//! * A part is begun with a touch as well, and so is a Complete: neither loses to a sweep what it is working on, unless
//!   it takes longer than an upload may rest. The touch need not be durable by itself: a part that is has the touch
//!   before it in the log.
//! * Of a bucket whose directory is gone, nothing can be completed any more: numbers of inodes are not used again.
//!
//! The time of the last touch is the record's ctime, and what time it is, is asked of the index as well: the
//! clocks of gateways do not count. A page of keys is in memory, and there is a pause behind each.

use std::time::Duration;

use wolfdisk_client::{Error as VolumeError, Expected, Object};
use wolfdisk_common::ids::Ino;
use wolfdisk_common::time::Timestamp;

use super::own::{folders, objects};
use super::{Gateway, PARTS, UPLOADS, UploadId, bucket_of, parts_of, uploads_of};
use crate::error::{Failure, Result};
use crate::limits::{SWEEP_EVERY, SWEEP_PAUSE};

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Swept {
    /// Uploads that it ended.
    ended: usize,
    /// Uploads that had ended, whose parts it removed.
    cleared: usize,
}

impl Gateway {
    /// Ends the uploads of a bucket for which `judge` names the state in which they are to be ended, with a pause
    /// behind each of them; says how many there were.
    ///
    /// # Errors
    /// What the volume gave. Those before stay ended.
    pub(crate) async fn end_uploads(
        &self,
        bucket: Ino,
        pause: Duration,
        judge: impl Fn(&Object) -> Option<Expected> + Send,
    ) -> Result<usize> {
        let system = self.store.system_root().await?;
        let (mut pages, mut ended) = (self.own_pages(system, &uploads_of(bucket)), 0);
        while let Some(page) = pages.next().await? {
            for (key, object) in objects(page) {
                let name = key.rsplit('/').next().unwrap_or_default();
                let (Some(expected), Ok(id)) = (judge(&object), UploadId::parse(bucket, name))
                else {
                    continue;
                };
                if self.end_upload(system, &id, expected, pause).await? {
                    ended += 1;
                }
                tokio::time::sleep(pause).await;
            }
            tokio::time::sleep(pause).await;
        }
        Ok(ended)
    }

    /// Ends an upload that is in this state, with all its parts. False: it is not, or not any more.
    pub(super) async fn end_upload(
        &self,
        system: Ino,
        id: &UploadId,
        expected: Expected,
        pause: Duration,
    ) -> Result<bool> {
        let place = id.place()?;
        let removed = self
            .store
            .run(move |volume| Ok(volume.remove_object(system, &place, expected)?));
        match removed.await {
            Ok(true) => {}
            Ok(false) | Err(Failure::Volume(VolumeError::Changed)) => return Ok(false),
            Err(other) => return Err(other),
        }
        self.remove_parts(system, id, pause).await?;
        Ok(true)
    }

    /// Looks through everything once.
    async fn sweep(&self, rest: Duration) -> Result<Swept> {
        let system = self.store.system_root().await?;
        // Nobody looks at the times of that directory, and the answer says what time it is.
        let touched = self
            .store
            .run(move |volume| Ok(volume.set_object(system, None, None, false)?));
        let now = touched.await?.attr.ctime;
        let mut swept = Swept::default();
        let mut buckets = self.own_folders(system, &format!("{UPLOADS}/"));
        while let Some(page) = buckets.next().await? {
            for bucket in folders(&page).filter_map(bucket_of) {
                let gone = self.is_gone(bucket).await?;
                let judge = |object: &Object| to_end(object, gone, now, rest);
                swept.ended += self.end_uploads(bucket, SWEEP_PAUSE, judge).await?;
            }
        }
        let mut buckets = self.own_folders(system, &format!("{PARTS}/"));
        while let Some(page) = buckets.next().await? {
            for bucket in folders(&page).filter_map(bucket_of) {
                swept.cleared += self.clear(system, bucket).await?;
            }
        }
        Ok(swept)
    }

    /// Removes the parts of a bucket's uploads that are not there.
    async fn clear(&self, system: Ino, bucket: Ino) -> Result<usize> {
        let (mut uploads, mut cleared) = (self.own_folders(system, &parts_of(bucket)), 0);
        while let Some(page) = uploads.next().await? {
            for id in folders(&page).filter_map(|name| UploadId::parse(bucket, name).ok()) {
                // It has parts, so there was a record before.
                if self.store.find(system, id.place()?).await?.is_none() {
                    self.remove_parts(system, &id, SWEEP_PAUSE).await?;
                    cleared += 1;
                }
            }
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
        Ok(cleared)
    }

    /// Whether the directory of a bucket is removed, by whomever.
    async fn is_gone(&self, bucket: Ino) -> Result<bool> {
        let there = self.store.run(move |volume| Ok(volume.living(bucket)?));
        match there.await {
            Ok((attr, _)) => Ok(attr.nlink == 0),
            Err(Failure::Volume(VolumeError::Refused(libc::ENOENT | libc::ESTALE))) => Ok(true),
            Err(other) => Err(other),
        }
    }
}

/// The state in which an upload is to be ended, if it is: its bucket is gone, or nobody has touched it for `rest`.
fn to_end(record: &Object, gone: bool, now: Timestamp, rest: Duration) -> Option<Expected> {
    if gone {
        return Some(Expected::Anything);
    }
    let nanos = |time: Timestamp| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    let rested = nanos(now) - nanos(record.attr.ctime);
    let long = i128::try_from(rest.as_nanos()).is_ok_and(|rest| rested > rest);
    long.then_some(Expected::Exactly {
        ino: record.attr.ino,
        attr_version: record.attr.attr_version,
    })
}

/// Sweeps now and then, for ever. Uploads may rest for so long.
pub async fn sweep(gateway: Gateway, rest: Duration) {
    loop {
        match gateway.sweep(rest).await {
            Ok(Swept {
                ended: 0,
                cleared: 0,
            }) => {}
            Ok(Swept { ended, cleared }) => {
                tracing::info!(ended, cleared, "removed uploads in parts that nobody ends");
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for uploads in parts that nobody ends; tries again later");
            }
        }
        tokio::time::sleep(SWEEP_EVERY.min(rest)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn at(seconds: u64) -> Timestamp {
        Timestamp {
            seconds: seconds as i64,
            nanos: 5,
        }
    }

    #[test]
    fn what_rests_too_long_is_ended_in_the_state_that_was_seen() {
        let mut record = crate::store::view::tests::object(0);
        record.attr.ctime = at(1000);
        let rest = Duration::from_secs(7 * DAY);
        let judge = |record: &Object, now| to_end(record, false, at(now), rest);
        assert_eq!(judge(&record, 1000), None);
        assert_eq!(judge(&record, 1000 + 7 * DAY), None);
        let seen = Expected::Exactly {
            ino: record.attr.ino,
            attr_version: record.attr.attr_version,
        };
        assert_eq!(judge(&record, 1001 + 7 * DAY), Some(seen));
        // A clock that was set back ends nothing.
        assert_eq!(judge(&record, 0), None);
        // When it was begun does not count, only when it was touched.
        record.attr.mtime = at(0);
        assert_eq!(judge(&record, 1000 + 7 * DAY), None);
        let gone = to_end(&record, true, at(1000), rest);
        assert_eq!(gone, Some(Expected::Anything));
    }
}
