//! The index of a WolfDisk volume: a versioned state machine over a log, and the daemon that serves it.

pub mod budget;
pub mod check;
pub mod cli;
pub mod consensus;
pub mod export;
pub mod import;
pub mod index;
pub mod limits;
pub mod log;
pub mod machine;
pub mod manifest;
pub mod run;
pub mod service;
pub mod storage;
pub mod tasks;
