//! What always holds between the records, whatever was applied. Everything is counted again from the
//! inodes, names and extents, and compared with what the records say.
//!
//! The records are read in their order, some of them twice. What is held in memory meanwhile is 16 bytes
//! an inode, 56 a chunk, and what belongs to sessions: 10 million inodes take 160 MB. Sets that are too
//! large to be held are compared by a sum over the hashes of their members; only where two sums differ the
//! members are looked at.
//!
//! A record that cannot be read is reported and passed over. What can be put right without guessing goes
//! into a [`Plan`].

mod breach;
mod content;
mod inodes;
mod members;
mod names;
mod plan;
mod sessions;
mod walk;

pub use breach::{Breach, Finding};
pub use plan::{FixId, Plan};
pub use walk::Report;

use super::key::Key;
use super::record::Counters;
use super::records::Read;
use super::table::TableError;
use content::Chunks;
use inodes::Inodes;
use walk::Walk;

/// What a whole inspection has to do with.
struct Inspection<'a, R> {
    walk: Walk<'a, R>,
    counters: Counters,
    inodes: Inodes,
    chunks: Chunks,
    plan: Plan,
}

/// What was found beside the findings.
#[derive(Debug, Default)]
pub struct Inspected {
    /// How to put right what can be.
    pub plan: Plan,
    /// Every chunk with the references that were counted, ascending by id.
    pub chunks: Vec<(wolfdisk_common::ids::ChunkId, u32, bool)>,
}

/// Everything that does not hold; nothing if all is well.
///
/// # Errors
/// Storage failed.
pub fn check(records: &impl Read) -> Result<Vec<Breach>, TableError> {
    struct All(Vec<Breach>);
    impl Report for All {
        fn found(&mut self, finding: Finding) {
            self.0.push(finding.breach);
        }
        fn visited(&mut self) -> bool {
            true
        }
    }
    let mut all = All(Vec::new());
    inspect(records, &mut all)?;
    Ok(all.0)
}

/// Looks at everything and tells `report`. Ends early, with what it has, when the report says so.
///
/// # Errors
/// Storage failed.
pub fn inspect<R: Read>(records: &R, report: &mut dyn Report) -> Result<Inspected, TableError> {
    let mut inspection = Inspection {
        walk: Walk::over(records, report),
        counters: Counters::default(),
        inodes: Inodes::default(),
        chunks: Chunks::default(),
        plan: Plan::default(),
    };
    match inspection.walk.lookup::<Counters>(&Key::Counters)? {
        Some(counters) => inspection.counters = counters,
        None => inspection.walk.found(Breach::Counter {
            what: "everything",
            found: 0,
            counted: 1,
        }),
    }
    inspection.take_inodes()?;
    inspection.names()?;
    inspection.links()?;
    inspection.content()?;
    inspection.xattrs()?;
    inspection.sessions()?;
    inspection.members()?;
    inspection.close_inodes()?;
    Ok(Inspected {
        chunks: inspection.chunks.summary(),
        plan: inspection.plan,
    })
}
