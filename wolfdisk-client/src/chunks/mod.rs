//! The chunk store as seen from here: segments that are mapped, places of chunks, puts.

pub(crate) mod locations;
pub(crate) mod mapping;
pub(crate) mod put;
pub(crate) mod reader;
pub(crate) mod segments;
