//! `doctor`: what is wrong on this machine, and what to do about each. Needs no daemon that runs, changes nothing, and
//! waits for nothing without a deadline.
//!
//! One file for each area. A check looks at the machine and hands what it saw to a function that judges it, which is
//! tested with made-up machines.

mod ask;
mod bundle;
mod clock;
mod configuration;
mod daemons;
mod data;
mod descriptors;
mod finding;
mod firewall;
mod fuse;
mod ground;
mod http;
mod kernel;
mod memory;
mod mounted;
mod network;
mod peers;
mod ports;
mod programs;
mod report;
mod room;
mod running;
mod s3;
mod sockets;
mod units;
mod within;

use std::sync::Arc;
use std::time::Duration;

use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;

use crate::cli::{self, Global};
use crate::error::CtlError;
use crate::output::{json, print, say};
use bundle::Bundle;
use finding::Finding;
use ground::Ground;
use report::Report;
use within::{Check, LOOK, within};

pub(super) fn run(global: &Global, options: &cli::Doctor) -> anyhow::Result<Exit> {
    let bundle = options.bundle.as_deref();
    let begun = bundle.map(|path| Ok::<_, CtlError>((Bundle::begin(global, path)?, path)));
    let begun = begun.transpose()?;
    let (findings, ground) = examine(global);
    let report = Report::new(findings);
    if let Some((bundle, path)) = begun {
        bundle.write(path, global, &report, ground.as_deref())?;
        say(&format!(
            "wrote {}; look into it before you give it away",
            path.display()
        ));
    }
    match global.json {
        true => print(&json(&report)?),
        false => print(&report.for_people(global.no_color)),
    }
    Ok(report.exit())
}

/// All that is found, and what it was found by, if there is a configuration and the data directory answers.
fn examine(global: &Global) -> (Vec<Finding>, Option<Arc<Ground>>) {
    let (mut findings, ground) = prepare(global);
    let checks = match &ground {
        Some(ground) => all(ground),
        None => of_the_machine(),
    };
    findings.extend(checks.into_iter().flat_map(Check::end));
    (findings, ground)
}

/// Reads the configuration and looks at the data directory, on which most checks stand.
fn prepare(global: &Global) -> (Vec<Finding>, Option<Arc<Ground>>) {
    let config = match Config::load(&global.arguments(None)) {
        Ok(config) => config,
        Err(error) => {
            let rest = Finding::warn(
                "configuration",
                "what depends on it is not looked at: data, ports, daemons, mounts",
                "correct it, and run this again",
            );
            return (vec![configuration::refused(&error), rest], None);
        }
    };
    let findings = configuration::check(&config);
    let (global, dir) = (global.clone(), config.node.data_dir.display().to_string());
    match within(LOOK, move || Ground::look(global, config)) {
        Some(ground) => (findings, Some(Arc::new(ground))),
        None => {
            let silent = Finding::fail(
                "data",
                format!("{dir} does not answer within {} s", LOOK.as_secs()),
                "see dmesg; is its disk or its server gone?",
            );
            (findings.into_iter().chain([silent]).collect(), None)
        }
    }
}

/// What needs no configuration.
fn of_the_machine() -> Vec<Check> {
    vec![
        Check::begin("kernel", LOOK, kernel::check),
        Check::begin("memory", LOOK, memory::check),
        Check::begin("clock", LOOK, || clock::check(None)),
    ]
}

/// All checks, under way side by side, in the order in which people look for a cause.
fn all(ground: &Arc<Ground>) -> Vec<Check> {
    let on = |name, limit: Duration, look: fn(&Ground) -> Vec<Finding>| {
        let ground = Arc::clone(ground);
        Check::begin(name, limit, move || look(&ground))
    };
    // They ask programs of the system, several in turn.
    let asking = 3 * LOOK;
    vec![
        on("data", LOOK, data::check),
        on("disk", LOOK, room::check),
        on("fuse", LOOK, fuse::check),
        Check::begin("kernel", LOOK, kernel::check),
        Check::begin("memory", LOOK, memory::check),
        on("open files", LOOK, descriptors::check),
        on("clock", asking, |ground| clock::check(Some(ground))),
        on("network", LOOK, network::check),
        on("ports", LOOK, ports::check),
        on("firewall", asking, firewall::check),
        on("systemd", asking, units::check),
        on("programs", asking, programs::check),
        on("daemons", daemons::LIMIT, daemons::check),
        on("peers", LOOK, peers::check),
        on("mounts", LOOK, mounted::check),
        on("sockets", LOOK, sockets::check),
        on("s3", LOOK, s3::check),
    ]
}
