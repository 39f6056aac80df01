//! `s3`: access keys and mapped buckets, kept in the index, where every gateway finds them.

mod bucket;
mod key;

use bytes::Bytes;
use wolfdisk_client::{
    Error, Expected, KeyEntry, ListKeys, NewObject, Object, ObjectKey, Reach, Volume, VolumeConfig,
};
use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::LIST_KEYS_MAX;

use super::reach::must_run;
use crate::cli::{self, Global};
use crate::error::CtlError;

/// Records are nobody's business but that of who runs the node.
const RECORD_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

pub(super) fn run(global: &Global, what: &cli::s3::S3) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    match what {
        cli::s3::S3::Key(what) => key::run(&config, global.json, what)?,
        cli::s3::S3::Bucket(what) => bucket::run(&config, global.json, what)?,
    }
    Ok(Exit::Ok)
}

/// Does something with the volume of a node that runs, in a session of its own.
fn with_volume<T>(
    config: &Config,
    work: impl FnOnce(&Volume) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    // Who waits for a node that does not run waits long.
    let reach = Reach::of(config)?;
    must_run(&reach, config)?;
    let place = format!("wolfdiskctl {}", std::process::id());
    let wanted = VolumeConfig::new(reach, "ctl", &place);
    let volume = Volume::connect(wanted).map_err(CtlError::Volume)?;
    let done = work(&volume);
    let ended = volume.shutdown();
    let done = done?;
    // It was durable when it was answered: how the session ended is the smaller news.
    if let Err(error) = ended {
        crate::output::say(&format!("the session was not closed in order: {error}"));
    }
    Ok(done)
}

/// Removes a record.
///
/// # Errors
/// `missing`: there is none.
fn remove(config: &Config, place: &ObjectKey, missing: CtlError) -> anyhow::Result<()> {
    with_volume(config, |volume| {
        match volume.remove_object(Ino::SYSTEM_ROOT, place, Expected::Anything) {
            Ok(true) => Ok(()),
            // Or nothing was ever kept.
            Ok(false) | Err(Error::Refused(libc::ENOENT)) => Err(missing.into()),
            Err(error) => Err(CtlError::Volume(error).into()),
        }
    })
}

/// An empty file that is there for what S3 keeps of it.
fn record(bytes: Vec<u8>) -> NewObject {
    NewObject {
        mode: RECORD_MODE,
        directory_mode: FOLDER_MODE,
        uid: nix::unistd::geteuid().as_raw(),
        gid: nix::unistd::getegid().as_raw(),
        s3: Bytes::from(bytes),
        mtime: None,
    }
}

/// All records whose keys begin with `prefix`, in order.
fn records(volume: &Volume, prefix: &'static str) -> Result<Vec<(Bytes, Object)>, CtlError> {
    let (mut found, mut after) = (Vec::new(), Bytes::new());
    loop {
        let request = ListKeys {
            prefix: Bytes::from_static(prefix.as_bytes()),
            after,
            delimiter: false,
            max: LIST_KEYS_MAX,
        };
        let page = match volume.list_keys(Ino::SYSTEM_ROOT, &request) {
            // Nothing was ever kept.
            Err(error) if error.errno() == libc::ENOENT => return Ok(found),
            page => page.map_err(CtlError::Volume)?,
        };
        for entry in page.entries {
            if let KeyEntry::Object { key, object } = entry {
                found.push((key, *object));
            }
        }
        if !page.more {
            return Ok(found);
        }
        after = page.last;
    }
}
