//! Parts of a snapshot that come, one after the other, into a file beside the index.
//!
//! Nothing of it is synced as it comes: what a power cut takes of the file is noticed by the checksums and asked for again.
//! When the last part is there all of them are read, and a checkpoint is made of them; the last one is asked for again by
//! the next life of the daemon, so that this is done there too.
//!
//! There is one snapshot at a time: the first part of another one takes its place.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;
use wolfdisk_common::disk::{Disk, DiskFile, OpenMode, reserve_bytes};

use super::error::{SnapshotError, at};
use super::format::Head;
use super::whole::{self, Built};
use super::{Snapshot, format};
use crate::consensus::raft::wire::{SnapshotSink, Taken};
use crate::export::format::{HEADER_BYTES, Header};
use crate::index::table::Applied;
use crate::storage::StorageOptions;

/// The directory, in that of the index.
pub const DIRECTORY: &str = "incoming";
/// The checkpoint that is made of the parts.
const CHECKPOINT: &str = "checkpoint.redb";
/// Ending of the file of parts; its name is the id.
const ENDING: &str = ".parts";

/// See the module.
pub struct Intake {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    volume: Uuid,
    segment_bytes: u64,
    cache_bytes: usize,
    coming: Mutex<Option<Coming>>,
}

/// A snapshot of which parts are here.
struct Coming {
    id: [u8; 16],
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// The part that is wanted next, and where it goes.
    next: u64,
    end: u64,
    room_bytes: u64,
}

impl Intake {
    /// Over what the last life has left for the index in `index`, which is that of `volume` and at `applied`: parts of a
    /// later state stay, the rest goes.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(
        disk: Arc<dyn Disk>,
        index: &Path,
        volume: Uuid,
        applied: Applied,
        options: &StorageOptions,
    ) -> Result<Intake, SnapshotError> {
        let intake = Intake {
            disk,
            directory: index.join(DIRECTORY),
            volume,
            segment_bytes: options.log.segment_bytes,
            cache_bytes: options.checkpoint_cache_bytes,
            coming: Mutex::default(),
        };
        let found = intake.find(applied)?;
        *intake.coming.lock() = found;
        Ok(intake)
    }

    /// What was put into its place, or never will be, goes.
    ///
    /// # Errors
    /// What the system says.
    pub fn clear(&self) -> Result<(), SnapshotError> {
        *self.coming.lock() = None;
        self.sweep(None)
    }

    /// Where a checkpoint is made.
    fn checkpoint(&self) -> PathBuf {
        self.directory.join(CHECKPOINT)
    }

    fn find(&self, applied: Applied) -> Result<Option<Coming>, SnapshotError> {
        let mut found = None;
        for name in self.names()? {
            let Some(id) = id_of(&name) else {
                continue;
            };
            let coming = self.resume(id, &self.directory.join(&name), applied)?;
            found = found.or(coming);
        }
        self.sweep(found.as_ref().map(|found| found.path.as_path()))?;
        if let Some(Coming { path, next, .. }) = &found {
            tracing::info!(path = %path.display(), next, "a snapshot that has come in part goes on");
        }
        Ok(found)
    }

    /// The parts that are here of a snapshot, if it is of use.
    fn resume(
        &self,
        id: [u8; 16],
        path: &Path,
        applied: Applied,
    ) -> Result<Option<Coming>, SnapshotError> {
        let file = self
            .disk
            .open(path, OpenMode::ReadWrite)
            .map_err(at(path))?;
        let mut coming = Coming {
            id,
            path: path.to_owned(),
            file,
            next: 0,
            end: 0,
            room_bytes: 0,
        };
        while let Some(part) = whole::part_at(&*coming.file, coming.end).map_err(at(path))? {
            let Ok((head, body)) = Head::decode(&part) else {
                break;
            };
            if self.judge(&coming, &head).is_err() {
                break;
            }
            if head.number == 0 {
                let header = body.first_chunk::<HEADER_BYTES>().map(Header::decode);
                let Some(Ok(header)) = header else { break };
                if header.index <= applied.index {
                    break;
                }
                coming.room_bytes = head.room_bytes;
            }
            // The last one is to come again.
            if head.is_last {
                break;
            }
            coming.next += 1;
            coming.end += part.len() as u64;
        }
        Ok(Some(coming).filter(|coming| coming.next > 0))
    }

    /// Whether a part is the one that is wanted.
    fn judge(&self, coming: &Coming, head: &Head) -> Result<(), SnapshotError> {
        if head.volume != self.volume {
            return Err(SnapshotError::OtherVolume {
                found: head.volume,
                expected: self.volume,
            });
        }
        let same_room = head.number == 0 || head.room_bytes == coming.room_bytes;
        match head.id == coming.id && head.number == coming.next && same_room {
            true => Ok(()),
            false => Err(SnapshotError::OtherPart(coming.next)),
        }
    }

    /// Room is there for all of it: the parts, the checkpoint made of them, and the log.
    fn ask_for_room(&self, head: &Head) -> Result<(), SnapshotError> {
        let path = &self.directory;
        let space = self.disk.space(path).map_err(at(path))?;
        let double = head.room_bytes.saturating_mul(2);
        let wanted = double.saturating_add(self.segment_bytes.saturating_mul(2));
        // Half of the reserve is for the index that is in use.
        let kept = reserve_bytes(space.total_bytes) / 2;
        let available = space.available_bytes.saturating_sub(kept);
        match wanted <= available {
            true => Ok(()),
            false => Err(SnapshotError::NoRoom {
                path: path.clone(),
                wanted,
                available,
            }),
        }
    }

    /// Begins to take a snapshot, of which this is the first part.
    fn begin(&self, head: &Head) -> Result<Coming, SnapshotError> {
        let directory = &self.directory;
        let made = self.disk.create_dir_all(directory);
        made.map_err(at(directory))?;
        self.sweep(None)?;
        self.ask_for_room(head)?;
        let path = directory.join(name_of(&head.id));
        let file = self.disk.open(&path, OpenMode::CreateNew);
        Ok(Coming {
            id: head.id,
            file: file.map_err(at(&path))?,
            path,
            next: 0,
            end: 0,
            room_bytes: head.room_bytes,
        })
    }

    fn take_part(
        &self,
        id: &[u8; 16],
        number: u64,
        bytes: &[u8],
    ) -> Result<Taken<Snapshot>, SnapshotError> {
        let (head, _) =
            Head::decode(bytes).map_err(|source| SnapshotError::Part { number, source })?;
        if head.id != *id || head.number != number {
            return Err(SnapshotError::OtherPart(number));
        }
        let mut place = self.coming.lock();
        if place.as_ref().is_none_or(|coming| coming.id != *id) {
            if number != 0 {
                return Ok(Taken::Next(0));
            }
            if head.volume != self.volume {
                return Err(SnapshotError::OtherVolume {
                    found: head.volume,
                    expected: self.volume,
                });
            }
            *place = None;
            *place = Some(self.begin(&head)?);
        }
        let Some(coming) = place.as_mut() else {
            return Ok(Taken::Next(0));
        };
        if number != coming.next {
            return Ok(Taken::Next(coming.next));
        }
        self.judge(coming, &head)?;
        let end = coming.end + bytes.len() as u64;
        // What it takes on disk includes more than it takes here.
        if end > coming.room_bytes {
            let said = coming.room_bytes;
            *place = None;
            self.sweep(None)?;
            return Err(SnapshotError::TooLong(said));
        }
        let written = coming.file.write_at(bytes, coming.end);
        written.map_err(at(&coming.path))?;
        if !head.is_last {
            (coming.next, coming.end) = (number + 1, end);
            return Ok(Taken::Next(coming.next));
        }
        // An earlier attempt may have left more behind it.
        coming.file.set_len(end).map_err(at(&coming.path))?;
        match self.build(coming) {
            Ok(built) => Ok(Taken::Whole(Snapshot::Come(Box::new(built)))),
            Err(error) => {
                if is_of_the_parts(&error) {
                    *place = None;
                    self.sweep(None)?;
                }
                Err(error)
            }
        }
    }

    fn build(&self, coming: &Coming) -> Result<Built, SnapshotError> {
        let checkpoint = self.checkpoint();
        self.remove(&checkpoint)?;
        whole::build(
            &self.disk,
            &coming.path,
            &checkpoint,
            (coming.id, self.volume),
            self.cache_bytes,
        )
    }

    /// Removes all but `kept`.
    fn sweep(&self, kept: Option<&Path>) -> Result<(), SnapshotError> {
        for name in self.names()? {
            let path = self.directory.join(name);
            if Some(path.as_path()) != kept {
                self.remove(&path)?;
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), SnapshotError> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
            _ => Ok(()),
        }
    }

    fn names(&self) -> Result<Vec<std::ffi::OsString>, SnapshotError> {
        match self.disk.list(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names.map_err(at(&self.directory)),
        }
    }
}

impl SnapshotSink for Intake {
    type Data = Snapshot;

    fn wanted(&self, id: &[u8; 16]) -> u64 {
        let coming = self.coming.lock();
        let known = coming.as_ref().filter(|coming| coming.id == *id);
        known.map_or(0, |coming| coming.next)
    }

    fn take(&self, id: &[u8; 16], number: u64, part: &[u8]) -> io::Result<Taken<Snapshot>> {
        Ok(self.take_part(id, number, part)?)
    }
}

/// Whether what is wrong with the whole is in its parts, so that they are to come anew.
fn is_of_the_parts(error: &SnapshotError) -> bool {
    match error {
        SnapshotError::Part { .. }
        | SnapshotError::OtherPart(_)
        | SnapshotError::OtherVolume { .. }
        | SnapshotError::TooLong(_)
        | SnapshotError::Whole(_)
        | SnapshotError::Format(_) => true,
        SnapshotError::NoRoom { .. }
        | SnapshotError::OtherState { .. }
        | SnapshotError::Old { .. }
        | SnapshotError::Nothing
        | SnapshotError::NotReplaced
        | SnapshotError::Io { .. }
        | SnapshotError::Table(_)
        | SnapshotError::Log(_)
        | SnapshotError::Storage(_) => false,
    }
}

fn name_of(id: &[u8; 16]) -> String {
    let digits = Uuid::from_bytes(*id).simple();
    format!("{digits}{ENDING}")
}

fn id_of(name: &OsStr) -> Option<[u8; 16]> {
    let digits = name.to_str()?.strip_suffix(ENDING)?;
    let id = Uuid::try_parse(digits).ok()?;
    (name_of(id.as_bytes()).as_str() == name).then(|| id.into_bytes())
}

const _: () = assert!(HEADER_BYTES <= format::BODY_MAX_BYTES);
