//! The file itself: a tar archive, compressed by gzip, that only its owner may read.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

/// The folder that it unpacks into.
const FOLDER: &str = "wolfdisk-support";

/// One that is being written. What is not finished is removed.
pub(super) struct Archive {
    path: PathBuf,
    builder: Option<Builder<GzEncoder<File>>>,
    mtime_s: u64,
}

impl Archive {
    /// Makes the file, which must not be there.
    ///
    /// # Errors
    /// It is there, or cannot be made.
    pub(super) fn create(path: &Path) -> io::Result<Archive> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Archive {
            path: path.to_owned(),
            builder: Some(Builder::new(GzEncoder::new(file, Compression::default()))),
            mtime_s: now.map_or(0, |since| since.as_secs()),
        })
    }

    /// Adds a file of that name.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn add(&mut self, name: &str, text: &str) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.mtime_s);
        match &mut self.builder {
            Some(builder) => {
                builder.append_data(&mut header, format!("{FOLDER}/{name}"), text.as_bytes())
            }
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Writes the rest. The file is durable when this returns.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let Some(builder) = self.builder.take() else {
            return Ok(());
        };
        let written = || -> io::Result<()> {
            let mut file = builder.into_inner()?.finish()?;
            file.flush()?;
            file.sync_all()
        };
        written().inspect_err(|_| remove(&self.path))
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if self.builder.is_some() {
            remove(&self.path);
        }
    }
}

/// Removes half a file; why it was not finished is the greater news.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_put_in_comes_out_and_nothing_is_overwritten() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("b.tar.gz");
        let mut archive = Archive::create(&path).expect("made");
        archive.add("a.txt", "one").expect("added");
        archive.add("logs/b.txt", "").expect("added");
        archive.finish().expect("written");
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let file = File::open(&path).expect("a file");
        let mut unpacked = tar::Archive::new(flate2::read::GzDecoder::new(file));
        let mut found = Vec::new();
        for entry in unpacked.entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("read");
            found.push((entry.path().expect("a path").display().to_string(), text));
        }
        let expected = [("a.txt", "one"), ("logs/b.txt", "")];
        let expected = expected.map(|(name, text)| (format!("{FOLDER}/{name}"), text.to_owned()));
        assert_eq!(found, expected);
        let again = Archive::create(&path).err().expect("it is there");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn half_a_file_is_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("b.tar.gz");
        let mut archive = Archive::create(&path).expect("made");
        archive.add("a.txt", "one").expect("added");
        drop(archive);
        assert!(!path.exists());
    }
}
