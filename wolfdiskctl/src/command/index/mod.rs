//! `index`: a copy of the index in a file, and the index from it.

mod export;
mod import;
mod sink;

use std::path::{Path, PathBuf};

use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::blocking::Connection;

use super::standing::Standing;
use crate::cli::Global;
use crate::cli::index::Index;
use crate::error::CtlError;

pub(super) fn run(global: &Global, what: &Index) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    if Standing::of(&config)?.member().is_some() {
        return Err(CtlError::NoData(config.node.data_dir.clone()).into());
    }
    match what {
        Index::Export(options) => export::run(&config, options, global.json)?,
        Index::Import(options) => import::run(&config, options, global.json)?,
    }
    Ok(Exit::Ok)
}

/// Whether the name stands for a stream.
fn is_stream(file: &Path) -> bool {
    file == Path::new("-")
}

/// A daemon of the node answers.
fn runs(paths: &Paths) -> bool {
    let answers = |path: PathBuf| Connection::open(&path).is_ok();
    answers(paths.meta_socket()) || answers(paths.chunkd_socket())
}
