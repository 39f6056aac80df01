//! The service of wolfdisk-meta: the one owner of the index, and the protocol in front of it.
//!
//! One thread runs the reactor. Reads are answered inline from the applied state. Mutations are queued;
//! once in a reactor turn [`batch`] proposes them all, writes them with one call, applies and answers.

mod batch;
mod callers;
mod chunk_peers;
pub mod convert;
mod core;
#[cfg(test)]
mod driven;
mod error;
mod feed;
mod guard;
mod interfaces;
mod keyed;
mod lan;
mod lead;
mod listen;
mod members;
mod metrics;
mod mutate;
mod objects;
mod peers;
mod read;
mod room;
mod rpc;
mod servers;
mod space;
mod status;
mod trust;
mod waits;
mod work;

pub use self::core::{Core, Store};
#[cfg(test)]
pub(crate) use driven::{Driven, Seen};
pub use error::ServiceError;
pub use lan::{bind, serve_others};
pub use listen::listen;
pub use metrics::{Metrics, ready};
pub use room::Rounds;
pub use rpc::{Service, ServiceOptions};
pub use servers::discover;
pub use space::SpaceView;
pub use trust::{Keys, Trust};
pub use work::Work;
