//! Which processes of a data directory run, as lock files, sockets and `/proc` tell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use wolfdisk_common::config::Config;

use crate::command::counters::process_of;
use crate::users;

/// A daemon that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) name: &'static str,
    pub(super) pid: u32,
}

impl Running {
    /// As a message names it.
    pub(super) fn text(&self) -> String {
        format!("{} (process {})", self.name, self.pid)
    }

    /// Its state, as the kernel abbreviates it: `R`, `S`, `D`, `T`, ..
    pub(super) fn state(&self) -> Option<char> {
        users::state_of(self.pid)
    }
}

/// Those of the data directory that is configured. Of other users' daemons only root learns.
pub(super) fn running(config: &Config) -> Vec<Running> {
    let paths = config.paths();
    let mut found = Vec::new();
    let by_lock = [
        ("wolfdisk-meta", paths.meta_lock()),
        ("wolfdisk-chunkd", paths.chunkd_lock()),
    ];
    for (name, lock) in by_lock {
        let text = std::fs::read_to_string(lock).unwrap_or_default();
        let holder = text.trim().parse().ok();
        found.extend(holder.map(|pid| Running { name, pid }));
    }
    found.extend(fuses(paths.run_dir()));
    let s3 = users::named("wolfdisk-s3").into_iter();
    let s3 = s3.filter(|process| works_on(process.pid, &config.node.data_dir));
    found.extend(s3.map(|process| Running {
        name: "wolfdisk-s3",
        pid: process.pid,
    }));
    // A lock file and a socket outlive their process, whose number another may have now.
    found.retain(|one| users::is_alive(one.pid) && users::name_of(one.pid) == one.name);
    found
}

fn fuses(run_dir: &Path) -> Vec<Running> {
    let entries = std::fs::read_dir(run_dir).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| process_of(&entry.file_name().to_string_lossy()));
    let fuse = |pid| Running {
        name: "wolfdisk-fuse",
        pid,
    };
    pids.map(fuse).collect()
}

/// Whether its command line names the directory, or none.
fn works_on(pid: u32, dir: &Path) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    match words.find(|word| *word == b"--data-dir") {
        Some(_) => words
            .next()
            .is_some_and(|given| Path::new(OsStr::from_bytes(given)) == dir),
        None => dir == Path::new(wolfdisk_common::paths::SYSTEM_DATA_DIR),
    }
}
