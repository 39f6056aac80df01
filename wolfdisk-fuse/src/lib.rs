//! The FUSE front-end: a WolfDisk volume as a directory of this machine.
//!
//! [`run`] is the life of the process, [`mount`] the mount, [`adapter`] the translation of the
//! kernel's requests to calls of the volume. Everything with state of its own has a file: access times,
//! lock waiters, the gate that keeps overtaken answers out of the kernel's cache; and how the mount outlives
//! the process ([`succession`], [`gate`]).

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod access_time;
pub mod adapter;
pub mod arguments;
pub mod attributes;
pub mod caller;
pub mod calls;
pub mod capabilities;
pub mod errno;
pub mod error;
pub mod freshness;
pub mod gate;
pub mod limits;
pub mod locks;
pub mod metrics;
pub mod mount;
pub mod mountpoint;
pub mod notify;
mod numbers;
pub mod options;
pub mod outcome;
pub mod patience;
pub mod readahead;
pub mod run;
pub mod signs;
pub mod subdir;
pub mod succession;
pub mod telling;
pub mod time;
