//! What machines can make each other hold or wait for, each with its reason. Limits of frames are in wolfdisk-common.

use std::time::Duration;

/// Longest handshake message: names and releases are short.
pub const HANDSHAKE_MAX_BYTES: usize = 1024;
/// A handshake is three messages; a peer that takes longer is not there or means no good.
pub const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// Handshakes under way at a time: each holds a few kilobytes and a timer. A further one takes the place of the oldest.
pub const HALF_OPEN_MAX: usize = 128;
/// The same of one address: one machine does not keep all others out.
pub const HALF_OPEN_PER_ADDRESS_MAX: usize = 32;
/// Connections of one static key: as many calls of a front-end can be in flight, several times over.
pub const CONNECTIONS_PER_KEY_MAX: usize = 256;
/// How long a request may take to arrive once it has begun, and an answer to be taken.
pub const TRANSFER_DEADLINE: Duration = Duration::from_secs(60);
/// Silence after which the kernel asks whether the other side is still there ..
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// .. how often, and ..
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// .. how many times: a peer that vanished is noticed after 25 s.
pub const KEEPALIVE_RETRIES: u32 = 3;
/// Bytes that are not acknowledged for so long end a connection: a cable may be pulled and put back, and whoever waits may ask
/// another node within its call.
pub const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(20);
/// While nothing comes, a call looks so often whether both ends of its connection are still where they were: quick for
/// people, and a session that waits costs a machine next to nothing.
pub const LOOK_AROUND_INTERVAL: Duration = Duration::from_millis(500);
/// Content of a packet of a connection that is to go through any network: each carries packets of 576 bytes.
pub const SMALL_SEGMENT_BYTES: u32 = 512;
/// How long a connection to an address may take: longer than a lost packet, short enough to try the next.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(3);
/// Addresses of one node that are tried to reach it.
pub const ADDRESSES_TRIED_MAX: usize = 16;
/// So much later than the one before is the next address tried, if that has not answered: a node in the same network
/// answers within a few milliseconds.
pub const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(100);
/// Idle connections that a pool keeps.
pub const IDLE_MAX: usize = 32;
/// Records that are sealed and written at a time: with a quarter of a MiB a system call costs next to nothing, and one side
/// opens while the other seals.
pub const RECORDS_PER_WRITE: usize = 4;
/// Largest Noise message, and what it carries beside its tag.
pub const RECORD_MAX_BYTES: usize = 65_535;
/// See [`RECORD_MAX_BYTES`].
pub const RECORD_MAX_PLAIN_BYTES: usize = RECORD_MAX_BYTES - TAG_BYTES;
/// What encryption adds to a record.
pub const TAG_BYTES: usize = 16;
