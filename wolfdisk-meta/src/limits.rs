//! Every limit of this daemon, with its reason. Limits that two crates share are in
//! [`wolfdisk_common::limits`].

/// A log segment. Large enough that rolling is rare, small enough that zeroing one ahead is quick.
pub const SEGMENT_SIZE_BYTES: u64 = 32 * 1024 * 1024;

/// A log segment on a small disk, where a whole one is more than its share of the reserve.
pub const SEGMENT_SIZE_MIN_BYTES: u64 = 1024 * 1024;

/// Longest payload of one log record: a mutation with several ranges of data, and room to grow.
pub const RECORD_PAYLOAD_MAX_BYTES: usize = 8 * 1024 * 1024;

/// How long something may stand written but not synced: bounds what a power cut takes, and is short
/// enough that a follower never keeps the leader waiting.
pub const SYNC_INTERVAL_MS: u64 = 20;

/// How often a start says how far it has recovered the log.
pub const RECOVERY_TELL_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);

/// A checkpoint is written when the overlay holds so much: it bounds the daemon's memory.
pub const CHECKPOINT_OVERLAY_BYTES: u64 = 64 * 1024 * 1024;
/// A checkpoint is written when the log has grown by so much since the last: it bounds how long a
/// start takes.
pub const CHECKPOINT_LOG_BYTES: u64 = 200_000_000;

/// A new checkpoint file is written by commits of so many bytes, which bounds what one keeps in memory.
pub const CHECKPOINT_COPY_PART_BYTES: usize = 8 * 1024 * 1024;
/// What an empty checkpoint file takes on disk, and what its allocator takes of a larger one.
pub const CHECKPOINT_EMPTY_BYTES: u64 = 2 * 1024 * 1024;
/// A checkpoint's file is copied to give back what is dead in it when it takes so many percent of what the
/// copy may take at the most ..
pub const CHECKPOINT_COPY_PERCENT: u64 = 200;
/// .. and when the disk is short, or the index takes more of it than the reserve allows for, so many ..
pub const CHECKPOINT_COPY_PERCENT_SHORT: u64 = 130;
/// .. and at the most so often: each copy reads and writes the whole index.
pub const CHECKPOINT_COPY_INTERVAL: std::time::Duration = std::time::Duration::from_secs(3);
/// Pages of the checkpoint kept in memory. A page that is not costs a system call and a copy: with this much, 55,000
/// random names a second were looked up among a million, with 16 MiB 48,000, with 256 MiB 63,000, beside an empty
/// index's 102,000.
pub const CHECKPOINT_CACHE_BYTES: usize = 128 * 1024 * 1024;

/// Directories that are looked at on the ways up from an inode that a member of another machine names: about 0.1 s. One
/// that has more names, or is deeper, is not found to be the member's.
pub const WALK_STEPS_MAX: usize = 32 * 1024;

/// Inodes on which one session may hold rights: 64 Ki entries take about 6 MiB.
pub const RIGHTS_PER_SESSION: usize = 64 * 1024;
/// Inodes that one session may hold rights on or have open; beyond it the oldest marks go.
pub const MARKS_PER_SESSION: usize = 128 * 1024;
/// Entries that are looked at at once for one whose rights can be revoked: a grant costs no more, however many there
/// are. A session whose entries are all in use pays for it at every grant: 64 steps were a sixth of the daemon's time.
pub const CLOCK_STEPS: usize = 8;
/// Notices that wait for one session; beyond it the session drops everything instead.
pub const FEED_QUEUE_MAX: usize = 16 * 1024;
/// A notice that was sent so long ago and is not confirmed is sent again: its reply may be lost. Twice
/// within a lease.
pub const FEED_RESEND: std::time::Duration = std::time::Duration::from_millis(700);
/// Longest a feed call is held open.
pub const FEED_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(5);
/// A right that is taken within this time of its grant counts as an exchange.
pub const DAMPING_SHORT: std::time::Duration = std::time::Duration::from_millis(500);
/// So many exchanges make an inode go uncached (the content of a file never does). A build or an editor's save makes fewer.
pub const DAMPING_HITS: u32 = 16;
/// How long it stays uncached: short enough that nobody notices when the contest is over.
pub const DAMPING_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
/// Exchanges further apart than this are no contest.
pub const DAMPING_FORGET: std::time::Duration = std::time::Duration::from_secs(2);
/// Contested inodes remembered at one time.
pub const DAMPING_RECORDS_MAX: usize = 4096;
/// Lock requests that wait at one time, over all sessions.
pub const LOCK_WAITERS_MAX: usize = 4096;
/// Longest a lock request waits in the daemon; front-ends ask again.
pub const LOCK_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(30);
/// Sessions open at one time.
pub const SESSIONS_MAX: usize = 4096;
/// Addresses of a token, and those that a machine is said to have: more than most have, and a token stays short enough to
/// be copied.
pub const ADDRESSES_MAX: usize = 16;
/// Bytes that fill the answer to a question for the status from another machine: as many as the largest usual packets
/// have (jumbo frames), so that it shows whether those arrive.
pub const STATUS_FILLER_BYTES: usize = 9216;
/// Members of a cluster, those that were removed included: a join looks at all of them. Of removed ones that held no key
/// of the cluster the first are forgotten beyond it.
pub const MEMBERS_MAX: usize = 1024;
/// Tokens at one time: more than anybody hands out at once.
pub const TOKENS_MAX: usize = 256;
/// A token that was used or has expired is known for so long after its end, so that its user is told what became of it.
pub const TOKEN_KEPT_S: u64 = 3600;
/// How long a token can be used unless something else is said.
pub const TOKEN_TTL_S: u64 = 3600;
/// The longest that may be said: whoever finds one that lies about later can do nothing with it.
pub const TOKEN_TTL_MAX_S: u64 = 30 * 24 * 3600;
/// Mutations that are queued for the log at one time; more are told to come back.
pub const MUTATIONS_QUEUED_MAX: usize = 4096;
/// Inodes that the index keeps decoded: each has one place, which it shares with every 64th.
pub const RECENT_INODES: usize = 64;
/// Records of a kind that a mutation keeps decoded: most write one or two, a few write thousands.
pub const WRITTEN_MAX: usize = 16;
/// Mutations of one batch: bounds how long a reader waits for the reactor.
pub const BATCH_MAX: usize = 256;
/// Payload bytes of one batch, for the same reason.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Rights revoked for one that is granted, at the most: keeps the grant quick and still makes room.
pub const REVOKED_AT_ONCE: usize = 4;

/// Extents deleted within the mutation that deletes or truncates a file: about 2 ms of work. What is
/// left goes in steps.
pub const REAP_INLINE_EXTENTS: usize = 1024;
/// Extents shared by one copy mutation, for the same reason; the caller asks again for the rest.
pub const COPY_EXTENTS_MAX: usize = 1024;
/// Names and values of all extended attributes of one inode.
pub const XATTR_TOTAL_MAX_BYTES: u64 = 1024 * 1024;
/// Locked ranges on one inode: each lock call looks at all of them.
pub const LOCKS_PER_INODE_MAX: usize = 4096;
/// How old the word on the room of the disk may be when a mutation grows something: no disk takes more
/// than a part of the reserve in this time.
pub const SPACE_LOOK: std::time::Duration = std::time::Duration::from_millis(10);
/// Inodes shown in all by `df -i`. Numbers are never reused and never run out, so any figure is made up;
/// this one fits programs that count in 32 bits.
pub const INODES_SHOWN_FREE: u64 = 4_000_000_000;
/// File content in one mutation: several ranges that ride in the log, or one appended write.
pub const MUTATION_DATA_MAX_BYTES: usize = 1024 * 1024;
/// Ranges in one write: a full window of a front-end's buffer in the smallest chunks.
pub const WRITE_PIECES_MAX: usize = 4096;
/// Directories that one listing of keys enters, and what it passes over because it is no key; then its answer ends:
/// about 10 ms of work.
pub const LIST_STEPS_MAX: usize = 8192;
/// Bytes of one answer that lists keys: far below what a frame takes.
pub const LIST_BYTES_MAX: usize = 1024 * 1024;
/// Names that a listing of keys reads of a directory at once: few enough that a directory of which little is
/// needed costs little.
pub const LIST_NAMES_AT_ONCE: usize = 64;
/// Holders named for one chunk.
pub const RECEIPTS_MAX: usize = 16;

/// A checkpoint is written at the latest so long after the last, if anything changed.
pub const CHECKPOINT_INTERVAL: std::time::Duration = std::time::Duration::from_secs(300);
/// Destaging begins when so much is in the log: a few chunks, so that they get full.
pub const DESTAGE_BYTES: u64 = 16 * 1024 * 1024;
/// Destaging begins when something has been in the log for so long.
pub const DESTAGE_AGE: std::time::Duration = std::time::Duration::from_secs(5);
/// Chunks of one pass of destaging: bounds its memory and its mutation.
pub const DESTAGE_CHUNKS: usize = 2;
/// Ranges of one pass: bounds how long its mutation takes to apply.
pub const DESTAGE_RANGES: usize = 1024;
/// Between two sweeps when there is garbage.
pub const SWEEP_INTERVAL: std::time::Duration = std::time::Duration::from_secs(30);
/// Between two sweeps, and two checkpoints, when the disk is short or much garbage waits.
pub const SWEEP_INTERVAL_FULL: std::time::Duration = std::time::Duration::from_secs(3);
/// Between two sweeps while a writer waits for room: each takes two syncs.
pub const SWEEP_INTERVAL_ASKED: std::time::Duration = std::time::Duration::from_secs(1);
/// So many unreferenced chunks are swept without waiting; on a disk of less than 64 GiB, so many as take a
/// 64th of it.
pub const SWEEP_GARBAGE: u64 = 256;
/// Between two comparisons of the whole inventory.
pub const INVENTORY_INTERVAL: std::time::Duration = std::time::Duration::from_secs(24 * 3600);
/// A sweep leaves alone what was put within this time: most of it is on its way into the index, and a
/// front-end commits what it has put within a second or two.
pub const UNNAMED_FOR: std::time::Duration = std::time::Duration::from_secs(5);
/// A chunk that the index does not know is left alone for so long, unless its writer has given it up: longer
/// than any writer waits, for room or for a daemon, before it names the chunk.
pub const UNKNOWN_FOR: std::time::Duration = std::time::Duration::from_secs(90);
/// Chunks remembered that writers have given up; further ones are found like those of dead writers.
pub const ABANDONED_MAX: usize = 16_384;
/// Front-ends let go of segments that were given back within this time; until then their room is not free.
pub const MAPPED_MAX: std::time::Duration = std::time::Duration::from_secs(3);
/// Longest a writer waits on a full disk while room is being made: a few sweeps, what stays mapped,
/// compaction, and a new file for the index, on a slow disk.
pub const ROOM_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(30);
/// When a round of reclaiming found nothing at all, writers are refused at once for so long.
pub const HOPELESS_FOR: std::time::Duration = std::time::Duration::from_millis(500);
/// Between two looks for chunks to pack anew: the marks are read, 1 us each.
pub const REPACK_INTERVAL: std::time::Duration = std::time::Duration::from_secs(30);
/// The same when the disk is short.
pub const REPACK_INTERVAL_TIGHT: std::time::Duration = std::time::Duration::from_secs(1);
/// While there is room, packing anew begins with so many dead bytes: fewer are not worth a look over all
/// extents.
pub const REPACK_WORTH_BYTES: u64 = 64 * 1024 * 1024;
/// Live bytes that one plan moves: they are twice on disk until what was emptied is given back.
pub const REPACK_PLAN_BYTES: u64 = 256 * 1024 * 1024;
/// Chunks looked at for one plan: 100 bytes of memory each.
pub const REPACK_CHUNKS_MAX: usize = 65_536;
/// Marks or extents looked at under one lock: about 1 ms.
pub const REPACK_LOOK: usize = 1024;
/// Such looks in one step.
pub const REPACK_LOOKS: usize = 16;
/// So many bytes a second are packed anew while the disk is not short ..
pub const REPACK_BYTES_PER_SECOND: u64 = 16 * 1024 * 1024;
/// .. and between two steps that only looked there is this pause, so that looking takes a fifth of the
/// index's time at the most.
pub const REPACK_PAUSE: std::time::Duration = std::time::Duration::from_millis(80);
/// How long one round of reclaiming packs anew before what was emptied is swept.
pub const REPACK_ROUND: std::time::Duration = std::time::Duration::from_secs(1);
/// Chunks freed by one call.
pub const FREE_AT_ONCE: usize = 1024;
/// Extents deleted by one step.
pub const REAP_STEP_EXTENTS: u32 = 1024;
/// How long a stop waits for answers under way.
pub const DRAIN_MAX: std::time::Duration = std::time::Duration::from_secs(2);

/// Repairs of one check; further ones are found by the next. Each takes about 200 bytes of memory.
pub const REPAIRS_MAX: usize = 100_000;
/// Findings that a check keeps; further ones are counted.
pub const FINDINGS_MAX: usize = 10_000;
/// Findings in one answer.
pub const FINDINGS_AT_ONCE: usize = 256;
/// A check that nobody asked about for so long ends.
pub const CHECK_FORSAKEN: std::time::Duration = std::time::Duration::from_secs(30);
/// After so many records a check says how far it is, and looks whether it is to end.
pub const CHECK_STEP_RECORDS: u64 = 1024;
/// How long a check waits for the checkpoint that it reads.
pub const CHECK_CHECKPOINT_MAX: std::time::Duration = std::time::Duration::from_secs(300);
/// Bytes of one part of an export: far below what a frame takes.
pub const EXPORT_PART_BYTES: usize = 1024 * 1024;
/// Parts of an export that wait to be taken.
pub const EXPORT_PARTS_MAX: usize = 4;
/// How long a call waits for the next part; then it is asked again.
pub const EXPORT_WAIT: std::time::Duration = std::time::Duration::from_secs(5);
/// An export of which nobody takes parts for so long ends: until then it keeps the log and pages of the checkpoint.
pub const EXPORT_FORSAKEN: std::time::Duration = std::time::Duration::from_secs(30);
/// So much greater than in the export the numbers are with which an imported index goes on, so that none comes again
/// that the lost one gave since: its version; more mutations than are made in years ..
pub const IMPORT_VERSIONS: u64 = 1 << 40;
/// .. the next inode, of 2^48; more files than are made in months ..
pub const IMPORT_INODES: u64 = 1 << 36;
/// .. the next session ..
pub const IMPORT_SESSIONS: u64 = 1 << 32;
/// .. the next member, whose number people read ..
pub const IMPORT_MEMBERS: u64 = 1 << 16;
/// .. and the incarnation.
pub const IMPORT_INCARNATIONS: u64 = 1 << 16;
/// Damaged chunks asked for in one call.
pub const DAMAGED_AT_ONCE: u32 = 1024;
/// Chunks compared with the index in one call: the store reads a header for each, at worst from a cold disk.
pub const INVENTORY_AT_ONCE: u32 = 256;
/// How long a token waits for the network of a daemon that just started: a write to the log and its sync, on a slow disk.
pub const SETTLED_MAX: std::time::Duration = std::time::Duration::from_secs(5);
/// Files that the status names when they cannot be read whole.
pub const DAMAGED_FILES_SHOWN: usize = 8;
/// Payloads of log entries that are sent to another node in one message; a longer one goes alone.
pub const REPLICATED_AT_ONCE_BYTES: usize = 1024 * 1024;
/// Log entries kept in memory until they are applied; older ones are read back.
pub const RECENT_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Log entries that are sent to another node in one message.
pub const REPLICATED_ENTRIES_MAX: usize = 1024;
/// Bytes of one part of a snapshot that is sent to another node: far below what a frame takes.
pub const SNAPSHOT_PART_BYTES: usize = 1024 * 1024;
/// A snapshot of which nobody asks for a part for so long is sent no more: until then it keeps the log behind it, and pages of
/// the checkpoint. Longer than a node that is restarted is away.
pub const SNAPSHOT_FORSAKEN: std::time::Duration = std::time::Duration::from_secs(60);
/// The same, however busily it is sent: whoever cannot take it in this time begins with a newer one.
pub const SNAPSHOT_HELD_MAX: std::time::Duration = std::time::Duration::from_secs(3600);
/// How long a node may take to verify a snapshot that it has all parts of, and to put it in the place of its index.
pub const SNAPSHOT_INSTALL_MAX: std::time::Duration = std::time::Duration::from_secs(300);
/// Sets of voters of which a decision takes a majority each: two while they change.
pub const VOTER_SETS_MAX: usize = 2;
