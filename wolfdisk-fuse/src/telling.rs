//! Tells whoever asks what this mount has counted: a socket `fuse.PID.stats` beside those of the daemons. A
//! connection is answered with [`COUNTERS_FORMAT`] and lines of a name and a number, and closed. Nothing is done until somebody asks.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use wolfdisk_client::{COUNTERS_FORMAT, Volume};

use crate::calls::Counted;
use crate::gate::Gate;
use crate::limits::{TELL_DEADLINE, WAITER_STACK_BYTES};

/// The socket, which goes with this.
#[derive(Debug)]
pub struct Telling {
    path: PathBuf,
}

impl Telling {
    /// Begins to tell the counters of `volume`, and of the requests that passed `gate`, in `run_dir`.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(run_dir: &Path, volume: &Arc<Volume>, gate: &Arc<Gate>) -> io::Result<Telling> {
        let path = run_dir.join(format!("fuse.{}.stats", std::process::id()));
        sweep(run_dir)?;
        let listener = UnixListener::bind(&path)?;
        let telling = Telling { path };
        let volume = Arc::downgrade(volume);
        let gate = Arc::clone(gate);
        std::thread::Builder::new()
            .name("stats".to_owned())
            .stack_size(WAITER_STACK_BYTES)
            .spawn(move || serve(&listener, &volume, &gate))?;
        Ok(telling)
    }
}

/// Removes what mounts left that were killed. They are not asked: one that is stopped would be waited for.
fn sweep(run_dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(run_dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let of = |name: &str| {
            name.strip_prefix("fuse.")?
                .strip_suffix(".stats")?
                .parse()
                .ok()
        };
        let Some(pid): Option<u32> = of(&name) else {
            continue;
        };
        let gone = pid == std::process::id() || !Path::new(&format!("/proc/{pid}")).exists();
        if !gone {
            continue;
        }
        match std::fs::remove_file(entry.path()) {
            // Another mount that starts was quicker.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    Ok(())
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the socket of the counters stays");
        }
    }
}

fn serve(listener: &UnixListener, volume: &Weak<Volume>, gate: &Gate) {
    loop {
        let accepted = listener.accept();
        let Some(volume) = volume.upgrade() else {
            return;
        };
        let told = accepted.and_then(|(stream, _)| tell(stream, &volume, gate));
        if let Err(error) = told {
            tracing::debug!(%error, "the counters were not told");
            std::thread::sleep(TELL_DEADLINE);
        }
    }
}

fn tell(mut stream: UnixStream, volume: &Volume, gate: &Gate) -> io::Result<()> {
    let mut text = format!("{COUNTERS_FORMAT}\n");
    for (name, value) in volume.counters() {
        writeln!(text, "{name} {value}").map_err(io::Error::other)?;
    }
    for (name, value) in gate.calls().snapshot().iter().flat_map(Counted::lines) {
        writeln!(text, "{name} {value}").map_err(io::Error::other)?;
    }
    stream.set_write_timeout(Some(TELL_DEADLINE))?;
    stream.write_all(text.as_bytes())
}
