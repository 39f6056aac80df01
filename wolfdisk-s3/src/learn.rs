//! Which MD5s are worth computing, and when: what is decided about it without a volume.
//!
//! Content that a mount wrote has none that anybody knows. One that a single read brings in is hashed by the request
//! that looks at the object; a larger one waits here for the one task that does nothing else. A listing asks for
//! none. A file is in the queue once; one that was no longer the same when it had been read, or whose MD5 could
//! not be kept, rests before it is read again: a file that is written all the time costs one look a minute.

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use wolfdisk_client::{FileKind, Object, ObjectKey};
use wolfdisk_common::ids::Ino;

use crate::limits::{HASH_AT_ONCE_MAX_BYTES, LEARN_QUEUE_MAX, LEARN_REST, LEARN_RESTING_MAX};
use crate::store::view::View;

/// How an MD5 that is not known comes to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// By one read.
    Small,
    /// By reading for longer than a request waits.
    Large,
}

impl Lack {
    /// What is wanting of an object. None of one that cannot be read, which whoever reads it is told.
    pub fn of(object: &Object) -> Option<Lack> {
        let size = object.attr.size;
        if object.attr.kind != FileKind::File || size == 0 {
            return None;
        }
        match View::of(object) {
            Ok(view) if view.stored.etag.is_none() => Some(match size <= HASH_AT_ONCE_MAX_BYTES {
                true => Lack::Small,
                false => Lack::Large,
            }),
            Ok(_) | Err(_) => None,
        }
    }
}

/// A file whose MD5 is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The directory of its key.
    pub root: Ino,
    /// Where it was found.
    pub key: ObjectKey,
    /// Which file that was.
    pub ino: Ino,
}

/// The queue, and what is left alone for a while. Both are bounded: what finds no place is asked for again by the
/// next who looks.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Job>,
    /// The files of those that wait and of the one that is being read.
    known: HashSet<Ino>,
    /// Until when, in that order.
    resting: VecDeque<(Ino, Instant)>,
}

impl Queue {
    /// Takes a job if there is a place and reason for it.
    pub fn offer(&mut self, job: Job, now: Instant) -> bool {
        while self.resting.front().is_some_and(|(_, end)| *end <= now) {
            self.resting.pop_front();
        }
        let rests = self.resting.iter().any(|(ino, _)| *ino == job.ino);
        if rests || self.waiting.len() >= LEARN_QUEUE_MAX || !self.known.insert(job.ino) {
            return false;
        }
        self.waiting.push_back(job);
        true
    }

    /// The next one to do. It must be ended before another is begun.
    pub fn begin(&mut self) -> Option<Job> {
        self.waiting.pop_front()
    }

    /// It was done, and the MD5 is known now or it is not.
    pub fn end(&mut self, ino: Ino, learned: bool, now: Instant) {
        self.known.remove(&ino);
        if learned {
            return;
        }
        if self.resting.len() >= LEARN_RESTING_MAX {
            self.resting.pop_front();
        }
        self.resting.push_back((ino, now + LEARN_REST));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use wolfdisk_common::ids::Version;

    use super::*;
    use crate::etag::ETag;
    use crate::store::view::tests::object;
    use crate::stored::Stored;

    fn job(ino: u64) -> Job {
        Job {
            root: Ino(1),
            key: ObjectKey::parse(format!("key-{ino}").as_bytes()).expect("a key"),
            ino: Ino(ino),
        }
    }

    #[test]
    fn what_is_wanting_depends_on_what_is_kept_and_on_the_size() {
        let limit = HASH_AT_ONCE_MAX_BYTES;
        let of = |size| Lack::of(&object(size));
        assert_eq!(
            [of(0), of(1), of(limit)],
            [None, Some(Lack::Small), Some(Lack::Small)]
        );
        assert_eq!(of(limit + 1), Some(Lack::Large));
        let mut directory = object(4096);
        directory.attr.kind = FileKind::Directory;
        assert_eq!(Lack::of(&directory), None);
        let mut kept = object(12);
        let stored = Stored {
            etag: Some(ETag::Md5([7; 16])),
            ..Stored::default()
        };
        kept.s3 = Some(stored.encode().expect("small").into());
        assert_eq!(Lack::of(&kept), None);
        // Written since.
        kept.attr.content_version = Version(9);
        assert_eq!(Lack::of(&kept), Some(Lack::Small));
        kept.s3 = Some(Bytes::from_static(b"\xff"));
        assert_eq!(Lack::of(&kept), None);
    }

    #[test]
    fn a_file_waits_once_in_order_and_not_while_it_is_read() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        assert_eq!(queue.begin(), None);
        assert!(queue.offer(job(7), now) && queue.offer(job(8), now));
        assert!(!queue.offer(job(7), now));
        assert_eq!(queue.begin(), Some(job(7)));
        assert!(!queue.offer(job(7), now));
        queue.end(Ino(7), true, now);
        assert!(queue.offer(job(7), now), "it may have changed since");
        assert_eq!(queue.begin(), Some(job(8)));
    }

    #[test]
    fn a_file_that_changes_all_the_time_rests() {
        let (mut queue, mut now) = (Queue::default(), Instant::now());
        let mut reads = 0;
        for _ in 0..600 {
            queue.offer(job(7), now);
            if let Some(job) = queue.begin() {
                reads += 1;
                queue.end(job.ino, false, now);
            }
            now += Duration::from_secs(1);
        }
        assert_eq!(reads, 600 / LEARN_REST.as_secs());
        assert!(queue.offer(job(8), now), "others do not");
    }

    #[test]
    fn nothing_grows_without_a_bound() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let many = 4 * (LEARN_QUEUE_MAX + LEARN_RESTING_MAX) as u64;
        let taken = (0..many).filter(|ino| queue.offer(job(*ino), now)).count();
        assert_eq!(taken, LEARN_QUEUE_MAX);
        for ino in 0..many {
            queue.offer(job(ino), now);
            if let Some(job) = queue.begin() {
                queue.end(job.ino, false, now);
            }
        }
        assert!(queue.known.len() <= LEARN_QUEUE_MAX);
        assert_eq!(queue.resting.len(), LEARN_RESTING_MAX);
    }
}
