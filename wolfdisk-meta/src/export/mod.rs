//! A copy of the index in one file, from which it can be made again: state and log as they are at one version.
//!
//! * [`format`]: bytes of the file; [`writer`] makes it, [`reader`] believes none of it unseen; [`whole`]: whether it is all of
//!   an index.
//! * [`job`]: one export as a tool takes it, part by part.
//! * [`run`]: the thread that makes it from a checkpoint, while the daemon goes on.
//!
//! Content that rides in the log and is in no chunk yet is in the file, content of chunks is not. What is made of a
//! file is [`crate::import`]'s.

pub mod format;
pub mod job;
pub mod reader;
pub mod run;
pub mod whole;
pub mod writer;
