//! What the service reads from the index: one file per thing read. No read changes anything.

mod content;
mod keys;
mod locks;
mod members;
mod names;
mod objects;
mod store;

pub(crate) use content::extent_of;
pub(crate) use locks::locks_of;
pub(crate) use members::{is_key_closed, members_of, tokens_of};

pub use content::{ChunkRange, ChunkRanges, Map, MapPiece, MapSource, UndestagedRange};
pub use keys::{KeyPage, ListKeys, ListedKey};
pub use locks::HeldLock;
pub use names::{Listed, Listing};
pub use objects::Step;
