//! The MD5 of content that a mount wrote: computed when somebody looks at the object, and kept beside it.
//!
//! What is kept is a cache and no change of the file: its ctime stays. It is kept only if the content is still the
//! version that was open before the first byte was read, so all that was read is of that version; and an MD5 is shown
//! only once it is kept, so that a condition on it holds. Whatever fails in between leaves the opaque tag, which is
//! as good for conditions, and goes on to hold when the MD5 is known. Two gateways that do the same come to the same.

use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use wolfdisk_client::{Error as VolumeError, Object, ObjectKey};
use wolfdisk_common::ids::Ino;

use super::view::View;
use super::{OpenFile, Store};
use crate::digest::Digests;
use crate::error::{Failure, Result};
use crate::etag::ETag;
use crate::learn::{Job, Lack, Queue};
use crate::limits::{CONDITION_ATTEMPTS, LEARN_LOOK_BYTES, READ_PIECE_BYTES};
use crate::range::Span;

/// What is to be learned, and how the task that does so wakes.
#[derive(Debug, Default)]
pub struct ToLearn {
    queue: Mutex<Queue>,
    more: Notify,
}

impl ToLearn {
    fn offer(&self, job: Job) {
        if self.queue.lock().offer(job, Instant::now()) {
            self.more.notify_one();
        }
    }

    async fn begin(&self) -> Job {
        loop {
            let next = self.queue.lock().begin();
            match next {
                Some(job) => return job,
                None => self.more.notified().await,
            }
        }
    }
}

impl Store {
    /// What is at a key, for a request that shows its tag.
    ///
    /// # Errors
    /// As [`Store::object`].
    pub async fn tagged_object(&self, root: Ino, key: ObjectKey) -> Result<Object> {
        let object = self.object(root, key.clone()).await?;
        if Lack::of(&object) != Some(Lack::Small) {
            return Ok(self.tagged(root, &key, object, None).await);
        }
        let (object, file) = self.open(root, key.clone()).await?;
        Ok(self.tagged(root, &key, object, file.as_ref()).await)
    }

    /// The object with its MD5, if that is known or at once to be had from the open file; else that is asked for.
    pub async fn tagged(
        &self,
        root: Ino,
        key: &ObjectKey,
        object: Object,
        file: Option<&OpenFile>,
    ) -> Object {
        let (lack, ino) = (Lack::of(&object), object.attr.ino);
        match (lack, file) {
            (None, _) | (Some(Lack::Small), None) => object,
            (Some(Lack::Large), _) => {
                let key = key.clone();
                self.to_learn().offer(Job { root, key, ino });
                object
            }
            (Some(Lack::Small), Some(file)) => {
                match self.read(file, Span::whole(object.attr.size)).await {
                    Ok(whole) => self.hashed(root, key, object, whole).await,
                    Err(error) => {
                        tracing::debug!(ino = ino.0, %error, "a file cannot be read for its MD5");
                        object
                    }
                }
            }
        }
    }

    /// The object with the MD5 of these bytes, all of its content, unless it has another by now.
    pub(super) async fn hashed(
        &self,
        root: Ino,
        key: &ObjectKey,
        object: Object,
        whole: Bytes,
    ) -> Object {
        let learned = async {
            let digests = self.hashing().update(Digests::new([]), whole).await?;
            let md5 = digests.finish().md5;
            self.remember(root, key, &object, md5).await
        };
        match learned.await {
            Ok(Some(tagged)) => tagged,
            Ok(None) => object,
            Err(error) => {
                tracing::debug!(ino = object.attr.ino.0, %error, "the MD5 of a file cannot be kept");
                object
            }
        }
    }

    /// Keeps the MD5 of the content that `seen` has. None if it has another by now.
    async fn remember(
        &self,
        root: Ino,
        key: &ObjectKey,
        seen: &Object,
        md5: [u8; 16],
    ) -> Result<Option<Object>> {
        let mut there = Some(seen.clone());
        for _ in 0..CONDITION_ATTEMPTS {
            let Some(object) = there.filter(|there| is_same(seen, there)) else {
                return Ok(None);
            };
            let mut stored = View::of(&object)?.stored;
            if stored.etag.is_some() {
                // Somebody else was faster.
                return Ok(Some(object));
            }
            stored.etag = Some(ETag::Md5(md5));
            let (ino, version) = (object.attr.ino, object.attr.attr_version);
            let s3 = stored.encode()?.into();
            let kept = self
                .run(move |volume| Ok(volume.remember_object(ino, version, s3)?))
                .await;
            match kept {
                // The answer says how it is now, which may be later.
                Ok(object) => return Ok(Some(object).filter(|object| is_same(seen, object))),
                Err(Failure::Volume(VolumeError::Changed)) => {}
                Err(failure) => return Err(failure),
            }
            // A client may have changed what else is kept.
            there = self.find(root, key.clone()).await?;
        }
        Err(Failure::Contended)
    }

    /// Reads a file to its end for its MD5, at half speed, and keeps that. False: it changed meanwhile. That it is
    /// not there any more, or its MD5 is known, is as good as done.
    async fn learn(&self, job: &Job) -> Result<bool> {
        let (root, key) = (job.root, &job.key);
        let (object, file) = match self.open(root, key.clone()).await {
            Ok((object, Some(file))) if object.attr.ino == job.ino => (object, file),
            Ok(_) | Err(Failure::NoSuchKey) => return Ok(true),
            Err(failure) => return Err(failure),
        };
        if Lack::of(&object).is_none() {
            return Ok(true);
        }
        let (mut digests, mut done, mut look) = (Digests::new([]), 0, LEARN_LOOK_BYTES);
        while done < object.attr.size {
            let began = Instant::now();
            let length = (object.attr.size - done).min(READ_PIECE_BYTES as u64);
            let span = Span {
                start: done,
                length,
            };
            digests = self.digest(&file, span, digests).await?;
            done += length;
            if done >= look {
                look = done + LEARN_LOOK_BYTES;
                let there = self.find(root, key.clone()).await?;
                if !there.is_some_and(|there| is_same(&object, &there)) {
                    return Ok(false);
                }
            }
            // Others, who are waited for, get at least as much of the machine.
            tokio::time::sleep(began.elapsed()).await;
        }
        let kept = self
            .remember(root, key, &object, digests.finish().md5)
            .await?;
        Ok(kept.is_some())
    }
}

/// Whether these are one content of one file.
fn is_same(one: &Object, other: &Object) -> bool {
    let state = |object: &Object| (object.attr.ino, object.attr.content_version);
    state(one) == state(other)
}

/// Learns what is asked for, one file at a time, for ever.
pub async fn learn(store: Store) {
    loop {
        let job = store.to_learn().begin().await;
        let learned = store.learn(&job).await.unwrap_or_else(|error| {
            tracing::debug!(ino = job.ino.0, %error, "the MD5 of a file cannot be had");
            false
        });
        let mut queue = store.to_learn().queue.lock();
        queue.end(job.ino, learned, Instant::now());
    }
}
