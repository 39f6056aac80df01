//! How machines of a cluster find each other: beacons on every network of the machine, a list of peers, and where nodes
//! were before. It only finds and grants nothing: who is found proves itself when it is connected to.

mod anybody;
pub mod beacon;
mod discovery;
mod finder;
pub mod heard;
pub mod interfaces;
pub mod limits;
mod links;
mod rate;
pub mod seen;
mod window;

pub use anybody::{Company, anybody, silent_peers};
pub use beacon::{About, Beacon, BeaconKey, Presence, Question};
pub use discovery::{Announcer, Discovery, View, random};
pub use finder::Finder;
pub use heard::{Counts, Myself, Sight, Trust, skewed};
