//! Where an imported index is made, and how it takes the place of what is there: two directories beside each other are
//! exchanged by one call. A process that is killed, or a power cut, leaves the old one or the new one, and in any case
//! both as long as the old one is worth anything.
//!
//! The file that daemons lock is one file with a name in both directories, so that nobody comes in between.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use time::OffsetDateTime;
use wolfdisk_common::disk::real::RealDisk;
use wolfdisk_common::paths::Paths;

use super::error::{ImportError, io};
use crate::storage::{LOCK_NAME, is_empty};

/// The new index while it is being made, beside the one that counts.
const NEW: &str = "meta.import";
/// It is in a directory that is an imported index, or was to become one. What has none is one that was in use.
const MARK: &str = "importing";

/// What an import that was cut off has left, and what became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It never got to be the index, and is gone.
    Unfinished,
    /// The index that was in use, which is here now.
    Replaced(PathBuf),
}

/// See the module.
pub(super) struct Place {
    data: PathBuf,
    current: PathBuf,
    new: PathBuf,
    /// What is there is worth keeping.
    holds_index: bool,
}

impl Place {
    /// As it is.
    pub(super) fn of(paths: &Paths) -> Result<Place, ImportError> {
        let (data, current) = (paths.data_dir().to_owned(), paths.meta_dir());
        Ok(Place {
            holds_index: !is_empty(&RealDisk, &current).map_err(io(&current))?,
            new: data.join(NEW),
            data,
            current,
        })
    }

    /// Makes an empty directory for the new index. What an import that was cut off has left goes, or is kept aside if
    /// it is what was replaced.
    pub(super) fn prepare(paths: &Paths, replace: bool) -> Result<Place, ImportError> {
        let place = Place::of(paths)?;
        if place.holds_index && !replace {
            return Err(ImportError::Exists(place.current));
        }
        place.put_in_order()?;
        let new = &place.new;
        DirBuilder::new().mode(0o700).create(new).map_err(io(new))?;
        File::create_new(new.join(MARK)).map_err(io(new))?;
        place.sync(new)?;
        place.sync(&place.data)?;
        Ok(place)
    }

    /// The index that is there.
    pub(super) fn current(&self) -> &Path {
        &self.current
    }

    /// Where the new one is made.
    pub(super) fn directory(&self) -> &Path {
        &self.new
    }

    /// The new one comes to nothing, and loses its mark last: what a power cut leaves of it is no index that was in use.
    pub(super) fn discard(&self) -> Result<(), ImportError> {
        for entry in std::fs::read_dir(&self.new).map_err(io(&self.new))? {
            let entry = entry.map_err(io(&self.new))?;
            let path = entry.path();
            if entry.file_name() == MARK {
                continue;
            }
            let removed = match entry.file_type().map_err(io(&path))?.is_dir() {
                true => std::fs::remove_dir_all(&path),
                false => std::fs::remove_file(&path),
            };
            removed.map_err(io(&path))?;
        }
        self.sync(&self.new)?;
        std::fs::remove_dir_all(&self.new).map_err(io(&self.new))
    }

    /// The new one, which is whole and durable, takes the place of what is there. Gives where that is now.
    pub(super) fn exchange(&self) -> Result<Option<PathBuf>, ImportError> {
        let (old, new) = (self.current.join(LOCK_NAME), self.new.join(LOCK_NAME));
        std::fs::hard_link(&old, &new).map_err(io(&new))?;
        self.sync(&self.new)?;
        let exchanged = renameat2(
            AT_FDCWD,
            &self.new,
            AT_FDCWD,
            &self.current,
            RenameFlags::RENAME_EXCHANGE,
        );
        if let Err(errno) = exchanged {
            self.discard()?;
            return Err(ImportError::Exchange {
                old: self.current.clone(),
                new: self.new.clone(),
                source: errno.into(),
            });
        }
        self.sync(&self.data)?;
        // From here on only names are put in order.
        self.unmark()?;
        if !self.holds_index {
            self.discard()?;
            self.sync(&self.data)?;
            return Ok(None);
        }
        self.keep().map(Some)
    }

    /// Ends what an import that was cut off has begun: what counts loses the mark, what does not goes, and what was in use is
    /// kept aside.
    pub(super) fn put_in_order(&self) -> Result<Option<Left>, ImportError> {
        self.unmark()?;
        if !self.new.try_exists().map_err(io(&self.new))? {
            return Ok(None);
        }
        let unfinished = self.new.join(MARK).exists()
            || is_empty(&RealDisk, &self.new).map_err(io(&self.new))?;
        if unfinished {
            self.discard()?;
            return Ok(Some(Left::Unfinished));
        }
        self.keep().map(Left::Replaced).map(Some)
    }

    /// What is there is in use from now on, also for the import after this: it would be thrown away for the mark.
    fn unmark(&self) -> Result<(), ImportError> {
        let mark = self.current.join(MARK);
        match std::fs::remove_file(&mark) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io(&mark)(error)),
            Ok(()) => self.sync(&self.current),
        }
    }

    /// Puts what is in the place of the new one, and was in use, aside.
    fn keep(&self) -> Result<PathBuf, ImportError> {
        let path = self.free_name()?;
        let lock = self.new.join(LOCK_NAME);
        match std::fs::remove_file(&lock) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(&lock)(error)),
            _ => {}
        }
        std::fs::rename(&self.new, &path).map_err(io(&path))?;
        self.sync(&self.data)?;
        Ok(path)
    }

    /// A name that says when, and that nothing has.
    fn free_name(&self) -> Result<PathBuf, ImportError> {
        let now = OffsetDateTime::now_utc();
        let date = format!("{:04}{:02}{:02}", now.year(), now.month() as u8, now.day());
        let time = format!("{:02}{:02}{:02}", now.hour(), now.minute(), now.second());
        let first = self.data.join(format!("meta.replaced-{date}T{time}Z"));
        let mut path = first.clone();
        for number in 2.. {
            if !path.try_exists().map_err(io(&path))? {
                break;
            }
            path = first.with_extension(format!("replaced-{date}T{time}Z.{number}"));
        }
        Ok(path)
    }

    fn sync(&self, directory: &Path) -> Result<(), ImportError> {
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(io(directory))
    }
}
