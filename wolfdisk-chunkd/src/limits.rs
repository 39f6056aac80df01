//! Every limit of the chunk store, with its reason.

use std::time::Duration;

use wolfdisk_common::segment::SEGMENT_MAX_BYTES;
use wolfdisk_proto::limits::ADDRESSES_TRIED_MAX;

/// A segment is closed at this size. The format allows no more; fewer, larger segments mean fewer
/// mappings in front-ends (4,096 for 1 TiB), and compaction copies at most half of one at a time.
pub const SEGMENT_TARGET_BYTES: u64 = SEGMENT_MAX_BYTES;
/// On a small disk a segment is this fraction of it, so that two free ones fit into the reserve.
pub const SEGMENT_DISK_FRACTION: u64 = 64;
/// Below this files would be many; a chunk that is larger gets a segment of its own.
pub const SEGMENT_TARGET_MIN_BYTES: u64 = 1024 * 1024;

/// An append is synced at the latest after this time, whether somebody waits or not.
pub const SYNC_INTERVAL: Duration = Duration::from_millis(20);

/// How long the sync thread sleeps when what is waited for is still being written.
pub const SYNC_RETRY: Duration = Duration::from_millis(1);

/// A piece of a large put: copied, hashed and checksummed by one thread. Whole leaves; small enough
/// that both cores of a small machine share one chunk.
pub const PIECE_BYTES: usize = 1024 * 1024;
/// Puts up to this size are hashed on the reactor's thread (40 us); larger ones go to the pool.
pub const INLINE_PUT_MAX_BYTES: usize = 64 * 1024;
/// Bytes of large puts and reads in flight; further ones wait.
pub const IN_FLIGHT_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Of these, what one member that is no node may have: four puts of the largest chunk, so that four such members leave
/// nobody waiting for ever.
pub const IN_FLIGHT_MEMBER_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Members that may connect: their names and keys take about 10 MiB.
pub const ADMITTED_MAX: usize = 65_536;
/// Threads that encrypt for other machines: at about 1 GB/s each they fill 10 Gbit/s in both directions.
pub const LAN_THREADS_MAX: usize = 4;
/// Other nodes that may be named: as many as can keep one index, several times over.
pub const PEERS_MAX: usize = 64;
/// Addresses of one of them: so many are tried to reach it.
pub const PEER_ADDRESSES_MAX: usize = ADDRESSES_TRIED_MAX;
/// Threads that encrypt what goes to other nodes and comes from them: one for each direction.
pub const RELAY_THREADS_MAX: usize = 2;
/// Questions to one other node at a time, each on a connection of its own: while one chunk is encrypted, another is on the
/// wire and a third is stored. Reads ..
pub const PEER_READS_MAX: usize = 4;
/// .. puts ..
pub const PEER_PUTS_MAX: usize = 4;
/// .. and flushes, of which those behind wait for what those before have synced anyway.
pub const PEER_FLUSHES_MAX: usize = 4;
/// Bytes of puts on their way to the leader: twice what is sent at a time, so that the next are there when one ends.
pub const RELAY_PUT_MAX_BYTES: usize = 32 * 1024 * 1024;
/// Bytes that are fetched of other nodes at a time.
pub const RELAY_FETCH_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of a chunk that are fetched at once by who reads on: 16 leaves, as front-ends fetch from afar.
pub const RELAY_FETCH_BYTES: u32 = 1024 * 1024;
/// Bytes of other nodes' chunks that are kept, unless `cache.size_bytes` says otherwise: as much as one mount keeps.
pub const RELAY_CACHE_BYTES: usize = 24 * 1024 * 1024;
/// What a kept range takes beside its bytes.
pub const RELAY_PART_BYTES: usize = 256;
/// A put that the leader has not answered by then is put again; less than the deadline of who asks.
pub const RELAY_PUT_DEADLINE: Duration = Duration::from_secs(20);
/// A flush is asked for so long, of one leader after the other: a little less than who asks waits.
pub const RELAY_FLUSH_DEADLINE: Duration = Duration::from_secs(50);
/// One node has so long to give a range: enough for four at a time over 10 Mbit/s.
pub const RELAY_READ_ATTEMPT: Duration = Duration::from_secs(5);
/// Nodes that do not answer, or are not known yet, are waited for so long by who reads: a restart takes moments, a new
/// leader a few seconds.
pub const RELAY_READ_DEADLINE: Duration = Duration::from_secs(20);
/// Between two attempts to reach nodes that do not answer.
pub const RELAY_PAUSE: Duration = Duration::from_millis(100);
/// A node that did not answer is asked last for so long.
pub const PEER_SILENT_FOR: Duration = Duration::from_secs(5);
/// Jobs that wait for a thread of the pool.
pub const POOL_QUEUE_MAX: usize = 1024;
/// More threads than this gain nothing: the disk is the limit.
pub const POOL_THREADS_MAX: usize = 8;

/// A shared area of a connection.
pub const AREA_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Connections that may have an area: address space, not memory, is what they cost.
pub const AREAS_MAX: usize = 256;

/// Ids in one question to locate; answered on the reactor at about 1 us each.
pub const LOCATE_MAX_IDS: usize = 1024;
/// Ids in one inventory answer or request to free.
pub const RECLAIM_MAX_IDS: usize = 4096;
/// Held segments in one question which are retired.
pub const RETIRED_MAX_IDS: usize = 65_536;
/// A flush that is not done by then failed: the disk hangs.
pub const FLUSH_DEADLINE: Duration = Duration::from_secs(60);

/// Catalog slots at the start; 16 bytes each.
pub const CATALOG_SLOTS_MIN: usize = 1024;
/// A catalog file that claims more chunks than this is damaged (64 GiB of memory).
pub const CATALOG_CHUNKS_MAX: u64 = 1 << 32;

/// How often compaction and checkpoint look whether there is work.
pub const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(1);
/// A checkpoint is written when so much was appended since the last: it bounds the scan at a start.
pub const CHECKPOINT_APPENDED_BYTES: u64 = 4 << 30;
/// A closed segment is compacted below this share of live bytes, in percent ..
pub const COMPACT_LIVE_PERCENT: u64 = 50;
/// .. and below this one as long as the disk has less than twice the reserve free.
pub const COMPACT_LIVE_PERCENT_TIGHT: u64 = 90;
/// Short segments are left by restarts; so many are gathered into one.
pub const COMPACT_SHORT_SEGMENTS: usize = 16;
/// A segment below this share of the target is short.
pub const SHORT_SEGMENT_FRACTION: u64 = 8;
/// Compaction copies at most so many bytes a second while the disk is not tight, to leave it to others.
pub const COMPACT_BYTES_PER_SECOND: u64 = 64 * 1024 * 1024;

/// How long one call may compact when somebody waits for room: a few segments, and a word on how it went.
pub const COMPACT_NOW: Duration = Duration::from_secs(1);

/// How often it is looked at most whether all segment files are there, for a status or the numbers: a listing of the
/// directory.
pub const LISTING_INTERVAL: Duration = Duration::from_secs(5);

/// Reasons listed in a status; further ones are only counted.
pub const REASONS_MAX: usize = 16;

/// Descriptors asked of the system: one for each segment and connection.
pub const DESCRIPTORS_WANTED: u64 = 1 << 20;

/// Scrubbing reads about so much before it looks whether it is to stop or to pause.
pub const SCRUB_STEP_BYTES: u64 = 4 * 1024 * 1024;
/// How often the scrubbing thread looks whether there is something to do.
pub const SCRUB_LOOK: Duration = Duration::from_millis(500);
/// How much scrubbing a crash may make undone.
pub const SCRUB_SAVE_INTERVAL: Duration = Duration::from_secs(60);
/// A pass that a tool asked for ends when the tool has not asked about it for so long.
pub const SCRUB_RUN_FORSAKEN: Duration = Duration::from_secs(30);
/// Damaged chunks that the scrub file names; further ones are found again.
pub const SCRUB_FILE_CHUNKS_MAX: usize = 65_536;
/// A longer scrub file is damaged.
pub const SCRUB_FILE_MAX_BYTES: u64 = 256 * 1024 * 1024;
/// Damaged chunks in one answer.
pub const DAMAGED_MAX: usize = 1024;
