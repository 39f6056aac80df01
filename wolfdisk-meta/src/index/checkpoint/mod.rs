//! The two tables under the overlay: one in a redb file, one in memory. One test suite passes on both.

mod backend;
mod fence;
mod filler;
mod memory;
mod redb_table;
#[cfg(test)]
mod tests;

pub use filler::Filler;
pub use memory::MemTable;
pub use redb_table::{RedbTable, Snapshot, footprint};
