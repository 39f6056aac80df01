//! The chunk store daemon: immutable chunks named by content, in append-only segment files.
//!
//! * [`store`] keeps chunks on a disk: segments, catalog, epochs, recovery, compaction.
//! * [`service`] answers the protocol: it verifies what is asked and never blocks on hashing.
//! * [`tasks`] are the threads beside the reactor: sync, compaction, checkpoint.
//! * [`digest`], [`pool`] and [`area`] take bytes in: checksums, the threads that compute them, and the
//!   shared memory that large puts come through.
//! * [`lan`] listens for other machines.
//! * [`relay`] asks the other nodes: what another leader stores, and what is not here.
//! * [`cli`] and [`run`] put the parts together.

#![deny(unsafe_code)]

pub mod area;
pub mod cli;
pub mod digest;
pub mod lan;
pub mod limits;
pub mod pool;
pub mod relay;
pub mod run;
pub mod service;
pub mod store;
pub mod tasks;
