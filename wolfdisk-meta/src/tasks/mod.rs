//! What happens beside the calls: checkpoints, destaging, giving room back, expiry, deleting in steps.
//!
//! What blocks has a thread of its own and takes the core's lock only for short sections; what does not
//! runs on the reactor.

pub mod checkpoint;
pub mod chunkd;
pub mod destage;
pub mod expire;
pub mod pack;
pub mod put;
pub mod reap;
pub mod reclaim;
pub mod repack;
pub mod stop;
pub mod sweep;
pub mod threads;
pub mod watch;
