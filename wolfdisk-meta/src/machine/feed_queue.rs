//! The notices for one session: numbered, in order, kept until they are confirmed.
//!
//! Numbers begin at a base that grows with the daemon's incarnation, so that a confirmation from
//! before a restart confirms nothing after it. A queue that would grow beyond its bound is replaced by
//! one notice, [`Notice::Everything`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use wolfdisk_common::ids::{Ino, Version};
use wolfdisk_common::name::FileName;

use crate::limits;

/// What a session must drop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Notice {
    /// One name of a directory.
    Name {
        /// The directory.
        parent: Ino,
        /// The name.
        name: FileName,
    },
    /// Attributes and xattrs.
    Attr(Ino),
    /// Attributes; the kernel may keep them until their lifetime ends.
    AccessTime(Ino),
    /// Attributes and data.
    Data(Ino),
    /// Flush, then write through.
    WriteBack(Ino),
    /// Every name of a directory.
    Directory(Ino),
    /// All that is cached.
    Everything,
}

/// A notice with its place in the session's order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Numbered {
    /// Counts up within the session.
    pub number: u64,
    /// The version of the mutation that caused it.
    pub version: Version,
    /// What to drop.
    pub notice: Notice,
    queued: Duration,
}

/// The last notices on one inode that are not confirmed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Open {
    /// To drop what is cached of it.
    drop: Option<u64>,
    /// To write back what is buffered of it.
    write_back: Option<u64>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FeedQueue {
    items: VecDeque<Numbered>,
    open: BTreeMap<Ino, Open>,
    next: u64,
    confirmed: u64,
    /// Up to here all are done but those that take long.
    told: u64,
    /// Up to here notices have been sent at least once, lately at `sent_at`.
    sent: u64,
    sent_at: Duration,
}

impl FeedQueue {
    /// An empty queue whose numbers begin above `base`.
    pub fn new(base: u64) -> FeedQueue {
        FeedQueue {
            items: VecDeque::new(),
            open: BTreeMap::new(),
            next: base + 1,
            confirmed: base,
            told: base,
            sent: base,
            sent_at: Duration::ZERO,
        }
    }

    /// Queues a notice and answers its number. Answers none if the queue is full: the caller takes all
    /// rights of the session and calls [`FeedQueue::reset`].
    pub fn push(&mut self, notice: Notice, version: Version, now: Duration) -> Option<u64> {
        if let [
            Numbered {
                number,
                notice: Notice::Everything,
                version: at,
                ..
            },
        ] = self.items.make_contiguous()
            && *number > self.sent
        {
            // Not sent yet, and it covers this one too.
            *at = version;
            return Some(*number);
        }
        if self.items.len() >= limits::FEED_QUEUE_MAX {
            return None;
        }
        let number = self.next;
        self.next += 1;
        match &notice {
            Notice::Attr(ino) | Notice::Data(ino) => {
                self.open.entry(*ino).or_default().drop = Some(number);
            }
            Notice::WriteBack(ino) => {
                self.open.entry(*ino).or_default().write_back = Some(number);
            }
            // The right to what these name stays until they are confirmed.
            Notice::Name { .. } | Notice::AccessTime(_) | Notice::Directory(_) => {}
            Notice::Everything => {}
        }
        self.items.push_back(Numbered {
            number,
            version,
            notice,
            queued: now,
        });
        Some(number)
    }

    /// The notice by which the session drops what it may still trust of `ino`, though it has no right to it any
    /// more; none if it has told of it.
    pub fn drops(&self, ino: Ino) -> Option<u64> {
        let open = self.open.get(&ino).and_then(|open| open.drop);
        let open = open.max(self.everything());
        open.filter(|number| *number > self.told.max(self.confirmed))
    }

    /// The notice by which the session writes back what it has buffered of `ino`; none if it has confirmed it.
    pub fn writes_back(&self, ino: Ino) -> Option<u64> {
        self.open.get(&ino).and_then(|open| open.write_back)
    }

    fn everything(&self) -> Option<u64> {
        let first = self.items.front()?;
        (first.notice == Notice::Everything).then_some(first.number)
    }

    /// Replaces all that is queued by [`Notice::Everything`]; answers its number.
    pub fn reset(&mut self, version: Version, now: Duration) -> u64 {
        let queued = self.items.front().map_or(now, |item| item.queued);
        self.items.clear();
        self.open.clear();
        let number = self.next;
        self.next += 1;
        self.items.push_back(Numbered {
            number,
            version,
            notice: Notice::Everything,
            queued,
        });
        number
    }

    /// The session has done everything up to `number`. A number that was never sent confirms nothing.
    pub fn confirm(&mut self, number: u64) -> bool {
        if number <= self.confirmed || number > self.sent {
            return false;
        }
        self.confirmed = number;
        while let Some(item) = self.items.pop_front_if(|item| item.number <= number) {
            self.close(&item);
        }
        true
    }

    fn close(&mut self, item: &Numbered) {
        let (Notice::Attr(ino) | Notice::Data(ino) | Notice::WriteBack(ino)) = &item.notice else {
            return;
        };
        if let Some(open) = self.open.get_mut(ino) {
            open.drop = open.drop.filter(|last| *last > item.number);
            open.write_back = open.write_back.filter(|last| *last > item.number);
            if *open == Open::default() {
                self.open.remove(ino);
            }
        }
    }

    /// The session has done everything up to `number` that does not take long.
    pub fn told(&mut self, number: u64) {
        if number <= self.sent {
            self.told = self.told.max(number);
        }
    }

    /// Up to where everything is done, and up to where all that does not take long.
    pub fn progress(&self) -> (u64, u64) {
        (self.confirmed, self.told.max(self.confirmed))
    }

    /// Whether `number` has been confirmed.
    pub fn is_confirmed(&self, number: u64) -> bool {
        number <= self.confirmed
    }

    /// When the oldest unconfirmed notice was queued that somebody may wait for. Nobody does for the end
    /// of [`Notice::Directory`], which can be a lease away.
    pub fn oldest(&self) -> Option<Duration> {
        let waited = |item: &&Numbered| {
            item.number > self.told || matches!(item.notice, Notice::WriteBack(_))
        };
        self.items.iter().find(waited).map(|item| item.queued)
    }

    /// The last number whose version is at most `version` and that the session has not been told of.
    pub fn last_up_to(&self, version: Version) -> Option<u64> {
        let covers =
            |item: &&Numbered| item.version <= version || item.notice == Notice::Everything;
        let mut open = self
            .items
            .iter()
            .rev()
            .filter(|item| item.number > self.told);
        open.find(covers).map(|item| item.number)
    }

    /// Whether there is something to send now: new, or sent so long ago that the reply may be lost.
    pub fn is_due(&self, now: Duration) -> bool {
        let Some(last) = self.items.back() else {
            return false;
        };
        last.number > self.sent || now.saturating_sub(self.sent_at) >= limits::FEED_RESEND
    }

    /// What to send now, at the most `limit`, oldest first.
    pub fn outgoing(&mut self, now: Duration, limit: usize) -> Vec<Numbered> {
        let again = now.saturating_sub(self.sent_at) >= limits::FEED_RESEND;
        let after = if again { self.confirmed } else { self.sent };
        let items: Vec<_> = self
            .items
            .iter()
            .filter(|item| item.number > after)
            .take(limit)
            .cloned()
            .collect();
        if let Some(last) = items.last() {
            self.sent = self.sent.max(last.number);
            self.sent_at = now;
        }
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(5);

    #[test]
    fn a_lost_reply_is_sent_again_and_a_confirmed_one_is_not() {
        let mut queue = FeedQueue::new(100);
        let first = queue
            .push(Notice::Attr(Ino(3)), Version(1), NOW)
            .expect("room");
        assert_eq!(queue.outgoing(NOW, 10).len(), 1);
        assert!(!queue.is_due(NOW));
        let later = NOW + limits::FEED_RESEND;
        assert!(queue.is_due(later));
        assert_eq!(queue.outgoing(later, 10).len(), 1);
        assert!(queue.confirm(first));
        assert!(queue.is_confirmed(first));
        assert!(!queue.is_due(later + limits::FEED_RESEND));
    }

    #[test]
    fn what_was_never_sent_cannot_be_confirmed() {
        let mut queue = FeedQueue::new(0);
        let number = queue
            .push(Notice::Attr(Ino(3)), Version(1), NOW)
            .expect("room");
        assert!(!queue.confirm(number));
        assert!(!queue.is_confirmed(number));
    }

    #[test]
    fn a_full_queue_becomes_one_notice() {
        let mut queue = FeedQueue::new(0);
        for _ in 0..limits::FEED_QUEUE_MAX {
            queue
                .push(Notice::Attr(Ino(3)), Version(1), NOW)
                .expect("room");
        }
        assert_eq!(queue.push(Notice::Attr(Ino(4)), Version(2), NOW), None);
        let number = queue.reset(Version(2), NOW);
        assert_eq!(
            queue.push(Notice::Attr(Ino(5)), Version(3), NOW),
            Some(number)
        );
        let sent = queue.outgoing(NOW, 10);
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].notice, Notice::Everything);
        assert_eq!(sent[0].version, Version(3));
        assert!(
            queue
                .push(Notice::Attr(Ino(5)), Version(4), NOW)
                .expect("room")
                > number
        );
    }
}
