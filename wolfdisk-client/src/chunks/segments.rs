//! The segments that are mapped, and when they are let go.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;
use wolfdisk_common::ids::SegmentId;
use wolfdisk_common::segment::{FileHeader, SEGMENT_MAX_BYTES};

use super::mapping::Mapping;
use crate::error::{Error, Result};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    mapped: RwLock<HashMap<SegmentId, Arc<Mapping>>>,
    /// Bytes that were read since all mappings were let go.
    read: AtomicUsize,
}

impl Segments {
    /// So much was read of mappings. After `max` bytes the kernel is told that none are in use any more: whoever
    /// still reads touches them again.
    pub(crate) fn has_read(&self, length: usize, max: usize) {
        let before = self.read.fetch_add(length, Ordering::Relaxed);
        if before.saturating_add(length) < max || before >= max {
            return;
        }
        // One of those who read meanwhile gets here.
        self.read.store(0, Ordering::Relaxed);
        let mapped: Vec<_> = self.mapped.read().values().cloned().collect();
        mapped.iter().for_each(|mapping| mapping.let_go());
    }

    /// A mapped segment. Its bytes stay as they are while the result is held, even when the store has
    /// replaced the segment.
    pub(crate) fn get(&self, segment: SegmentId) -> Option<Arc<Mapping>> {
        self.mapped.read().get(&segment).cloned()
    }

    /// Maps a descriptor that chunkd handed over.
    pub(crate) fn map(&self, segment: SegmentId, file: &File) -> Result<Arc<Mapping>> {
        let mapping = Mapping::new(file, SEGMENT_MAX_BYTES as usize)?;
        let header = FileHeader::parse(mapping.bytes())
            .map_err(|_| Error::Malformed("a descriptor of no segment"))?;
        if header.segment != segment || mapping.is_damaged() {
            return Err(Error::Malformed("a descriptor of another segment"));
        }
        let mapping = Arc::new(mapping);
        Ok(self
            .mapped
            .write()
            .entry(segment)
            .or_insert(mapping)
            .clone())
    }

    /// Lets a segment go; readers that hold it keep its bytes.
    pub(crate) fn unmap(&self, segment: SegmentId) {
        self.mapped.write().remove(&segment);
    }

    /// All mapped segments.
    pub(crate) fn held(&self) -> Vec<u32> {
        self.mapped.read().keys().map(|segment| segment.0).collect()
    }
}
