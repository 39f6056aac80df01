//! `stats`: the counters of the node and of the mounts of this machine: on a screen that lives, once, or every second.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use wolfdisk_client::COUNTERS_FORMAT;
use wolfdisk_common::config::Config;
use wolfdisk_common::exit::{Exit, one_line};
use wolfdisk_proto::v1::MetaStatus;

use super::reach::{must_run, whom};
use crate::cli::{self, Global};
use crate::live::{self, Look};
use crate::output::{is_colored, is_terminal, json, json_line, print, say, table};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// A mount that lives tells its counters at once.
const MOUNT_DEADLINE: Duration = Duration::from_secs(1);
/// More than the counters of a mount are.
const MOUNT_ANSWER_MAX_BYTES: u64 = 64 * 1024;

pub(super) fn run(global: &Global, options: &cli::Stats) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let reach = whom(global, &config)?;
    let look = || -> anyhow::Result<Look> {
        let answer = must_run(&reach, &config)?;
        let mut counters = counters(&answer);
        let troubles = match &global.node {
            None => add_mounts(config.paths().run_dir(), &mut counters)?,
            Some(_) => Vec::new(),
        };
        Ok(Look { counters, troubles })
    };
    if !options.once && !global.json && is_terminal() {
        live::run(INTERVAL, is_colored(global.no_color), look)?;
        return Ok(Exit::Ok);
    }
    let mut before: Option<BTreeMap<String, u64>> = None;
    loop {
        let Look { counters, troubles } = look()?;
        troubles.iter().for_each(|trouble| say(trouble));
        match (global.json, options.once) {
            (true, true) => print(&json(&counters)?),
            (true, false) => print(&json_line(&counters)?),
            (false, _) => print(&shown(&counters, before.as_ref())),
        }
        if options.once {
            return Ok(Exit::Ok);
        }
        before = Some(counters);
        std::thread::sleep(INTERVAL);
    }
}

/// Adds what the mounts tell, summed. Those that are gone, or another user's, are left out; of one that does not tell it
/// is said, since all others do.
fn add_mounts(run_dir: &Path, all: &mut BTreeMap<String, u64>) -> anyhow::Result<Vec<String>> {
    use io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    let left_out = |error: &io::Error| {
        matches!(
            error.kind(),
            ConnectionRefused | NotFound | PermissionDenied
        )
    };
    let entries = match std::fs::read_dir(run_dir) {
        Err(error) if left_out(&error) => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut troubles = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !(name.starts_with("fuse.") && name.ends_with(".stats")) {
            continue;
        }
        let failed = || format!("a mount does not tell its counters ({name}); is it stopped?");
        match UnixStream::connect(run_dir.join(&*name)) {
            Err(error) if left_out(&error) => {}
            stream => {
                let text = stream.and_then(told).map_err(anyhow::Error::from);
                let added = text.and_then(|text| add(&text, all)).with_context(failed);
                if let Err(error) = added {
                    troubles.push(one_line(error.as_ref()));
                }
            }
        }
    }
    Ok(troubles)
}

fn told(stream: UnixStream) -> io::Result<String> {
    stream.set_read_timeout(Some(MOUNT_DEADLINE))?;
    let mut text = String::new();
    let mut stream = stream.take(MOUNT_ANSWER_MAX_BYTES);
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Adds what one mount told.
fn add(text: &str, all: &mut BTreeMap<String, u64>) -> anyhow::Result<()> {
    let mut lines = text.lines();
    if lines.next() != Some(COUNTERS_FORMAT) {
        bail!("it is of another release: mount it again");
    }
    let one = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    let counted: Option<Vec<(String, u64)>> = lines.map(one).collect();
    let counted = counted.context("it told what is no counter")?;
    for (name, value) in std::iter::once(("count".to_owned(), 1)).chain(counted) {
        let sum = all.entry(format!("mounts.{name}")).or_default();
        *sum = sum.saturating_add(value);
    }
    Ok(())
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
    // How the times are spread is for programs.
    let is_bucket = |name: &str| name.starts_with("mounts.call_") && name.contains("_le_");
    let told = now.iter().filter(|(name, _)| !is_bucket(name));
    let rows: Vec<Vec<String>> = told.map(row).collect();
    table(&["counter", "value", "change"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_summed() {
        let mut all = BTreeMap::new();
        let tells = |lines: &str| format!("{COUNTERS_FORMAT}\n{lines}");
        add(&tells("bytes_read 4\nname_hits 1\n"), &mut all).expect("counters");
        add(&tells("bytes_read 3\n"), &mut all).expect("counters");
        for text in [
            "",
            "bytes_read 3\n",
            &tells("bytes_read\n"),
            &tells("a -1\n"),
        ] {
            assert!(add(text, &mut all.clone()).is_err(), "{text}");
        }
        let told = all.iter().map(|(name, value)| (name.as_str(), *value));
        let expected = [
            ("mounts.bytes_read", 7),
            ("mounts.count", 2),
            ("mounts.name_hits", 1),
        ];
        assert!(told.eq(expected));
    }
}
