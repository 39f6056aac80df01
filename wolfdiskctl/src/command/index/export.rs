//! `index export`: asks wolfdisk-meta for it, part by part. Offline it is started only for that.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use wolfdisk_common::config::Config;
use wolfdisk_proto::Failure;
use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{ExportRequest, MetaClient};

use super::sink::Sink;
use super::{is_stream, runs};
use crate::cli::index::Export;
use crate::command::inspect::{self, Inspected, Opened};
use crate::error::CtlError;
use crate::output::{bytes, json, print, say};

/// A daemon under load answers within this, or something is wrong.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// What was exported.
#[derive(Serialize)]
struct Exported<'a> {
    file: &'a Path,
    bytes: u64,
    version: u64,
    records: u64,
}

pub(super) fn run(config: &Config, options: &Export, as_json: bool) -> anyhow::Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone()).map_err(|source| CtlError::Io {
            verb: "watch for signals in",
            path: "this process".into(),
            source,
        })?;
    }
    let mut sink = Sink::open(&options.file, options.force)?;
    let exported = match options.offline {
        true => offline(config, options, &mut sink, &stop)?,
        false => online(config, options, &mut sink, &stop)?,
    };
    sink.finish()?;
    let text = match as_json {
        true => json(&exported)?,
        false => format!(
            "exported version {}: {} records, {}\n",
            exported.version,
            exported.records,
            bytes(exported.bytes)
        ),
    };
    match is_stream(&options.file) {
        true => say(text.trim_end()),
        false => print(&text),
    }
    Ok(())
}

fn online<'a>(
    config: &Config,
    options: &'a Export,
    sink: &mut Sink,
    stop: &AtomicBool,
) -> anyhow::Result<Exported<'a>> {
    let paths = config.paths();
    if !runs(&paths) {
        return Err(CtlError::NotRunningToExport(config.node.data_dir.clone()).into());
    }
    let meta = MetaClient(Pool::new(paths.meta_socket()));
    take(&meta, options, sink, stop)
}

fn offline<'a>(
    config: &Config,
    options: &'a Export,
    sink: &mut Sink,
    stop: &AtomicBool,
) -> anyhow::Result<Exported<'a>> {
    let paths = config.paths();
    let running = || CtlError::RunningToExport(paths.data_dir().to_owned());
    if runs(&paths) {
        return Err(running().into());
    }
    let mut inspected = Inspected::new(&paths, inspect::lock(&paths, running())?)?;
    match inspected.open("wolfdisk-meta", config, false)? {
        Opened::Ready => {}
        Opened::Stop => return Err(CtlError::ExportStopped.into()),
        Opened::Refused(message) => return Err(CtlError::Background { message, exit: 1 }.into()),
    }
    let sockets = paths.with_sockets_in(inspected.sockets().to_owned());
    let meta = MetaClient(Pool::new(sockets.meta_socket()));
    let outcome = take(&meta, options, sink, stop);
    let stopped = inspected.stop();
    let exported = outcome?;
    stopped?;
    Ok(exported)
}

fn take<'a>(
    meta: &MetaClient<Pool>,
    options: &'a Export,
    sink: &mut Sink,
    stop: &AtomicBool,
) -> anyhow::Result<Exported<'a>> {
    let (mut run, mut taken) = (0, 0);
    loop {
        let mut how = Options {
            retry: false,
            ..Options::within(ANSWER_DEADLINE)
        };
        let request = ExportRequest { run, taken };
        let reply = meta.export(&mut how, &request).map_err(asked)?;
        if !reply.failed.is_empty() {
            return Err(CtlError::ExportFailed(reply.failed).into());
        }
        sink.write(&reply.part)?;
        run = reply.run;
        taken += reply.part.len() as u64;
        if reply.ended {
            return Ok(Exported {
                file: &options.file,
                bytes: taken,
                version: reply.version,
                records: reply.records,
            });
        }
        if stop.load(Ordering::Relaxed) {
            return Err(CtlError::ExportStopped.into());
        }
    }
}

fn asked(failure: Failure) -> CtlError {
    match failure {
        Failure::Errno(libc::ESTALE) => CtlError::ExportBrokenOff,
        Failure::Errno(libc::EBUSY) => CtlError::ExportRuns,
        other => CtlError::Ask(other),
    }
}
