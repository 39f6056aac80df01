//! Where an export goes: a file that is there as a whole or not at all, readable by nobody else, or standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::is_stream;
use crate::error::CtlError;

/// See the module.
pub(super) enum Sink {
    /// A file.
    File(Unfinished),
    /// Standard output.
    Stream(io::Stdout),
}

/// A file under another name, which goes with this value unless it was finished.
pub(super) struct Unfinished {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    replace: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Under its own name it is there no more. What stays behind otherwise can be told by its name.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

impl Sink {
    /// Opens it.
    ///
    /// # Errors
    /// The file is there and not to be replaced, or people would get to see bytes.
    pub(super) fn open(path: &Path, replace: bool) -> Result<Sink, CtlError> {
        if is_stream(path) {
            return match io::stdout().is_terminal() {
                true => Err(CtlError::BytesOnTerminal),
                false => Ok(Sink::Stream(io::stdout())),
            };
        }
        let failed = |source| CtlError::Io {
            verb: "write",
            path: path.to_owned(),
            source,
        };
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => return Err(CtlError::NotAFile(path.to_owned())),
            Ok(_) if !replace => return Err(CtlError::FileExists(path.to_owned())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let name = path.file_name();
        let mut name = name
            .ok_or_else(|| CtlError::NotAFile(path.to_owned()))?
            .to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let temporary = path.with_file_name(name);
        let mut open = OpenOptions::new();
        let opened = open
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary);
        Ok(Sink::File(Unfinished {
            file: opened.map_err(failed)?,
            temporary,
            path: path.to_owned(),
            replace,
        }))
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CtlError> {
        let (written, path) = match self {
            Sink::File(file) => (file.file.write_all(bytes), &*file.path),
            Sink::Stream(out) => (out.write_all(bytes), Path::new("-")),
        };
        written.map_err(|source| CtlError::Io {
            verb: "write",
            path: path.to_owned(),
            source,
        })
    }

    /// Makes it durable, and gives the file its name.
    ///
    /// # Errors
    /// What the system says; the file is not there then, or not durable.
    pub(super) fn finish(self) -> Result<(), CtlError> {
        let (finished, path) = match self {
            Sink::File(file) => (file.finish(), file.path.clone()),
            Sink::Stream(mut out) => (out.flush(), PathBuf::from("-")),
        };
        finished.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => CtlError::FileExists(path),
            _ => CtlError::Io {
                verb: "write",
                path,
                source,
            },
        })
    }
}

impl Unfinished {
    fn finish(&self) -> io::Result<()> {
        self.file.sync_all()?;
        self.rename()?;
        let directory = self
            .path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn rename(&self) -> io::Result<()> {
        if self.replace {
            return std::fs::rename(&self.temporary, &self.path);
        }
        let renamed = renameat2(
            AT_FDCWD,
            &self.temporary,
            AT_FDCWD,
            &self.path,
            RenameFlags::RENAME_NOREPLACE,
        );
        match renamed {
            // Not all file systems can do both in one step.
            Err(Errno::EINVAL | Errno::ENOSYS) if self.path.try_exists()? => {
                Err(io::ErrorKind::AlreadyExists.into())
            }
            Err(Errno::EINVAL | Errno::ENOSYS) => std::fs::rename(&self.temporary, &self.path),
            renamed => Ok(renamed?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_is_there_when_it_is_finished_and_never_replaced_unasked() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("index");
        let names = || {
            std::fs::read_dir(directory.path())
                .expect("a directory")
                .count()
        };
        let mut sink = Sink::open(&path, false).expect("a file");
        sink.write(b"one").expect("written");
        assert!(!path.exists());
        // Somebody else is quicker.
        std::fs::write(&path, "other").expect("written");
        assert!(matches!(sink.finish(), Err(CtlError::FileExists(_))));
        assert!(matches!(
            Sink::open(&path, false),
            Err(CtlError::FileExists(_))
        ));
        assert_eq!(
            (std::fs::read(&path).expect("a file"), names()),
            (b"other".to_vec(), 1)
        );
        let mut sink = Sink::open(&path, true).expect("a file");
        sink.write(b"one").expect("written");
        sink.finish().expect("finished");
        assert_eq!(
            (std::fs::read(&path).expect("a file"), names()),
            (b"one".to_vec(), 1)
        );
        assert_eq!(
            std::fs::metadata(&path).expect("a file").mode() & 0o777,
            0o600
        );
        drop(Sink::open(&path, true).expect("a file"));
        assert_eq!(names(), 1, "what was not finished is gone");
        let own = Sink::open(directory.path(), true);
        assert!(matches!(own, Err(CtlError::NotAFile(_))));
    }
}
