//! Every decoder of bytes from a disk or a peer takes any bytes: it gives a value or an error, ends, takes no more
//! memory than its input justifies, and what it gives is written and read again as the same. The inputs are
//! mutations of real encodings, with their checksums made right again, else nothing behind those was reached.
//!
//! `WOLFDISK_FUZZ_SECONDS` says how long each target runs.

mod access_records;
mod allocations;
mod bucket_values;
mod checkpoint_file;
mod chunk_files;
mod engine;
mod export_files;
mod finding;
mod form_policies;
mod handshakes;
mod index_values;
mod log_files;
mod messages;
mod mutation;
mod object_values;
mod panics;
mod snapshot_parts;
mod text_files;
