//! redb asserts what it believes of its file, so on a damaged one it may panic, also when something of it is
//! dropped. Nothing of it is called or dropped but behind this fence, which makes a [`TableError`] of that.

use std::ops::Deref;
use std::path::Path;

use wolfdisk_common::telemetry;

use super::redb_table::storage;
use crate::index::table::TableError;

/// Runs a call into redb; a panic in it becomes an error. What redb holds after one is not used again:
/// the daemon ends on any [`TableError`].
pub(super) fn fenced<V>(
    path: &Path,
    call: impl FnOnce() -> Result<V, TableError>,
) -> Result<V, TableError> {
    telemetry::fenced(call)
        .unwrap_or_else(|text| Err(storage(path, format!("the file is damaged: {text}"))))
}

/// Something of redb's that is dropped behind the fence.
pub(super) struct Fenced<T>(Option<T>);

impl<T> Fenced<T> {
    pub(super) fn new(inner: T) -> Fenced<T> {
        Fenced(Some(inner))
    }
}

impl<T> Deref for Fenced<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is taken out only to be dropped")
    }
}

impl<T> Drop for Fenced<T> {
    fn drop(&mut self) {
        let inner = self.0.take();
        // Already logged, and nobody is left who could use it: what is on disk was durable before.
        let _ = telemetry::fenced(|| drop(inner));
    }
}
