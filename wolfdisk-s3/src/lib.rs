//! The S3 front-end: the files of a WolfDisk volume as objects, without state of its own.
//!
//! * What can be decided without a volume is decided by pure parts: names ([`bucket`]), tags of content ([`etag`]),
//!   conditions ([`condition`]), ranges ([`range`]), tokens ([`token`]), checksums ([`checksum`]), what is kept of an
//!   object ([`stored`]) and of a bucket ([`configuration`]), which MD5s are worth computing ([`learn`]).
//! * [`store`] is the volume as the operations use it, [`ops`] are the operations, a file for each family; [`form`]
//!   makes one of them of what a web page sends.
//! * [`access`] says who may do what, [`error`] what clients are told, [`server`] is HTTP around it.
//! * [`run`] is the life of the process.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod access;
pub mod arguments;
pub mod checksum;
pub mod condition;
pub mod configuration;
pub mod content_type;
pub mod digest;
pub mod error;
pub mod etag;
pub mod form;
pub mod learn;
pub mod limits;
pub mod moment;
pub mod ops;
pub mod range;
pub mod recent;
pub mod run;
pub mod server;
pub mod store;
pub mod stored;
pub mod tags;
pub mod token;
pub mod url_encoding;

pub use wolfdisk_common::bucket;
