//! The daemon's promises, shown on a real directory over its real socket.

mod coherence;
mod daemon;
mod durability;
mod export;
mod export_file;
mod guard;
mod lan;
mod members;
mod objects;
mod servers;
