//! What nodes that keep the index together tell each other: Raft's messages as calls of the Meta service, over encrypted
//! connections.
//!
//! - [`answering`]: the calls of others.
//! - [`asking`]: Raft's network.
//! - [`convert`]: between the messages and what Raft has for them. Everything from outside is judged there, once.
//!
//! Each message names its sender and its receiver, and is refused unless both are who they are: addresses are hints, and
//! a vote that another than was asked has given must not count.

pub mod answering;
pub mod asking;
mod convert;
#[cfg(test)]
pub(in crate::consensus::raft) mod tests;

pub use answering::{Answers, RaftPeer, SnapshotSink, Taken, sender};
pub use asking::{Addresses, Network, Sendable};
