//! Now and then, what rules say of objects and uploads is done, and records of buckets that a mount has removed go.
//!
//! An object is removed only in the very state in which it was judged: what replaces it meanwhile, or another gateway
//! that does the same, is no matter. Everything is looked at in pages, a few removals at a time, with pauses.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt;
use wolfdisk_client::{
    Error as VolumeError, Expected, FileKind, KeyEntry, KeyPage, ListKeys, Object, ObjectKey,
};
use wolfdisk_common::ids::Ino;
use wolfdisk_common::time::Timestamp;

use super::Gateway;
use crate::bucket::BucketName;
use crate::configuration::lifecycle::{Known, Rules};
use crate::configuration::{Kind, PLACE};
use crate::error::{Failure, Result};
use crate::limits::{
    LIFECYCLE_CLOCK_STEP_MAX, LIFECYCLE_FIRST, LIFECYCLE_PAGE, LIFECYCLE_PAUSE_MAX,
    LIFECYCLE_REMOVALS, SWEEP_PAUSE,
};
use crate::store::view::View;

/// Does what rules say every so often, for ever.
pub async fn expire(gateway: Gateway, interval: Duration) {
    let mut clock = Clock::now();
    tokio::time::sleep(interval.min(LIFECYCLE_FIRST)).await;
    loop {
        let now = Clock::now();
        match now.is_ahead_of(&clock) {
            true => tracing::warn!(
                "the clock was set forward by more than an hour: nothing ends by lifecycle rules this time; set it \
                 right before the next, in {} s",
                interval.as_secs()
            ),
            false => gateway.look().await,
        }
        clock = now;
        tokio::time::sleep(interval).await;
    }
}

/// What time it is, by the clock that can be set and by the one that cannot.
#[derive(Clone, Copy, Debug)]
struct Clock {
    wall: SystemTime,
    steady: Instant,
}

impl Clock {
    fn now() -> Clock {
        Clock {
            wall: SystemTime::now(),
            steady: Instant::now(),
        }
    }

    /// It was set forward in between.
    fn is_ahead_of(&self, before: &Clock) -> bool {
        let passed = self.steady.saturating_duration_since(before.steady);
        let shown = self.wall.duration_since(before.wall).unwrap_or_default();
        shown > passed + LIFECYCLE_CLOCK_STEP_MAX
    }
}

/// The state in which an upload in parts is to be ended by its bucket's rules, if it is.
fn upload_to_end(record: &Object, rules: &Rules, now: i64) -> Option<Expected> {
    let view = match View::of(record) {
        Ok(view) => view,
        Err(error) => {
            tracing::warn!(ino = %record.attr.ino, %error, "an upload in parts is left as it is");
            return None;
        }
    };
    let key = &view.stored.upload.as_ref()?.key;
    let over = rules.is_abandoned(key, view.attr().mtime.seconds, now);
    over.then(|| view.expected())
}

/// Seconds since 1970.
fn now() -> i64 {
    Timestamp::from(SystemTime::now()).seconds
}

impl Gateway {
    async fn look(&self) {
        match self.expire_all().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed objects and uploads whose life is over"),
            Err(error) => {
                tracing::warn!(%error, "cannot look for objects whose life is over; it is tried again");
            }
        }
    }

    /// Says how many objects and uploads ended.
    async fn expire_all(&self) -> Result<usize> {
        let with_rules = self.sweep_records().await?;
        let mut ended = 0;
        if with_rules.is_empty() {
            return Ok(ended);
        }
        // A directory that is no bucket at present keeps its rules, and nothing goes by them.
        for (name, _) in self.all_buckets().await? {
            let bucket = match self.store.bucket(name.as_str()).await {
                Ok(bucket) if with_rules.contains(&bucket) => bucket,
                Ok(_) | Err(Failure::NoSuchBucket) => continue,
                Err(other) => return Err(other),
            };
            match self.expire_in(&name, bucket).await {
                Ok(count) => ended += count,
                Err(error) => {
                    tracing::warn!(bucket = %name, %error, "lifecycle rules cannot be followed")
                }
            }
        }
        Ok(ended)
    }

    /// Removes records of directories that are gone, and names those that have rules for the life of objects.
    async fn sweep_records(&self) -> Result<HashSet<Ino>> {
        let (mut with_rules, mut after) = (HashSet::new(), Bytes::new());
        let mut last = None;
        loop {
            let Some(page) = self.records(PLACE, after).await? else {
                return Ok(with_rules);
            };
            for entry in page.entries {
                let KeyEntry::Object { key, .. } = entry else {
                    continue;
                };
                let Some((bucket, kind)) = Kind::of(&key) else {
                    continue;
                };
                let there = match last {
                    Some((same, there)) if same == bucket => there,
                    _ => self.store.is_there(bucket).await?,
                };
                last = Some((bucket, there));
                match there {
                    true if kind == Kind::Lifecycle => _ = with_rules.insert(bucket),
                    true => {}
                    false => {
                        if let Err(error) = self.store.unconfigure(bucket, kind).await {
                            tracing::warn!(bucket = bucket.0, %error, "what was kept of a bucket stays for now");
                        }
                    }
                }
            }
            if !page.more {
                return Ok(with_rules);
            }
            after = page.last;
        }
    }

    /// A page of keys in the gateways' own tree; none: nothing was ever kept there.
    async fn records(&self, prefix: &str, after: Bytes) -> Result<Option<KeyPage>> {
        let page = self.store.list(Ino::SYSTEM_ROOT, keys(prefix, after)).await;
        match page.map_err(Failure::missing_if_impossible) {
            Err(Failure::NoSuchKey) => Ok(None),
            other => other.map(Some),
        }
    }

    async fn expire_in(&self, name: &BucketName, bucket: Ino) -> Result<usize> {
        let Some(rules) = self.store.configuration::<Rules>(bucket).await? else {
            return Ok(0);
        };
        let mut ended = 0;
        for place in rules.places() {
            ended += self.expire_below(name, bucket, &rules, place).await?;
        }
        if rules.abort_uploads() && self.still_holds(name, bucket, &rules).await? {
            let judge = |record: &Object| upload_to_end(record, &rules, now());
            ended += self.end_uploads(bucket, SWEEP_PAUSE, judge).await?;
        }
        Ok(ended)
    }

    /// The directory is still the bucket, and these are still its rules: looking through a large one takes hours.
    async fn still_holds(&self, name: &BucketName, bucket: Ino, rules: &Rules) -> Result<bool> {
        match self.store.bucket(name.as_str()).await {
            Ok(same) if same == bucket => {}
            Ok(_) | Err(Failure::NoSuchBucket) => return Ok(false),
            Err(other) => return Err(other),
        }
        Ok(self.store.configuration::<Rules>(bucket).await?.as_ref() == Some(rules))
    }

    async fn expire_below(
        &self,
        name: &BucketName,
        bucket: Ino,
        rules: &Rules,
        place: &str,
    ) -> Result<usize> {
        let (mut ended, mut after) = (0, Bytes::new());
        loop {
            let begun = Instant::now();
            let page = self.store.list(bucket, keys(place, after)).await?;
            if !self.still_holds(name, bucket, rules).await? {
                return Ok(ended);
            }
            let time = now();
            let over = page.entries.iter().filter_map(|entry| match entry {
                KeyEntry::Object { key, object } => is_over(rules, key, object, time),
                KeyEntry::Prefix(_) => None,
            });
            let over: Vec<_> = over.collect();
            let removals = over
                .into_iter()
                .map(|(key, state)| self.remove_exactly(bucket, key, state));
            let mut removals =
                futures_util::stream::iter(removals).buffer_unordered(LIFECYCLE_REMOVALS);
            while let Some(removed) = removals.next().await {
                match removed {
                    Ok(removed) => ended += usize::from(removed),
                    Err(error) => {
                        tracing::warn!(bucket = %name, %error, "an object whose life is over stays for now");
                    }
                }
            }
            if !page.more {
                return Ok(ended);
            }
            after = page.last;
            tokio::time::sleep(begun.elapsed().min(LIFECYCLE_PAUSE_MAX)).await;
        }
    }

    /// Removes an object if it is still in this state; says whether it did.
    async fn remove_exactly(&self, root: Ino, key: ObjectKey, state: Expected) -> Result<bool> {
        let removed = self
            .store
            .run(move |volume| Ok(volume.remove_object(root, &key, state)?))
            .await;
        match removed.map_err(Failure::missing_if_impossible) {
            Err(Failure::Volume(VolumeError::Changed) | Failure::NoSuchKey) => Ok(false),
            other => other,
        }
    }
}

fn keys(prefix: &str, after: Bytes) -> ListKeys {
    ListKeys {
        prefix: Bytes::copy_from_slice(prefix.as_bytes()),
        after,
        delimiter: false,
        max: LIFECYCLE_PAGE,
    }
}

/// The key of an object whose life is over, and the state in which it is. What cannot be read or has a key that S3
/// does not show stays, and so does a directory that a mount made: it may be full, and has an owner and a mode that
/// nobody would give the next one.
fn is_over(rules: &Rules, key: &Bytes, object: &Object, now: i64) -> Option<(ObjectKey, Expected)> {
    let text = std::str::from_utf8(key).ok()?;
    if object.attr.kind == FileKind::Directory && object.s3.is_none() {
        return None;
    }
    let view = match View::of(object) {
        Ok(view) => view,
        Err(error) => {
            tracing::warn!(ino = object.attr.ino.0, %error, "what S3 keeps of an object is not judged");
            return None;
        }
    };
    let known = Known {
        key: text,
        modified: object.attr.mtime.seconds,
        size: view.size(),
        tags: view.stored.tags.pairs(),
    };
    let is_over = rules.is_expired(&known, now);
    is_over
        .then(|| Some((ObjectKey::parse(key).ok()?, view.expected())))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::lifecycle::{Expiration, Filter, Form, Rule};
    use crate::stored::Stored;

    #[test]
    fn a_clock_that_was_set_forward_is_noticed() {
        let before = Clock::now();
        let after = |wall: u64, steady: u64| Clock {
            wall: before.wall + Duration::from_secs(wall),
            steady: before.steady + Duration::from_secs(steady),
        };
        assert!(!after(3600, 3600).is_ahead_of(&before));
        assert!(!after(7200, 3600).is_ahead_of(&before));
        assert!(after(7202, 3600).is_ahead_of(&before));
        assert!(!after(0, 3600).is_ahead_of(&before));
    }

    #[test]
    fn directories_of_mounts_stay() {
        let rule = Rule {
            id: "all".to_owned(),
            enabled: true,
            form: Form::Filter,
            filter: Filter::default(),
            expiration: Some(Expiration::Days(1)),
            abort_after_days: None,
            noncurrent: None,
        };
        let rules = Rules::new(vec![rule]).expect("a rule");
        let mut object = crate::store::view::tests::object(0);
        object.attr.mtime.seconds = 0;
        object.s3 = Some(Stored::default().encode().expect("small").into());
        let over = |key: &'static str, object: &Object| {
            is_over(&rules, &Bytes::from(key), object, 9 * 24 * 60 * 60).is_some()
        };
        object.attr.kind = FileKind::Directory;
        assert!(over("spool/", &object));
        object.s3 = None;
        assert!(!over("spool/", &object));
        object.attr.kind = FileKind::File;
        assert!(over("spool", &object));
    }
}
