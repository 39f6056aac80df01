//! Access times, by the rule of `relatime`, gathered in memory and written back lazily.
//!
//! The kernel leaves access times to a FUSE file system and sends nothing. To write one for each first
//! read of a file would make a logged mutation of every read of fresh data, so they wait here up to
//! [`ACCESS_TIME_DELAY`] (as `lazytime` does on local file systems); a crash loses them. This mount
//! shows them at once: every answer with attributes passes [`AccessTimes::overlay`].
//!
//! A handle counts as read at its first READ. One that was opened for reading only, on pages that the
//! kernel kept, counts when it is closed: its reads are not seen.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use wolfdisk_client::{Attr, FileKind, HandleId, SetAttr, SetTime, Volume};
use wolfdisk_common::ids::Ino;
use wolfdisk_common::time::{Clock, SystemClock, Timestamp};

use crate::limits::{
    ACCESS_TIME_DELAY, ACCESS_TIMES_AT_STOP_MAX, ACCESS_TIMES_PENDING_MAX,
    RELATIVE_ATIME_MAX_SECONDS,
};
use crate::options::{AccessTime, Options};

/// See the module.
#[derive(Debug)]
pub struct AccessTimes {
    files: AccessTime,
    directories: AccessTime,
    clock: SystemClock,
    /// Handles whose first read changes the access time, and whether closing counts as reading.
    due: Mutex<HashMap<HandleId, (Ino, bool)>>,
    due_count: AtomicUsize,
    /// Access times that the index does not know yet, and since when they wait.
    pending: Mutex<HashMap<Ino, (Timestamp, Instant)>>,
    pending_count: AtomicUsize,
}

impl AccessTimes {
    /// By the options of the mount. Without the right to change anything no access time changes.
    pub fn new(options: &Options) -> AccessTimes {
        let files = if options.read_only {
            AccessTime::Never
        } else {
            options.access_time
        };
        AccessTimes {
            files,
            directories: if options.directory_access_time {
                files
            } else {
                AccessTime::Never
            },
            clock: SystemClock::default(),
            due: Mutex::default(),
            due_count: AtomicUsize::new(0),
            pending: Mutex::default(),
            pending_count: AtomicUsize::new(0),
        }
    }

    /// Whether a file opened for reading is to be passed to [`AccessTimes::opened`]; if not, its
    /// attributes need not be got.
    pub fn counts_files(&self) -> bool {
        self.files != AccessTime::Never
    }

    /// A file was opened for reading. `unseen`: the kernel may answer reads without asking.
    pub fn opened(&self, handle: HandleId, attr: &Attr, unseen: bool) {
        if self.is_due(attr) {
            let mut due = self.due.lock();
            due.insert(handle, (attr.ino, unseen));
            self.due_count.store(due.len(), Ordering::Release);
        }
    }

    /// A handle was read.
    pub fn read(&self, handle: HandleId) {
        if let Some((ino, _)) = self.take_due(handle) {
            self.note(ino);
        }
    }

    /// A handle was closed.
    pub fn closed(&self, handle: HandleId) {
        if let Some((ino, true)) = self.take_due(handle) {
            self.note(ino);
        }
    }

    /// A directory was listed, or a symlink followed.
    pub fn touched(&self, attr: &Attr) {
        if self.is_due(attr) {
            self.note(attr.ino);
        }
    }

    /// The access time was set by a call: what waited is void.
    pub fn set(&self, ino: Ino) {
        if self.pending_count.load(Ordering::Acquire) > 0 {
            let mut pending = self.pending.lock();
            pending.remove(&ino);
            self.pending_count.store(pending.len(), Ordering::Release);
        }
    }

    /// Puts the access time that waits, if any, into attributes on their way to the kernel.
    pub fn overlay(&self, attr: &mut Attr) {
        if self.pending_count.load(Ordering::Acquire) > 0
            && let Some((time, _)) = self.pending.lock().get(&attr.ino)
        {
            attr.atime = attr.atime.max(*time);
        }
    }

    /// Writes back what has waited long enough, or, at the `end`, as much as a stop has time for.
    pub fn write_back(&self, volume: &Volume, end: bool) {
        for (ino, time) in self.take_old(end) {
            // The change time stays: only the access time is new. A file that is gone by now, or a
            // daemon that is, costs an access time and nothing else.
            let Ok((attr, _)) = volume.getattr(ino) else {
                continue;
            };
            let change = SetAttr {
                atime: Some(SetTime::At(time)),
                ctime: Some(SetTime::At(attr.ctime)),
                ..SetAttr::default()
            };
            if attr.atime < time
                && let Err(error) = volume.setattr(ino, change)
            {
                tracing::debug!(%ino, %error, "an access time was not kept");
            }
        }
    }

    fn take_old(&self, end: bool) -> Vec<(Ino, Timestamp)> {
        let mut pending = self.pending.lock();
        let full = pending.len() >= ACCESS_TIMES_PENDING_MAX;
        let is_old = |since: &Instant| end || full || since.elapsed() >= ACCESS_TIME_DELAY;
        let limit = if end {
            ACCESS_TIMES_AT_STOP_MAX
        } else {
            usize::MAX
        };
        let old: Vec<_> = pending
            .iter()
            .filter(|(_, (_, since))| is_old(since))
            .map(|(ino, (time, _))| (*ino, *time))
            .take(limit)
            .collect();
        for (ino, _) in &old {
            pending.remove(ino);
        }
        self.pending_count.store(pending.len(), Ordering::Release);
        old
    }

    fn take_due(&self, handle: HandleId) -> Option<(Ino, bool)> {
        if self.due_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut due = self.due.lock();
        let taken = due.remove(&handle);
        self.due_count.store(due.len(), Ordering::Release);
        taken
    }

    fn note(&self, ino: Ino) {
        let mut pending = self.pending.lock();
        if pending.len() < ACCESS_TIMES_PENDING_MAX || pending.contains_key(&ino) {
            let now = self.clock.now();
            pending.entry(ino).or_insert((now, Instant::now())).0 = now;
        }
        self.pending_count.store(pending.len(), Ordering::Release);
    }

    fn is_due(&self, attr: &Attr) -> bool {
        let rule = if attr.kind == FileKind::Directory {
            self.directories
        } else {
            self.files
        };
        match rule {
            AccessTime::Never => false,
            AccessTime::Strict => true,
            AccessTime::Relative => {
                let waiting = self.pending.lock().get(&attr.ino).map(|(time, _)| *time);
                let atime = attr.atime.max(waiting.unwrap_or(attr.atime));
                relative(atime, attr, self.clock.now())
            }
        }
    }
}

/// The kernel's rule for `relatime`.
fn relative(atime: Timestamp, attr: &Attr, now: Timestamp) -> bool {
    atime <= attr.mtime
        || atime <= attr.ctime
        || now.seconds.saturating_sub(atime.seconds) >= RELATIVE_ATIME_MAX_SECONDS
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wolfdisk_common::ids::Version;

    use super::*;

    fn attr(atime: i64, mtime: i64) -> Attr {
        let at = |seconds| Timestamp { seconds, nanos: 0 };
        Attr {
            ino: Ino(7),
            kind: FileKind::File,
            permissions: 0o644,
            uid: 0,
            gid: 0,
            nlink: 1,
            size: 0,
            allocated: 0,
            atime: at(atime),
            mtime: at(mtime),
            ctime: at(mtime),
            btime: at(mtime),
            rdev: 0,
            content_version: Version(0),
            parent: Ino::ROOT,
            has_xattr: false,
            symlink: Bytes::new(),
            attr_version: Version(0),
        }
    }

    #[test]
    fn the_rule_of_relatime() {
        let now = Timestamp {
            seconds: 1_000_000,
            nanos: 0,
        };
        let due = |atime, mtime| relative(attr(atime, mtime).atime, &attr(atime, mtime), now);
        assert!(due(5, 5) && due(4, 5));
        assert!(!due(999_999, 5));
        assert!(due(1_000_000 - RELATIVE_ATIME_MAX_SECONDS, 5));
    }

    #[test]
    fn the_first_read_counts_and_shows_at_once() {
        let times = AccessTimes::new(&Options::default());
        let (handle, mut seen) = (HandleId(3), attr(5, 5));
        times.opened(handle, &seen, false);
        times.overlay(&mut seen);
        assert_eq!(seen.atime.seconds, 5);
        times.read(handle);
        times.overlay(&mut seen);
        assert!(seen.atime.seconds > 5);
        times.set(Ino(7));
        assert!(times.take_old(true).is_empty());
    }

    #[test]
    fn a_handle_on_kept_pages_counts_at_close_and_another_does_not() {
        let times = AccessTimes::new(&Options::default());
        times.opened(HandleId(1), &attr(5, 5), false);
        times.closed(HandleId(1));
        assert!(times.take_old(true).is_empty());
        times.opened(HandleId(2), &attr(5, 5), true);
        times.closed(HandleId(2));
        assert_eq!(times.take_old(true).len(), 1);
    }

    #[test]
    fn a_read_only_mount_changes_nothing() {
        let times = AccessTimes::new(&Options {
            read_only: true,
            ..Options::default()
        });
        assert!(!times.counts_files());
        times.touched(&attr(5, 5));
        assert!(times.take_old(true).is_empty());
    }
}
