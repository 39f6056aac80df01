//! What a volume counts: for `status`, metrics, and tests that promise a number of round trips.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// First line of the text in which a front-end tells its counters; lines of a name and a number follow.
pub const COUNTERS_FORMAT: &str = "wolfdisk-counters 1";

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// One number that only grows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Counter { $($(#[$doc])* $name,)* }

        const NAMES: &[&str] = &[$($text,)*];
    };
}

counters! {
    OpenSession => "meta_open_session",
    Feed => "meta_feed",
    Lookup => "meta_lookup",
    GetAttr => "meta_get_attr",
    Open => "meta_open",
    Map => "meta_map",
    ReadDir => "meta_read_dir",
    ListXattr => "meta_list_xattr",
    GetXattr => "meta_get_xattr",
    StatFs => "meta_stat_fs",
    GetLock => "meta_get_lock",
    Mutate => "meta_mutate",
    Sync => "meta_sync",
    LookupObject => "meta_lookup_object",
    ListKeys => "meta_list_keys",
    MakeRoom => "meta_make_room",
    Put => "chunk_put",
    Flush => "chunk_flush",
    Locate => "chunk_locate",
    Segment => "chunk_segment",
    ChunkRead => "chunk_read",
    NameHits => "name_hits",
    AttrHits => "attr_hits",
    OpenHits => "open_hits",
    /// A chunk range that a reader needed was kept, or on its way already.
    RangeHits => "range_hits",
    /// It had to be fetched while the reader waited.
    RangeMisses => "range_misses",
    BytesRead => "bytes_read",
    BytesWritten => "bytes_written",
    BytesCommittedInLog => "bytes_committed_in_log",
    BytesPut => "bytes_put",
    Invalidations => "invalidations",
    LeaseLapses => "lease_lapses",
    SessionsLost => "sessions_lost",
    DamagedBlocks => "damaged_blocks",
    WriteErrors => "write_errors",
}

/// All counters of a volume.
#[derive(Debug)]
pub(crate) struct Counters {
    values: Vec<AtomicU64>,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            values: NAMES.iter().map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Counters {
    /// Counts one.
    pub(crate) fn count(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// Counts `amount`.
    pub(crate) fn add(&self, counter: Counter, amount: u64) {
        if let Some(value) = self.values.get(counter as usize) {
            value.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// The values now, by name.
    pub(crate) fn snapshot(&self) -> BTreeMap<&'static str, u64> {
        let values = self
            .values
            .iter()
            .map(|value| value.load(Ordering::Relaxed));
        NAMES.iter().copied().zip(values).collect()
    }
}
