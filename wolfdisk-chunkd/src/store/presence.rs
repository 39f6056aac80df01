//! Whether every segment file is where it belongs: looked for in the directory while the store runs, and at a start
//! behind the mark of a store that was closed.
//!
//! Compaction removes files and keeps no record of it, so after a crash a file that the catalog names may rightly be
//! gone. Behind the mark **\[format\]** it is lost: the file `closed` is made after the last catalog, holds the incarnation
//! that ended in 16 hexadecimal digits and a line end, and goes before a start answers anything.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::time::Instant;

use wolfdisk_common::disk::{Disk, OpenMode};
use wolfdisk_common::ids::SegmentId;

use super::Store;
use super::error::StoreError;
use super::segment::{file_name, parse_file_name};
use crate::limits;

const MARK: &str = "closed";

/// What the last look at the directory found.
pub(super) struct Look {
    at: Instant,
    found: Option<String>,
}

/// Takes the mark away; whether it was that of this incarnation. Durable with the next sync of the directory.
pub(super) fn take_mark(disk: &dyn Disk, dir: &Path, incarnation: u64) -> Result<bool, StoreError> {
    let path = dir.join(MARK);
    let file = match disk.open(&path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file.map_err(StoreError::io(&path))?,
    };
    let expected = content(incarnation);
    let mut found = vec![0; expected.len()];
    // One that cannot be read, or is another's, says nothing.
    let is_ours = file.read_exact_at(&mut found, 0).is_ok() && found == expected;
    disk.remove(&path).map_err(StoreError::io(&path))?;
    Ok(is_ours)
}

fn content(incarnation: u64) -> Vec<u8> {
    format!("{incarnation:016x}\n").into_bytes()
}

impl Store {
    /// Makes everything durable, writes a checkpoint, and marks that nothing came after it. The store is not to be used
    /// any more. Without the mark the next start only knows less.
    ///
    /// # Errors
    /// What the system says.
    pub fn close(&self) -> Result<(), StoreError> {
        self.sync_to(self.end())?;
        self.checkpoint()?;
        let path = self.options.dir.join(MARK);
        let made = self.options.disk.open(&path, OpenMode::CreateNew);
        if let Err(error) = made.and_then(|file| file.write_at(&content(self.incarnation), 0)) {
            tracing::warn!(%error, "the next start cannot tell whether segment files are missing");
        }
        Ok(())
    }

    /// What of the segment files is not in the directory, in words. It is looked for at most every
    /// [`limits::LISTING_INTERVAL`].
    pub(super) fn absence(&self) -> Option<String> {
        let mut last = self.listed.lock();
        if let Some(look) = &*last
            && look.at.elapsed() < limits::LISTING_INTERVAL
        {
            return look.found.clone();
        }
        let dir = self.options.dir.display();
        let found = match self.missing() {
            Ok(missing) => missing.first().map(|first| {
                format!(
                    "{} segment files are gone from {dir}, {} first, and still open: copy them back from /proc/{}/fd \
                     before wolfdisk-chunkd ends",
                    missing.len(),
                    file_name(*first),
                    std::process::id()
                )
            }),
            Err(error) => Some(format!(
                "{dir} cannot be listed, so segment files may be gone: {error}"
            )),
        };
        *last = Some(Look {
            at: Instant::now(),
            found: found.clone(),
        });
        found
    }

    /// Segments without a file, in order.
    fn missing(&self) -> io::Result<Vec<SegmentId>> {
        // A file is made before the state has its segment, and removed after the state has lost it.
        let mut missing: Vec<SegmentId> = self.state.lock().segments.keys().copied().collect();
        let names = self.options.disk.list(&self.options.dir)?;
        let there: HashSet<SegmentId> = names
            .iter()
            .filter_map(|name| parse_file_name(name))
            .collect();
        missing.retain(|id| !there.contains(id));
        if !missing.is_empty() {
            let state = self.state.lock();
            missing.retain(|id| state.segments.contains_key(id));
        }
        Ok(missing)
    }
}
