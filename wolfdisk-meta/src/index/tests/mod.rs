//! The index against a plain file system in memory, and its promises one by one.

mod directed;
mod harness;
mod keys;
mod members;
mod model;
mod objects;
mod random;
mod repair;
