//! The configuration: arguments and file in, validated settings out.
//!
//! [`Arguments`] say where the file is and what overrides it. [`Config::load`] reads the file, refuses
//! every unknown name and impossible value with what would be right, and fills the rest with defaults.
//! [`schema`] is the one table of all fields: their defaults, explanations, the example file and the
//! reference come from it, so they cannot disagree. Nothing here starts anything.

mod arguments;
mod error;
mod example;
mod explained;
mod file;
mod nearest;
mod reference;
mod schema;
mod settings;
mod values;

pub use arguments::Arguments;
pub use error::ConfigError;
pub use example::example;
pub use explained::{SectionText, SettingText, explained};
pub use nearest::nearest;
pub use reference::reference;
pub use settings::{Admin, Cache, Cluster, Config, Log, Mount, Node, Replication, S3, Scrub};
pub use values::{Anonymous, Discovery, Election, Mode, Peer, Role, Secret};
