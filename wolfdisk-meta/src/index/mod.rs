//! The versioned index: records, their keys and encodings, and the pure function that applies an entry.

pub mod checkpoint;
pub mod op;
pub mod overlay;
mod small_key;
pub mod table;
