//! `stats`: the counters of the node, once or every second.

use std::collections::BTreeMap;
use std::time::Duration;

use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;
use wolfdisk_proto::v1::MetaStatus;

use super::reach::{must_run, whom};
use crate::cli::{self, Global};
use crate::output::{json, print, table};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn run(global: &Global, options: &cli::Stats) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let reach = whom(global, &config)?;
    let mut before: Option<BTreeMap<String, u64>> = None;
    loop {
        let answer = must_run(&reach, &config)?;
        let now = counters(&answer);
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
