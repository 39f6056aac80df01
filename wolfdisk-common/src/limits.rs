//! Every limit that more than one crate relies on, with its reason. Limits of one crate live in that
//! crate's own `limits.rs`.

use std::time::Duration;

/// Block over which a CRC32C is kept; the unit of verification on every read.
pub const BLOCK_SIZE_BYTES: usize = 4096;

/// Leaf of the chunk hash: any leaf can be fetched and verified alone, and leaves hash in parallel.
pub const LEAF_SIZE_BYTES: usize = 64 * 1024;

/// Smallest and largest configurable chunk. Larger would not fit one gRPC message and costs memory in
/// every writer; smaller makes the index grow.
pub const CHUNK_SIZE_MIN_BYTES: usize = 64 * 1024;
/// See [`CHUNK_SIZE_MIN_BYTES`].
pub const CHUNK_SIZE_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Data of at most this size in one flush travels inside the mutation and rides in the log.
pub const LOG_DATA_MAX_BYTES: usize = 64 * 1024;

/// Data of at most this size stays in the extent itself for good.
pub const INLINE_DATA_MAX_BYTES: usize = 512;

/// Data in the log that no chunk holds yet; writers wait above it, since it holds back truncation.
pub const UNDESTAGED_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Room that ordinary writes leave: this fraction of the disk, at least [`RESERVE_MIN_BYTES`], at most
/// [`RESERVE_MAX_BYTES`].
pub const RESERVE_DISK_FRACTION: u64 = 20;
/// The least reserve on disks where that is not too much.
pub const RESERVE_MIN_BYTES: u64 = 1 << 30;
/// The most of a small disk that the reserve takes.
pub const RESERVE_SMALL_DISK_FRACTION: u64 = 8;
/// The most reserve: what lives in it (log, data to be destaged, segments that compaction writes) grows
/// no more on disks above 64 GiB, and a checkpoint of a larger index is counted beside it.
pub const RESERVE_MAX_BYTES: u64 = 4 << 30;

/// Longest file name, as on every Linux file system.
pub const NAME_MAX_BYTES: usize = 255;

/// Longest symlink target (PATH_MAX with its NUL).
pub const SYMLINK_MAX_BYTES: usize = 4095;

/// Largest extended attribute value, XATTR_SIZE_MAX of Linux.
pub const XATTR_VALUE_MAX_BYTES: usize = 65_536;
/// Longest extended attribute name, XATTR_NAME_MAX of Linux.
pub const XATTR_NAME_MAX_BYTES: usize = 255;
/// All names of one inode's attributes with their NULs: XATTR_LIST_MAX of Linux.
pub const XATTR_LIST_MAX_BYTES: usize = 65_536;

/// Hard links to one inode; ext4 stops at 65,000, we count in u32 and stop where `nlink_t` is safe.
pub const LINK_MAX: u32 = i32::MAX as u32;

/// Longest key of an object, as in S3.
pub const OBJECT_KEY_MAX_BYTES: usize = 1024;
/// What S3 may keep of one object: its headers, metadata and tags take less than half of it.
pub const OBJECT_S3_MAX_BYTES: usize = 16 * 1024;
/// Keys in one answer to a listing, as in S3.
pub const LIST_KEYS_MAX: u32 = 1000;

/// Largest file: what `off_t` can address.
pub const FILE_SIZE_MAX_BYTES: u64 = i64::MAX as u64;

/// Answers kept for each session until they are acknowledged: also the most mutations a session may
/// have in flight.
pub const SESSION_WINDOW: u64 = 1024;

/// How long a cache right outlives the last heartbeat that renewed it.
pub const LEASE_MS: u64 = 2_000;
/// How often a front-end renews its lease: four chances before it runs out.
pub const HEARTBEAT_MS: u64 = 500;
/// The session of a front-end that somebody starts again is kept so long after its process is gone:
/// several restarts, with pauses between them.
pub const SUCCESSION_MS: u64 = 15_000;
/// A session that was not heard of for so long is expired by a logged mutation.
pub const SESSION_EXPIRY_MS: u64 = 120_000;

/// Largest frame on a Unix socket: a chunk, and room for what names it.
pub const FRAME_MAX_BYTES: usize = CHUNK_SIZE_MAX_BYTES + 256 * 1024;
/// Descriptors that may travel with one frame.
pub const FRAME_FDS_MAX: usize = 4;
/// Connections a daemon accepts on one socket.
pub const CONNECTIONS_MAX: usize = 1024;

/// A call that has not been answered for so long failed: nothing waits for ever.
pub const CALL_DEADLINE_MS: u64 = 60_000;
/// How long a front-end keeps trying to reach a daemon that is restarting before a call fails.
pub const RECONNECT_DEADLINE_MS: u64 = 60_000;

/// Entries in one answer to a directory listing.
pub const READDIR_MAX_ENTRIES: u32 = 4096;
/// Pieces in one answer that maps a range of a file.
pub const MAP_MAX_PIECES: u32 = 1024;
/// Data carried in one answer that maps a range of a file.
pub const MAP_MAX_DATA_BYTES: usize = 1024 * 1024;
/// Invalidations in one answer of the feed.
pub const FEED_MAX_ITEMS: usize = 1024;

/// Buckets that an access key may be limited to: with their names a record of it stays well below what is kept of one
/// object.
pub const ACCESS_KEY_BUCKETS_MAX: usize = 100;
/// Longest name that people give an access key: it is a column of a table.
pub const ACCESS_KEY_NAME_MAX_BYTES: usize = 64;
/// Longest path of a folder that is mapped to a bucket, as of every path that a program can name (PATH_MAX with its NUL).
pub const BUCKET_MAP_PATH_MAX_BYTES: usize = 4095;

/// Longest node id: a label of a host name.
pub const NODE_ID_MAX_BYTES: usize = 63;

/// A step of a daemon's start that takes longer than this hangs, to whoever set a deadline for the start.
pub const START_STEP_DEADLINE: Duration = Duration::from_secs(5 * 60);
/// How often a daemon looks whether what it says of itself to the service manager has changed.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(10);
/// Longest such line: what `systemctl status` shows in a few rows.
pub const STATUS_MAX_BYTES: usize = 512;
/// A line for the journal that is not taken within this time is lost: who serves files does not wait for who logs.
pub const JOURNAL_DEADLINE: Duration = Duration::from_secs(1);
/// Longest message and field in the journal; with all fields of a line well below what a datagram may hold.
pub const JOURNAL_VALUE_MAX_BYTES: usize = 32 * 1024;
