//! `stats`: the counters of the node and of the mounts of this machine, once or every second.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::v1::MetaStatus;

use super::reach::{must_run, whom};
use crate::cli::{self, Global};
use crate::output::{json, print, table};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// A mount that lives tells its counters at once.
const MOUNT_DEADLINE: Duration = Duration::from_secs(1);
/// More than the counters of a mount are.
const MOUNT_ANSWER_MAX_BYTES: u64 = 64 * 1024;

pub(super) fn run(global: &Global, options: &cli::Stats) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let reach = whom(global, &config)?;
    let mut before: Option<BTreeMap<String, u64>> = None;
    loop {
        let answer = must_run(&reach, &config)?;
        let mut now = counters(&answer);
        if global.node.is_none() {
            let paths = Paths::new(config.node.data_dir.clone());
            add_mounts(paths.run_dir(), &mut now)?;
        }
        match global.json {
            true => print(&json(&now)?),
            false => print(&shown(&now, before.as_ref())),
        }
        if options.once {
            return Ok(Exit::Ok);
        }
        before = Some(now);
        std::thread::sleep(INTERVAL);
    }
}

/// Adds what the mounts tell, summed. Those that are gone, or another user's, are left out.
fn add_mounts(run_dir: &Path, all: &mut BTreeMap<String, u64>) -> io::Result<()> {
    use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    let entries = match std::fs::read_dir(run_dir) {
        Err(error) if matches!(error.kind(), NotFound | PermissionDenied) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with("fuse.") && name.ends_with(".stats")) {
            continue;
        }
        let mut stream = match UnixStream::connect(run_dir.join(&*name)) {
            Err(error)
                if matches!(
                    error.kind(),
                    ConnectionRefused | NotFound | PermissionDenied
                ) =>
            {
                continue;
            }
            stream => stream?,
        };
        stream.set_read_timeout(Some(MOUNT_DEADLINE))?;
        let mut text = String::new();
        Read::by_ref(&mut stream)
            .take(MOUNT_ANSWER_MAX_BYTES)
            .read_to_string(&mut text)?;
        add(&text, all);
    }
    Ok(())
}

/// Adds the lines of one mount.
fn add(text: &str, all: &mut BTreeMap<String, u64>) {
    let told = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(' ')?;
        Some((name, value.parse::<u64>().ok()?))
    });
    for (name, value) in std::iter::once(("count", 1)).chain(told) {
        let sum = all.entry(format!("mounts.{name}")).or_default();
        *sum = sum.saturating_add(value);
    }
}

/// All numbers that the daemons tell, by name.
fn counters(answer: &MetaStatus) -> BTreeMap<String, u64> {
    let mut all: BTreeMap<String, u64> = [
        ("meta.version", answer.version),
        ("meta.durable_version", answer.durable_version),
        ("meta.checkpoint_version", answer.checkpoint_version),
        ("meta.inodes", answer.inodes),
        ("meta.bytes", answer.bytes),
        ("meta.chunks", answer.chunks),
        ("meta.undestaged_bytes", answer.undestaged_bytes),
        ("meta.log_bytes", answer.log_bytes),
        ("meta.overlay_bytes", answer.overlay_bytes),
        ("meta.sessions", answer.sessions.len() as u64),
        ("meta.uptime_ms", answer.uptime_ms),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    all.extend(
        answer
            .counters
            .iter()
            .map(|(name, value)| (format!("meta.{name}"), *value)),
    );
    if let Some(chunkd) = &answer.chunkd {
        let own = [
            ("chunkd.chunks", chunkd.chunks),
            ("chunkd.live_bytes", chunkd.live_bytes),
            ("chunkd.segment_bytes", chunkd.segment_bytes),
            ("chunkd.segments", u64::from(chunkd.segments)),
            ("chunkd.disk_free_bytes", chunkd.disk_free_bytes),
            ("chunkd.uptime_ms", chunkd.uptime_ms),
        ];
        all.extend(own.map(|(name, value)| (name.to_owned(), value)));
        all.extend(
            chunkd
                .counters
                .iter()
                .map(|(name, value)| (format!("chunkd.{name}"), *value)),
        );
    }
    all
}

fn shown(now: &BTreeMap<String, u64>, before: Option<&BTreeMap<String, u64>>) -> String {
    let change = |name: &String, value: u64| match before.and_then(|before| before.get(name)) {
        Some(old) if value != *old => format!("{:+}", i128::from(value) - i128::from(*old)),
        _ => String::new(),
    };
    let row = |(name, value): (&String, &u64)| {
        vec![name.clone(), value.to_string(), change(name, *value)]
    };
    let rows: Vec<Vec<String>> = now.iter().map(row).collect();
    table(&["counter", "value", "change"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_summed() {
        let mut all = BTreeMap::new();
        add("bytes_read 4\nname_hits 1\n", &mut all);
        add("bytes_read 3\n", &mut all);
        let told = all.iter().map(|(name, value)| (name.as_str(), *value));
        let expected = [
            ("mounts.bytes_read", 7),
            ("mounts.count", 2),
            ("mounts.name_hits", 1),
        ];
        assert!(told.eq(expected));
    }
}
