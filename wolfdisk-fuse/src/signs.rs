//! Signs of life for the service manager: a thread passes the locks that requests pass, and says so.
//!
//! So a process that stands still gives none, nor does one in which requests wait for each other for ever. One that waits
//! for a daemon or a disk does: to start it anew would only lose what it buffers. And that no thread reads
//! requests any more ends the process by itself (`mount.rs`).

use std::io;
use std::path::Path;
use std::sync::Arc;

use wolfdisk_client::Volume;
use wolfdisk_common::pulse::Pulse;

/// Begins to give them, as long as there is the volume, if anybody listens.
///
/// # Errors
/// The system gives no thread.
pub fn give(pulse: &Pulse, volume: &Arc<Volume>, path: &Path) -> io::Result<()> {
    let Some(every) = pulse.every() else {
        return Ok(());
    };
    let (pulse, volume, path) = (pulse.clone(), Arc::downgrade(volume), path.to_owned());
    std::thread::Builder::new()
        .name("signs".to_owned())
        .spawn(move || {
            while let Some(volume) = volume.upgrade() {
                volume.pass_locks();
                pulse.beat(&doing(&path, volume.is_in_touch()));
                drop(volume);
                std::thread::sleep(every);
            }
        })?;
    Ok(())
}

fn doing(path: &Path, in_touch: bool) -> String {
    let session = match in_touch {
        true => "session ok",
        false => "waits for wolfdisk-meta",
    };
    format!("mounted at {}, {session}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_says_where_it_is_and_whether_it_waits() {
        let path = Path::new("/mnt/wolfdisk");
        assert_eq!(doing(path, true), "mounted at /mnt/wolfdisk, session ok");
        assert!(doing(path, false).ends_with("waits for wolfdisk-meta"));
    }
}
