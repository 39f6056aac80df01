//! The sync thread: whatever was appended is durable 20 ms later, or as soon as somebody waits.

use super::OnFatal;
use crate::store::Store;

/// Runs until the store's watermark is stopped, or a sync fails.
pub(super) fn run(store: &Store, fatal: &OnFatal) {
    while store.watermark().wait_for_work() {
        match store.sync() {
            Ok(true) => {}
            // What is wanted is still being written; its end wakes this thread.
            Ok(false) => store.watermark().wait_for_append(),
            Err(error) => return fatal(&error),
        }
    }
}
