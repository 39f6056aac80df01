//! What the mounts of this machine tell of themselves, each at a socket of its own beside those of the daemons.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use wolfdisk_client::COUNTERS_FORMAT;
use wolfdisk_common::exit::one_line;

/// A mount that lives tells its counters at once.
const MOUNT_DEADLINE: Duration = Duration::from_secs(1);
/// More than the counters of a mount are.
const MOUNT_ANSWER_MAX_BYTES: u64 = 64 * 1024;

/// What one mount has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Its wolfdisk-fuse.
    pub(super) pid: u32,
    /// By the names that it gives them.
    pub(super) counters: BTreeMap<String, u64>,
}

/// What all mounts tell, and what is wrong with those that do not. Those that are gone, or another user's, are left out.
///
/// # Errors
/// The directory of the sockets cannot be read.
pub(super) fn of_all(run_dir: &Path) -> io::Result<(Vec<Counted>, Vec<String>)> {
    let entries = match std::fs::read_dir(run_dir) {
        Err(error) if is_left_out(&error) => return Ok((Vec::new(), Vec::new())),
        entries => entries?,
    };
    let (mut mounts, mut troubles) = (Vec::new(), Vec::new());
    for entry in entries {
        let name = entry?.file_name();
        let Some(pid) = process_of(&name.to_string_lossy()) else {
            continue;
        };
        match of_one(run_dir, pid) {
            Ok(counted) => mounts.extend(counted),
            Err(error) => troubles.push(one_line(error.as_ref())),
        }
    }
    Ok((mounts, troubles))
}

/// What the mount of a process tells; `None`: it is gone, or another user's.
///
/// # Errors
/// It does not tell it.
pub(super) fn of_one(run_dir: &Path, pid: u32) -> anyhow::Result<Option<Counted>> {
    let name = socket_of(pid);
    let failed = || format!("a mount does not tell its counters ({name}); is it stopped?");
    let stream = match UnixStream::connect(run_dir.join(&name)) {
        Err(error) if is_left_out(&error) => return Ok(None),
        stream => stream.with_context(failed)?,
    };
    let text = told(stream).with_context(failed)?;
    let counters = counters(&text).with_context(failed)?;
    Ok(Some(Counted { pid, counters }))
}

/// The name of the socket at which a process tells.
fn socket_of(pid: u32) -> String {
    format!("fuse.{pid}.stats")
}

/// The process that tells at a socket of that name.
pub(super) fn process_of(socket: &str) -> Option<u32> {
    let pid = socket.strip_prefix("fuse.")?.strip_suffix(".stats")?;
    pid.parse().ok()
}

/// The counters of mounts together, as `mounts.*`, and how many mounts there are.
pub(super) fn summed(mounts: &[Counted]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for mount in mounts {
        let one = std::iter::once(("count", 1));
        let counters = mount.counters.iter();
        for (name, value) in one.chain(counters.map(|(name, value)| (name.as_str(), *value))) {
            let sum: &mut u64 = all.entry(format!("mounts.{name}")).or_default();
            *sum = sum.saturating_add(value);
        }
    }
    all
}

fn is_left_out(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    matches!(
        error.kind(),
        ConnectionRefused | NotFound | PermissionDenied
    )
}

fn told(stream: UnixStream) -> io::Result<String> {
    stream.set_read_timeout(Some(MOUNT_DEADLINE))?;
    let mut text = String::new();
    let mut stream = stream.take(MOUNT_ANSWER_MAX_BYTES);
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn counters(text: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut lines = text.lines();
    if lines.next() != Some(COUNTERS_FORMAT) {
        bail!("it is of another release: mount it again");
    }
    let one = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    let counted: Option<BTreeMap<String, u64>> = lines.map(one).collect();
    counted.context("it told what is no counter")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_summed() {
        let tells = |lines: &str| format!("{COUNTERS_FORMAT}\n{lines}");
        let mount = |pid, text: &str| Counted {
            pid,
            counters: counters(text).expect("counters"),
        };
        let all = summed(&[
            mount(3, &tells("bytes_read 4\nname_hits 1\n")),
            mount(4, &tells("bytes_read 3\n")),
        ]);
        for text in [
            "",
            "bytes_read 3\n",
            &tells("bytes_read\n"),
            &tells("a -1\n"),
        ] {
            assert!(counters(text).is_err(), "{text}");
        }
        let told = all.iter().map(|(name, value)| (name.as_str(), *value));
        let expected = [
            ("mounts.bytes_read", 7),
            ("mounts.count", 2),
            ("mounts.name_hits", 1),
        ];
        assert!(told.eq(expected));
    }

    #[test]
    fn a_socket_names_its_process() {
        assert_eq!(process_of(&socket_of(17)), Some(17));
        for other in ["meta.sock", "fuse..stats", "fuse.x.stats", "fuse.1"] {
            assert_eq!(process_of(other), None, "{other}");
        }
    }
}
