//! The chunk store as seen from here: segments that are mapped, places of chunks, puts; and one on another machine:
//! tickets, ranges that are kept.

pub(crate) mod locations;
pub(crate) mod mapping;
pub(crate) mod put;
pub(crate) mod ranges;
pub(crate) mod reader;
pub(crate) mod remote;
pub(crate) mod segments;
pub(crate) mod tickets;
