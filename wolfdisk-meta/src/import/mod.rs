//! Makes the index of a data directory from an export of it, while nothing runs.
//!
//! * [`build`] makes a whole index in a directory of its own, from a file that it believes only as a whole.
//! * [`fork`] says what becomes of each record: what the imported index may not have in common with the one that is
//!   lost, since front-ends and chunk stores remember that one.
//! * [`place`] exchanges it for what is there, in one step. Until then nothing has changed, after it all has.
//!
//! Which chunks are there is not looked at: that is what a check is for.

mod build;
mod error;
mod fork;
mod place;

pub use build::{Built, build};
pub use error::ImportError;

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;
use uuid::Uuid;
use wolfdisk_common::config::Config;
use wolfdisk_common::disk::Disk;
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::identity::Identity;
use wolfdisk_common::ids::Incarnation;
use wolfdisk_common::lock::Lock;
use wolfdisk_common::paths::Paths;

use crate::budget::Budget;
use crate::cli::Cli;
use crate::manifest::Manifest;
use crate::storage::StorageOptions;
use place::{Left, Place};

/// What was done, for programs.
#[derive(Debug, Serialize)]
pub struct Imported {
    /// The cluster.
    pub cluster: String,
    /// The version that the export is of.
    pub version: u64,
    /// When it was written, in seconds since 1970.
    pub created_s: i64,
    /// Records in it.
    pub records: u64,
    /// Entries of the log in it.
    pub entries: u64,
    /// Sessions that were open then, and end at the next start.
    pub sessions: u64,
    /// Where the index is now that was there before.
    pub kept: Option<PathBuf>,
}

/// Imports what comes on standard input, and prints what was done as JSON on one line.
///
/// # Errors
/// Why nothing was changed.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    let config = Config::load(&cli.options.arguments())?;
    let identity = Identity::load_for(&config)?;
    let paths = config.paths();
    // A chunk store that goes on would take receipts of the lost index for its own.
    let _chunks = Lock::acquire(&paths.chunkd_lock())?;
    let _lock = Lock::acquire(&paths.meta_lock())?;
    let imported = import(
        &paths,
        identity.volume,
        std::io::stdin().lock(),
        cli.replace,
    )?;
    let mut text = serde_json::to_string(&imported)?;
    text.push('\n');
    let mut out = std::io::stdout().lock();
    std::io::Write::write_all(&mut out, text.as_bytes())
        .context("it was imported, but nobody hears of it")
}

/// Imports `input`. The caller holds the locks of both daemons.
///
/// # Errors
/// The index is as it was, unless it says otherwise.
pub fn import(
    paths: &Paths,
    volume: Uuid,
    input: impl Read,
    replace: bool,
) -> Result<Imported, ImportError> {
    let place = Place::prepare(paths, replace)?;
    match build_at(&place, volume, input) {
        Ok(built) => {
            let kept = place.exchange()?;
            let header = built.header;
            Ok(Imported {
                cluster: header.volume.to_string(),
                version: header.version.0,
                created_s: header.created_s,
                records: built.records,
                entries: built.entries,
                sessions: built.sessions,
                kept,
            })
        }
        Err(error) => {
            place.discard()?;
            Err(error)
        }
    }
}

/// Puts in order what an import that was cut off has left, and says so. The caller holds the lock of the index.
///
/// # Errors
/// What the system says.
pub fn settle(paths: &Paths) -> Result<(), ImportError> {
    match Place::of(paths)?.put_in_order()? {
        None => {}
        Some(Left::Unfinished) => {
            tracing::warn!(
                "an import of the index was cut off before it changed anything; what it left is removed"
            );
        }
        Some(Left::Replaced(kept)) => {
            tracing::warn!(
                kept = %kept.display(),
                "an import of the index was cut off when it was done; the index that it replaced is kept"
            );
        }
    }
    Ok(())
}

fn build_at(place: &Place, volume: Uuid, input: impl Read) -> Result<Built, ImportError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    // One that is damaged, or not there, has no say.
    let known = Manifest::load(&*disk, place.current()).ok().flatten();
    let lived = known.map_or(Incarnation(0), |known| known.incarnation);
    let mut options = StorageOptions::default();
    let room = disk
        .space(place.directory())
        .map_err(error::io(place.directory()))?;
    options.log.segment_bytes = Budget::of(room.total_bytes).segment_bytes;
    build(&disk, place.directory(), volume, lived, input, &options)
}
