//! `check`: whether all that is stored is whole, and what is not.
//!
//! The daemons do the work; this asks them, follows them and puts their answers together. Without `--offline`
//! they are the ones that run; with it they are started on their locked data only for this, and change
//! nothing unless repairs are wanted.

mod ask;
mod offline;
mod progress;
mod report;

use std::time::Duration;

use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::blocking::Connection;

use super::standing::Standing;
use crate::cli::{self, Global};
use crate::error::CtlError;
use crate::output::{json, print};
use ask::Daemons;
use progress::Progress;
use report::{Mode, Report};

/// Between two looks at how far the daemons are.
const LOOK: Duration = Duration::from_millis(100);

pub(super) fn run(global: &Global, options: &cli::Check) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let paths = config.paths();
    let mut report = Report::new(match options.offline {
        true => Mode::Offline,
        false => Mode::Online,
    });
    if Standing::of(&config)?.member().is_some() {
        return Err(CtlError::NoData(config.node.data_dir.clone()).into());
    }
    let progress = Progress::new();
    if options.offline {
        refuse_running(&paths)?;
        let (mut inspected, open) = offline::start(&config, options.repair, &mut report)?;
        let sockets = paths.with_sockets_in(inspected.sockets().to_owned());
        let daemons = Daemons::at(&sockets, open.index, open.chunks);
        let outcome = daemons.check(
            options,
            &progress,
            &mut report,
            &mut |pause| match inspected.pause(pause)? {
                true => Err(CtlError::CheckStopped.into()),
                false => Ok(()),
            },
        );
        let stopped = inspected.stop();
        outcome?;
        stopped?;
    } else {
        refuse_stopped(&config, &paths)?;
        let daemons = Daemons::at(&paths, true, true);
        daemons.check(options, &progress, &mut report, &mut |pause| {
            std::thread::sleep(pause);
            Ok(())
        })?;
    }
    drop(progress);
    match global.json {
        true => print(&json(&report.for_programs())?),
        false => print(&report.for_people(global.no_color)),
    }
    Ok(report.exit())
}

fn runs(path: std::path::PathBuf) -> bool {
    Connection::open(&path).is_ok()
}

fn refuse_running(paths: &Paths) -> Result<(), CtlError> {
    match runs(paths.meta_socket()) || runs(paths.chunkd_socket()) {
        true => Err(CtlError::Running(paths.data_dir().to_owned())),
        false => Ok(()),
    }
}

fn refuse_stopped(config: &Config, paths: &Paths) -> Result<(), CtlError> {
    match runs(paths.meta_socket()) && runs(paths.chunkd_socket()) {
        true => Ok(()),
        false => Err(CtlError::NotRunningToCheck(config.node.data_dir.clone())),
    }
}
