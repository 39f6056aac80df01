//! The services of WolfDisk, defined once in `wolfdisk/v1/*.proto` and carried by two bindings.
//!
//! For each service the build script writes
//!
//! * one trait (`MetaService`, `ChunkService`) that the daemon implements,
//! * `MetaOverGrpc`, which answers it over tonic, and tonic's own client,
//! * `MetaFramed`, which answers it over length-prefixed frames ([`framed`]), `MetaClient`, the
//!   blocking asking side, and `MetaAsyncClient`, the one that daemons ask each other with.
//!
//! Frames exist because of speed: on two cores a unary tonic call over a Unix socket takes 110 to
//! 180 us, a framed one about 15 us. [`server`] answers both on one Unix socket and tells them apart by
//! the first four bytes.
//!
//! This crate holds no behaviour beyond transport: what a call means is the daemons' business.

#![forbid(unsafe_code)]

pub mod blocking;
pub mod call;
pub mod calls;
pub mod failure;
pub mod framed;
pub mod limits;
mod lookout;
pub mod noise;
pub mod server;

pub use failure::Failure;

/// Generated messages, service traits and bindings.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/wolfdisk.v1.rs"));
}

/// The protocol this build speaks; sent in the preface of every framed connection. Neighbouring
/// versions must understand each other.
pub const PROTOCOL_VERSION: u32 = 1;
