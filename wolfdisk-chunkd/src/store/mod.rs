//! The chunk store: chunks on one disk, found by id, reclaimed by epoch.
//!
//! Promises, to be kept over every crash:
//! * what [`Store::put`] returned is intact once the durable position has passed the receipt's;
//! * no byte is served unless its checksum matches; of a damaged chunk the other bytes still are, and a put of
//!   its content heals it;
//! * [`Store::free`] takes only chunks whose last put was at or before the swept epoch;
//! * bytes of a segment that were ever named by [`Store::locate`] never change.
//!
//! **How freed chunks stay dead.** Freeing only removes the chunk from the catalog in memory; nothing is
//! logged. A crash may bring it back, from an older checkpoint or by scanning its record. That is
//! harmless: as long as its segment exists its bytes are intact and durable, and every start opens a new
//! put epoch with which all chunks are stamped, so it is no more and no less than garbage that was put
//! just now: the next sweep frees it again, and a put that meets it first gets a receipt that is true.
//! A segment file is removed only when no chunk in it is live.
//!
//! Locks, in this order: `maintenance`, `advancing`, `syncing`, `tail`, `listed`, `state`. None is held over hashing
//! or reading of payloads, only `maintenance` and `syncing` over a sync, and only `listed` over a look at the directory.

mod append;
pub mod catalog;
pub mod checkpoint;
mod compact;
pub mod damage;
pub mod epoch;
mod error;
mod load;
mod lookup;
mod open;
pub mod place;
mod presence;
pub mod progress;
mod put;
mod reclaim;
pub mod scan;
pub mod segment;
mod space;
mod state;
mod status;
mod sync;
mod verify;
mod watermark;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::timings::Timings;

use append::Tail;
pub use error::StoreError;
pub use lookup::{Location, ReadOnly};
pub use put::{Admission, Receipt};
pub use space::Room;
use state::State;
pub use status::{Counters, Summary};
pub use sync::Flushed;
pub use verify::{Checked, Pass};
pub use watermark::{Durable, Watermark};

/// What a store needs to know before it is opened.
#[derive(Clone)]
pub struct Options {
    /// The disk it is on.
    pub disk: Arc<dyn Disk>,
    /// Its directory.
    pub dir: PathBuf,
    /// The volume it belongs to.
    pub volume: [u8; 16],
    /// What large payloads are aligned to: the system's page size.
    pub page_size: u32,
    /// The size at which a segment is closed; by default it goes by the disk's size.
    pub segment_bytes: Option<u64>,
}

/// See the module. All methods block; those that hash or read payloads say so.
pub struct Store {
    options: Options,
    incarnation: u64,
    segment_bytes: u64,
    maintenance: Mutex<compact::Maintenance>,
    advancing: Mutex<()>,
    syncing: Mutex<()>,
    tail: Mutex<Tail>,
    listed: Mutex<Option<presence::Look>>,
    state: Mutex<State>,
    watermark: Watermark,
    counters: Counters,
    sync_timings: Timings,
    full: AtomicBool,
}
