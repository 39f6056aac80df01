//! Bytes of files in memory: what was written and not committed, what is known of the content, and how
//! much of it there may be. Pure but for the budget, which waits.

pub(crate) mod blocks;
pub(crate) mod budget;
pub(crate) mod dirty;
pub(crate) mod pack;
pub(crate) mod pieces;
