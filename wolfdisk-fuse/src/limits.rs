//! Every limit of the mount, with its reason.

use std::time::Duration;

/// Largest write the kernel sends at once. 256 pages is also the kernel's own limit for a request
/// (`fs.fuse.max_pages_limit`); one such write fills a quarter of a chunk.
pub const WRITE_MAX_BYTES: u32 = 1024 * 1024;

/// What the kernel reads ahead on this mount: its default of 128 KiB makes eight requests of what one
/// request may carry.
pub const READ_AHEAD_KIB: u32 = 1024;

/// Requests in the background (readahead, asynchronous direct I/O) that the kernel keeps in flight.
/// The kernel's own 12 starve a queue depth of 32 as fio and QEMU use it.
pub const BACKGROUND_MAX: u16 = 128;
/// Above this the kernel treats the mount as congested and stops speculative readahead.
pub const CONGESTION_THRESHOLD: u16 = 96;

/// Threads that answer requests: at least so many, so that a few that wait for a daemon do not stop
/// the others.
pub const THREADS_MIN: usize = 8;
/// And so many for each core.
pub const THREADS_PER_CORE: usize = 2;

/// How long an empty answer from beyond the end of a file is held back for one that shows the end: that
/// one is asked for just before it, unless a program reads from beyond the end only.
pub const BEYOND_END_DEADLINE: Duration = Duration::from_millis(100);
/// Such answers that are held back at once; each has a thread of its own. Readahead makes a few.
pub const BEYOND_END_MAX: usize = 64;

/// Lock requests that may wait at once; each has a thread of its own. More get `ENOLCK`.
pub const LOCK_WAITERS_MAX: usize = 1024;
/// Stack of a waiting thread: it only makes framed calls.
pub const WAITER_STACK_BYTES: usize = 256 * 1024;
/// How often it is looked at whether who waits for a lock was sent a signal. A killed waiter must be
/// gone within a second.
pub const INTERRUPT_CHECK: Duration = Duration::from_millis(100);

/// An access time that is older than this is brought up to date even if nothing was written since
/// (the kernel's rule for `relatime`).
pub const RELATIVE_ATIME_MAX_SECONDS: i64 = 24 * 60 * 60;
/// Access times not yet written back. More are written back early.
pub const ACCESS_TIMES_PENDING_MAX: usize = 16 * 1024;
/// How long an access time may stay in memory (as with `lazytime`, but shorter: other nodes see it only
/// then).
pub const ACCESS_TIME_DELAY: Duration = Duration::from_secs(20);
/// How often it is looked for access times that are due.
pub const ACCESS_TIME_TICK: Duration = Duration::from_secs(2);
/// Access times written back at shutdown: the rest is given up, since a stop must not take long.
pub const ACCESS_TIMES_AT_STOP_MAX: usize = 1024;

/// Bytes that a directory entry takes in the kernel's buffer without its name, and with attributes.
pub const DIR_ENTRY_BYTES: usize = 24;
/// See [`DIR_ENTRY_BYTES`].
pub const DIR_ENTRY_PLUS_BYTES: usize = 152;
/// Length of a name that listings are sized for; a wrong guess costs a fetched entry or a round trip.
pub const DIR_NAME_GUESS_BYTES: usize = 16;
/// The kernel's buffer for entries holds at least a page,
pub const DIR_BUFFER_MIN_BYTES: usize = 4096;
/// and entries are fetched for at most this much of it: a listing in larger steps is no faster.
pub const DIR_BUFFER_MAX_BYTES: usize = 64 * 1024;

/// How long the mount waits for the daemons to answer at start: they may be replaying their log.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// Pause between two tries to reach them.
pub const CONNECT_RETRY: Duration = Duration::from_millis(100);

/// How long a look at a mount point may take before the mount counts as alive but stuck.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(2);
/// How long writing back may take at a stop that was asked for.
pub const STOP_DEADLINE: Duration = Duration::from_secs(30);
/// How long whoever asks for the counters may take to read them, and the pause after one who did not.
pub const TELL_DEADLINE: Duration = Duration::from_secs(1);
/// How long the kernel's threads may take to let go after the unmount.
pub const DETACH_DEADLINE: Duration = Duration::from_secs(1);

/// Block size told to programs: stdio buffers are sized by it, and each buffer is a request.
pub const PREFERRED_BLOCK_BYTES: u32 = 64 * 1024;
/// Unit of `statfs`.
pub const STATFS_BLOCK_BYTES: u32 = 4096;
