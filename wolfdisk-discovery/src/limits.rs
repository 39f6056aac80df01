//! Every limit of discovery, with its reason.

use std::time::Duration;

/// Longest beacon, and the length of every question: names are short, it fits any MTU, and no answer is larger than
/// what was asked.
pub const BEACON_MAX_BYTES: usize = 256;
/// Between two announcements on each interface: a machine that listens has found a node after so long.
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(1);
/// Between two questions of who has found nobody yet.
pub const SEEK_INTERVAL: Duration = Duration::from_millis(500);
/// Between two questions of who has: it would notice a node that only answers.
pub const ASK_INTERVAL: Duration = Duration::from_secs(10);
/// An answer that comes later than this proves nothing.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// Questions whose answers are waited for.
pub const QUESTIONS_MAX: usize = 32;
/// Between two looks at the machine's interfaces.
pub const INTERFACES_INTERVAL: Duration = Duration::from_secs(1);
/// Interfaces that are listened to: four sockets each.
pub const INTERFACES_MAX: usize = 64;
/// Silence after which a node is not counted on: several lost announcements.
pub const SILENT_AFTER: Duration = Duration::from_secs(10);
/// Silence at one address, of a node that is heard at another, after which it has left the one: two announcements.
pub const LEFT_AFTER: Duration = Duration::from_millis(2500);
/// Silence after which it is forgotten.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);
/// Nodes of the own cluster, each in each of its lives, that are remembered; the one silent longest makes room.
pub const NODES_MAX: usize = 256;
/// Nodes of other clusters that are remembered.
pub const STRANGERS_MAX: usize = 64;
/// Addresses of one node.
pub const ADDRESSES_MAX: usize = 8;
/// Datagrams of one address in a second ..
pub const SOURCE_RATE: u32 = 50;
/// .. and of all: checking so many takes no noticeable time.
pub const TOTAL_RATE: u32 = 2000;
/// Addresses whose rate is watched one by one; the others share one rate.
pub const SOURCES_MAX: usize = 1024;
/// Datagrams read between two looks at everything else.
pub const READ_AT_ONCE: usize = 64;
/// Pause of the reader when [`TOTAL_RATE`] is exceeded: the kernel drops what it has no room for.
pub const FLOOD_PAUSE: Duration = Duration::from_millis(20);
/// A clock that differs by more than this is named: times of files would be wrong to users.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);
/// Nodes in `nodes.seen`: enough to find one of them after years.
pub const SEEN_MAX: usize = 64;
/// Longest `nodes.seen`.
pub const SEEN_MAX_BYTES: usize = 16 * 1024;
/// How long an address that failed is tried after all others.
pub const FAILED_FOR: Duration = Duration::from_secs(10);
/// How long the addresses of a name are taken to be the same.
pub const RESOLVED_FOR: Duration = Duration::from_secs(10);
/// How long who has just begun to listen waits for an answer before it tries what it knows otherwise: a network answers
/// in a few milliseconds.
pub const HEARD_WITHIN: Duration = Duration::from_millis(250);
/// The same of who knows nothing else: two announcements come in this time.
pub const FOUND_WITHIN: Duration = Duration::from_secs(3);
/// How long one that is named has to answer a machine that has nothing yet: a handshake over a slow link, several times.
pub const PEER_ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// How long a machine that has nothing yet listens before it founds a cluster: its question is answered in a few
/// milliseconds, and an announcement comes in this time too.
pub const ANYBODY_WITHIN: Duration = Duration::from_millis(1500);
