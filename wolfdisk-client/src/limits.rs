//! Every limit of this crate, with its reason.

use std::time::Duration;

use wolfdisk_common::limits;

/// A call gives up after so long; daemons restart in far less.
pub const CALL_DEADLINE: Duration = Duration::from_millis(limits::RECONNECT_DEADLINE_MS);
/// How long [`crate::Volume::connect`] waits for the daemons: a person is watching.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// What a read of a mapping costs of it at least: the kernel maps the pages around one that is touched, of the record's
/// header and of the block.
pub const FAULT_AROUND_BYTES: usize = 128 * 1024;
/// Taken off every lifetime given to the kernel, which starts counting later than we do.
pub const LEASE_MARGIN: Duration = Duration::from_millis(50);
/// Taken off every lease: it is counted by the clock of the node too, and two clocks that differ by half a percent are
/// that far apart at its end.
pub const LEASE_DRIFT: Duration = Duration::from_millis(10);
/// After the kernel was given attributes anew it has taken them over: a program was woken up for that.
pub const KERNEL_SETTLES_WITHIN: Duration = Duration::from_millis(20);
/// Beyond the heartbeat, before an unanswered feed call counts as lost.
pub const FEED_SLACK: Duration = Duration::from_secs(2);
/// Pauses between attempts to reach a daemon that went away: short, since a restart takes moments.
pub const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// The longest of such pauses where the daemon is on another machine: nobody there is kept busy with connections of one
/// who is not let in, and one who is has the lease anew soon enough.
pub const FAR_RETRY_PAUSE_MAX: Duration = Duration::from_millis(500);
/// One attempt at a mutation over the network: a link that was cut says nothing, and the mutation is sent again with its
/// number. Longer than a daemon waits for other sessions.
pub const FAR_ATTEMPT: Duration = Duration::from_secs(15);
/// One attempt to connect to another machine: many times what a handshake takes over a slow link.
pub const DIAL_DEADLINE: Duration = Duration::from_secs(5);
/// A kernel notification that takes longer counts as unconfirmed: as long as the lease.
pub const NOTIFY_DEADLINE: Duration = Duration::from_millis(limits::LEASE_MS);
/// A lock waits so long until the kernel has dropped stale pages: several notifications may come before, of
/// which each can wait as long as a lease for another mount.
pub const REVALIDATE_DEADLINE: Duration = Duration::from_secs(20);
/// Buffered writes take their place at the latest after this (P3).
pub const WRITE_BACK_AFTER: Duration = Duration::from_secs(1);
/// Files that are due within this are looked at together: most were committed when they were closed, and
/// one by one each would wake the committing thread for nothing.
pub const WRITE_BACK_EARLY: Duration = Duration::from_millis(20);
/// Chunk data of one file that is stored but not committed; more is committed in the background, so
/// that a close of a large file waits for its tail only.
pub const UNCOMMITTED_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Pieces in one Write mutation: keeps a log entry small enough to apply at once.
pub const WRITE_PIECES_MAX: usize = 512;
/// An `O_APPEND` write that is logged as one `append`; longer ones become several.
pub const APPEND_MAX_BYTES: usize = 128 * 1024;
/// How long chunks that are refused (`retry_put`) are put again before the write fails and with it what
/// was buffered: as long as a daemon may take to come back.
pub const PUT_AGAIN_DEADLINE: Duration = CALL_DEADLINE;
/// How long a chunk that does not fit is kept while room is being given back.
pub const ROOM_DEADLINE: Duration = Duration::from_secs(30);
/// One slice of that: between two, what is mapped here and was given back by the store is let go of.
pub const ROOM_SLICE: Duration = Duration::from_millis(500);
/// What a chunk takes on disk beyond its bytes: header, tables, alignment, with room to spare.
pub const CHUNK_RECORD_MAX_BYTES: usize = 64 * 1024;
/// While something is written back for another session, the feed asks so often: the session waits.
pub const WRITE_BACK_POLL: Duration = Duration::from_millis(5);
/// Threads that write back for other sessions.
pub const WRITE_BACK_THREADS: usize = 2;
/// Threads that commit in the background: a huge file delays no other beyond its second.
pub const COMMIT_THREADS: usize = 4;
/// Threads that put full chunks in the background: chunkd hashes on as many cores.
pub const PUT_THREADS: usize = 2;
/// The same on another machine: with each chunk encrypted, sent, hashed and answered by turns, so many fill a link.
pub const REMOTE_PUT_THREADS: usize = 4;
/// Bytes of a chunk on another machine that are fetched at once: 16 leaves, and about a millisecond at 10 Gbit/s.
pub const FETCH_BYTES: u32 = 1024 * 1024;
/// Bytes fetched ahead of one sequential reader: several times what is under way on a link of 10 Gbit/s and 1 ms.
pub const READ_AHEAD_BYTES: u64 = 8 * 1024 * 1024;
/// Threads, and so connections, that fetch ahead: each decrypts and verifies what it fetches.
pub const READ_AHEAD_THREADS: usize = 4;
/// Ranges that wait to be fetched ahead, however small they are.
pub const READ_AHEAD_RANGES: usize = 256;
/// A read that begins so many times its length from the end of the last one is one in order: the kernel has several under
/// way, which come as they like. Of random reads of 4 KiB in a file of 100 MiB one in 3,000 looks like that.
pub const IN_ORDER_READS: u64 = 4;
/// Tickets remembered; about 150 bytes each.
pub const TICKETS_MAX: usize = 65_536;
/// Connections that are kept for puts, with a shared area each on this machine.
pub const WRITERS_MAX: usize = 4;
/// Shards of tables that all threads use.
pub const SHARDS: usize = 16;
/// A directory in which we and others have changed names within this counts as contended: long against
/// the pauses of programs that share a directory, short against what lookups without lifetimes cost.
pub const CONTENDED_FOR: Duration = Duration::from_secs(10);
/// The kernel is given so long to forget a name before the end of what it relies on is waited for: it
/// does so at once, unless it has the directory locked.
pub const TELL_PATIENCE: Duration = Duration::from_millis(10);
/// Names of which the kernel has yet to be told without having to be: more are looked up again anyway.
pub const CHANGED_NAMES_MAX: usize = 1024;
/// Names cached in all directories together.
pub const NAMES_MAX: usize = 1_000_000;
/// Names cached in one directory; a larger one is not kept whole.
pub const DIRECTORY_NAMES_MAX: usize = 200_000;
/// Versions remembered of inodes that left the cache, against answers that are still under way.
pub const FLOORS_MAX: usize = 8192;
/// A file that nobody has open and that lost its last name to another can be opened so long by who had looked
/// the name up before.
pub const REMOVED_LINGER: Duration = Duration::from_secs(1);
/// Files that wait for that at one time; beyond it the first goes early.
pub const LINGERING_MAX: usize = 65_536;
/// Files whose close is told in one feed call; others wait for the next.
pub const RELEASES_MAX: usize = 4096;
/// Pieces cached for one file.
pub const FILE_PIECES_MAX: usize = 65_536;
/// A map request asks for at least so much, so that sequential reads ask seldom.
pub const MAP_AHEAD_BYTES: u64 = 64 * 1024 * 1024;
/// Data and holes of a file are told in blocks of this size: what programs align to that bypass the page
/// cache and cannot learn of a smaller one.
pub const HOLE_BLOCK_BYTES: u64 = 4096;
/// Places of chunks remembered; about 100 bytes each.
pub const LOCATIONS_MAX: usize = 65_536;
/// Chunks whose place is asked for ahead of a sequential reader.
pub const LOCATE_AHEAD: usize = 16;
/// How often chunkd is asked which mapped segments were replaced.
pub const RETIRED_EVERY: Duration = Duration::from_secs(5);
/// Chunks that the kernel reads ahead of a sequential reader.
pub const ADVISE_AHEAD: usize = 2;
/// Attempts of a read whose map is overtaken by own commits before it stops them for a moment.
pub const READ_ATTEMPTS: usize = 8;
/// Attempts to open an object while a change of our own overtakes each: replacing it takes as long as opening it.
pub const OPEN_ATTEMPTS: usize = 16;
/// Attempts to make a name that somebody else removes each time before we are told of it. The kernel tries twice itself,
/// and a program must not see that.
pub const CREATE_ATTEMPTS: usize = 16;
/// How long a request for a lock that must not wait does so for somebody who may have closed the file: the
/// kernel has sent the release before, and a thread has only to get to it.
pub const CLOSED_LOCK_GRACE: Duration = Duration::from_millis(100);
/// One slice of waiting for a lock; between two the caller may be found dead.
pub const LOCK_WAIT_MS: u32 = 250;
