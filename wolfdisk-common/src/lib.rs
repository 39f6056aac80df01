//! What two or more WolfDisk crates need, and nothing that only one does.
//!
//! Everything here is small and free of policy: identifiers that cannot be mixed up, the limits that
//! all daemons agree on, the content hash, file names that have been checked, and the plumbing that
//! every daemon starts and stops with.

pub mod access;
pub mod access_key;
pub mod bucket;
pub mod bucket_map;
pub mod cli;
pub mod cluster_key;
pub mod config;
pub mod credentials;
pub mod disk;
pub mod exit;
pub mod hash;
pub mod identity;
pub mod ids;
pub mod join_token;
mod journal;
pub mod kept;
pub mod limits;
pub mod lock;
pub mod member;
pub mod memory;
pub mod mounts;
pub mod name;
pub mod node_id;
pub mod notify;
pub mod object_key;
pub mod paths;
pub mod pulse;
pub mod release;
pub mod reload;
pub mod segment;
pub mod shutdown;
pub mod socket;
pub mod telemetry;
pub mod ticket;
pub mod time;
pub mod timings;
