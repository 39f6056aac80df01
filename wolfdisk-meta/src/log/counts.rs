//! What a log counts since it was opened.

use std::sync::atomic::AtomicU64;

use wolfdisk_common::timings::Timings;

/// See the module. How many entries a sync makes durable is how many were written for one.
#[derive(Debug, Default)]
pub struct LogCounts {
    /// Entries written.
    pub entries: AtomicU64,
    /// Bytes of them, with their headers.
    pub bytes: AtomicU64,
    /// How long syncs took.
    pub syncs: Timings,
}
