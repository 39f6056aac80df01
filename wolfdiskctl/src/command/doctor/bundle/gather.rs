//! What goes into a bundle, before secrets are taken out of it. What is not to be had is left out, or says why.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use wolfdisk_common::mounts::{self, Mounted};
use wolfdisk_common::release::release;

use super::super::ask::ask_well;
use super::super::ground::Ground;
use super::super::http::get;
use super::super::running::Running;
use super::super::within::{LOOK, within};
use super::logs::{journal, tail};
use super::settings::shareable;
use crate::cli::Global;
use crate::command::counters::{of_all, summed};
use crate::command::node::own_folder;
use crate::command::reach::{must_run, whom};
use crate::command::stats;

/// The longest configuration that is looked into.
const CONFIG_MAX_BYTES: u64 = 1 << 20;

/// Values of JSON, each with the name of its file.
pub(super) fn values(ground: Option<&Ground>) -> Vec<(String, serde_json::Value)> {
    let Some(ground) = ground else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let status = ground.status.get().cloned();
    // Where nobody answers a second question would only wait.
    let answers = status.is_some();
    all.extend(status.map(|status| ("status.json".to_owned(), status)));
    let (global, config) = (ground.global.clone(), ground.config.clone());
    let counted = within(LOOK, move || {
        let mut counters = std::collections::BTreeMap::new();
        if answers {
            let answer = whom(&global, &config).and_then(|reach| Ok(must_run(&reach, &config)?));
            counters.extend(answer.iter().flat_map(stats::counters));
        }
        let mounts = of_all(config.paths().run_dir()).map(|(mounts, _)| mounts);
        counters.extend(summed(&mounts.unwrap_or_default()));
        counters
    });
    if let Some(Ok(counted)) = counted.map(serde_json::to_value) {
        all.push(("stats.json".to_owned(), counted));
    }
    all
}

/// Texts, each with the name of its file.
pub(super) fn texts(global: &Global, ground: Option<&Ground>) -> Vec<(String, String)> {
    let mut all = vec![
        ("system.txt".to_owned(), system(ground)),
        (
            "programs.txt".to_owned(),
            programs(ground.map_or(&[][..], |ground| &ground.running[..])),
        ),
    ];
    all.extend(configuration(global, ground).map(|text| ("config.txt".to_owned(), text)));
    all.extend(journal().map(|text| ("logs/journal.txt".to_owned(), text)));
    let Some(ground) = ground else {
        return all;
    };
    let log = ground.config.node.data_dir.join("wolfdisk.log");
    let read = within(LOOK, move || tail(&log).ok()).flatten();
    all.extend(read.map(|text| ("logs/wolfdisk.log".to_owned(), text)));
    let admin = ground.config.admin;
    for (name, address) in [
        ("wolfdisk-meta", admin.bind),
        ("wolfdisk-chunkd", admin.chunk_bind),
        ("wolfdisk-s3", admin.s3_bind),
    ] {
        if ground.runs(name) {
            all.push((format!("metrics/{name}.txt"), metrics(address)));
        }
    }
    all
}

fn metrics(address: SocketAddr) -> String {
    match get(address, "/metrics") {
        Ok((200, text)) => text,
        Ok((status, _)) => format!("{address} answered with status {status}\n"),
        Err(error) => format!("{address}: {error}\n"),
    }
}

/// The settings of the file that is used, or why there are none.
fn configuration(global: &Global, ground: Option<&Ground>) -> Option<String> {
    let used = ground.and_then(|ground| ground.config.file.clone());
    let path = used.or_else(|| global.config.clone())?;
    let length = std::fs::metadata(&path).map_or(0, |found| found.len());
    if length > CONFIG_MAX_BYTES {
        return Some("# it is too long to be one\n".to_owned());
    }
    Some(match std::fs::read_to_string(&path) {
        Ok(text) => shareable(&text),
        Err(error) => format!("# it cannot be read: {error}\n"),
    })
}

fn system(ground: Option<&Ground>) -> String {
    let mut text = String::new();
    let mut add = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {}", value.trim());
    };
    let file = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    add("kernel", &file("/proc/version"));
    let release = file("/etc/os-release");
    let name = release
        .lines()
        .find(|line| line.starts_with("PRETTY_NAME="));
    add("distribution", name.unwrap_or_default());
    add("uptime and idle time in s", &file("/proc/uptime"));
    add("load", &file("/proc/loadavg"));
    for line in file("/proc/meminfo").lines().take(3) {
        add("memory", line);
    }
    add(
        "pressure of memory",
        &file("/proc/pressure/memory").replace('\n', "; "),
    );
    add(
        "pressure of disks",
        &file("/proc/pressure/io").replace('\n', "; "),
    );
    let data = ground.map(|ground| ground.config.node.data_dir.as_path());
    for mount in mounts::all().unwrap_or_default() {
        if concerns(&mount, data) {
            let line = format!(
                "{} on {} as {}",
                mount.kind,
                mount.path.display(),
                mount.device
            );
            add("mount", &line);
        }
    }
    text
}

/// Other mounts are not our business.
fn concerns(mount: &Mounted, data: Option<&Path>) -> bool {
    mount.is_ours() || data.is_some_and(|data| data.starts_with(&mount.path))
}

fn programs(running: &[Running]) -> String {
    let mut text = format!("wolfdiskctl {}\n", release());
    let folder = own_folder().unwrap_or_default();
    for name in [
        "wolfdisk-meta",
        "wolfdisk-chunkd",
        "wolfdisk-fuse",
        "wolfdisk-s3",
    ] {
        let program = folder.join(name);
        let said = program
            .to_str()
            .and_then(|program| ask_well(program, &["--version"]));
        let _ = writeln!(
            text,
            "{}",
            said.unwrap_or_else(|| format!("{name} does not answer"))
        );
    }
    for one in running {
        let _ = writeln!(text, "runs: {}", one.text());
    }
    text
}
