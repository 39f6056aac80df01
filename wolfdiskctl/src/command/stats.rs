//! `stats`: the counters of the node and of the mounts of this machine: on a screen that lives, once, or every second.

use std::collections::BTreeMap;
use std::time::Duration;

use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;
use wolfdisk_proto::v1::MetaStatus;

use super::counters::{of_all, summed};
use super::reach::{must_run, whom};
use crate::cli::{self, Global};
use crate::live::{self, Look};
use crate::output::{is_colored, is_terminal, json, json_line, print, say, table};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn run(global: &Global, options: &cli::Stats) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let reach = whom(global, &config)?;
    let look = || -> anyhow::Result<Look> {
        let answer = must_run(&reach, &config)?;
        let mut counters = counters(&answer);
        let troubles = match &global.node {
            None => {
                let (mounts, troubles) = of_all(config.paths().run_dir())?;
                counters.extend(summed(&mounts));
                troubles
            }
            Some(_) => Vec::new(),
        };
        Ok(Look { counters, troubles })
    };
    if !options.once && !global.json && is_terminal() {
        let color = is_colored(global.no_color);
        live::run(INTERVAL, look, |frame, rates, troubles| {
            live::draw(frame, rates, troubles, color);
        })?;
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

/// All numbers that the daemons tell, by name.
pub(super) fn counters(answer: &MetaStatus) -> BTreeMap<String, u64> {
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
