//! `s3 bucket map`, `unmap`, `list`.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Serialize;
use wolfdisk_client::{Content, Error, Expected, FileKind, Lookup, Volume};
use wolfdisk_common::bucket::BucketName;
use wolfdisk_common::bucket_map::{self, FolderPath};
use wolfdisk_common::config::Config;
use wolfdisk_common::ids::Ino;

use crate::cli::s3::Bucket;
use crate::error::CtlError;
use crate::output::{json, print, say, table};

/// One mapped bucket in JSON.
#[derive(Debug, Serialize)]
struct Shown {
    bucket: String,
    folder: String,
    state: State,
}

/// What is at a mapped bucket's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// It is there.
    Good,
    /// It is not: the bucket does not exist for clients.
    Gone,
    /// A directory at the top has the bucket's name.
    Hidden,
    /// The record cannot be read.
    Damaged,
}

pub(super) fn run(config: &Config, as_json: bool, what: &Bucket) -> anyhow::Result<()> {
    match what {
        Bucket::Map { name, path } => map(config, as_json, name, path),
        Bucket::Unmap { name } => unmap(config, as_json, name),
        Bucket::List => list(config, as_json),
    }
}

fn map(config: &Config, as_json: bool, name: &BucketName, path: &Path) -> anyhow::Result<()> {
    let path = FolderPath::parse(path.as_os_str().as_bytes()).map_err(CtlError::FolderPath)?;
    super::with_volume(config, |volume| {
        if is_directory(volume, volume.root(), name.as_str().as_bytes())?.is_some() {
            return Err(CtlError::BucketTaken(name.clone()).into());
        }
        if folder(volume, &path)?.is_none() {
            return Err(CtlError::NoFolder(path.clone()).into());
        }
        let system = volume.system_root().map_err(CtlError::Volume)?;
        let new = super::record(path.encode());
        let nothing = Content::Bytes(bytes::Bytes::new());
        let place = bucket_map::place(name)?;
        match volume.publish(system, &place, nothing, new, Expected::Absent) {
            Err(Error::Changed) => Err(CtlError::BucketMapped(name.clone()).into()),
            done => done
                .map(drop)
                .map_err(|error| CtlError::Volume(error).into()),
        }
    })?;
    let shown = Shown {
        bucket: name.to_string(),
        folder: path.to_string(),
        state: State::Good,
    };
    match as_json {
        true => print(&json(&shown)?),
        false => say(&format!("bucket {name} is the folder {path}")),
    }
    Ok(())
}

fn unmap(config: &Config, as_json: bool, name: &BucketName) -> anyhow::Result<()> {
    let missing = CtlError::BucketNotMapped(name.clone());
    super::remove(config, &bucket_map::place(name)?, missing)?;
    match as_json {
        true => print(&json(&serde_json::json!({ "unmapped": name.as_str() }))?),
        false => say(&format!(
            "bucket {name} is mapped no more; its folder is as it was"
        )),
    }
    Ok(())
}

fn list(config: &Config, as_json: bool) -> anyhow::Result<()> {
    let shown = super::with_volume(config, |volume| {
        let mut shown = Vec::new();
        for (key, object) in super::records(volume, bucket_map::PREFIX)? {
            if let Some(name) = bucket_map::bucket_at(&key) {
                let record = object.s3.as_deref().unwrap_or_default();
                shown.push(look(volume, &name, record)?);
            }
        }
        Ok(shown)
    })?;
    if as_json {
        print(&json(&shown)?);
    } else {
        let rows: Vec<Vec<String>> = shown.iter().map(Shown::row).collect();
        print(&table(&["bucket", "folder", "state"], &rows));
    }
    Ok(())
}

fn look(volume: &Volume, name: &BucketName, record: &[u8]) -> Result<Shown, CtlError> {
    let (folder, state) = match FolderPath::decode(record) {
        Err(_) => (String::new(), State::Damaged),
        Ok(path) => {
            let own = is_directory(volume, volume.root(), name.as_str().as_bytes())?;
            let state = match (own, folder(volume, &path)?) {
                (Some(_), _) => State::Hidden,
                (None, None) => State::Gone,
                (None, Some(_)) => State::Good,
            };
            (path.to_string(), state)
        }
    };
    let bucket = name.to_string();
    Ok(Shown {
        bucket,
        folder,
        state,
    })
}

impl Shown {
    fn row(&self) -> Vec<String> {
        let state = match self.state {
            State::Good => "good",
            State::Gone => "the folder is gone",
            State::Hidden => "hidden: a directory at the top has this name",
            State::Damaged => "damaged: unmap it and map it again",
        };
        vec![self.bucket.clone(), self.folder.clone(), state.to_owned()]
    }
}

/// The folder at a path, gone name by name; no symbolic link is followed.
fn folder(volume: &Volume, path: &FolderPath) -> Result<Option<Ino>, CtlError> {
    let mut at = volume.root();
    for name in path.names() {
        match is_directory(volume, at, name.as_bytes())? {
            Some(ino) => at = ino,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// The directory of a name in another, if it is one.
fn is_directory(volume: &Volume, parent: Ino, name: &[u8]) -> Result<Option<Ino>, CtlError> {
    match volume.lookup(parent, name) {
        Ok(Lookup::Found(entry)) if entry.attr.kind == FileKind::Directory => {
            Ok(Some(entry.attr.ino))
        }
        Ok(Lookup::Found(_) | Lookup::Missing { .. }) => Ok(None),
        // The directory above went meanwhile.
        Err(error) if matches!(error.errno(), libc::ENOENT | libc::ENOTDIR) => Ok(None),
        Err(error) => Err(CtlError::Volume(error)),
    }
}
