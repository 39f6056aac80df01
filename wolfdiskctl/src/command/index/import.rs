//! `index import`: wolfdisk-meta does it, as whom its data belongs to; this gives it the file and says what it did.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;

use super::{is_stream, runs};
use crate::cli::index::Import;
use crate::command::node::own_folder;
use crate::command::{inspect, owner};
use crate::error::CtlError;
use crate::output::{json, print};

/// What wolfdisk-meta says that it did, as far as people are told.
#[derive(Deserialize)]
struct Imported {
    version: u64,
    records: u64,
    kept: Option<PathBuf>,
}

pub(super) fn run(config: &Config, options: &Import, as_json: bool) -> anyhow::Result<()> {
    let paths = config.paths();
    let running = || CtlError::RunningToImport(paths.data_dir().to_owned());
    if runs(&paths) {
        return Err(running().into());
    }
    let _lock = inspect::lock(&paths, running())?;
    let program = own_folder()?.join("wolfdisk-meta");
    let mut command = Command::new(&program);
    if let Some(file) = &config.file {
        command.arg("--config").arg(file);
    }
    command
        .arg("--data-dir")
        .arg(paths.data_dir())
        .arg("--import");
    if options.replace {
        command.arg("--replace");
    }
    // What root has made of data of somebody else must be theirs.
    if let Some((uid, gid)) = owner::to_become(&paths)? {
        command.uid(uid).gid(gid);
    }
    let output = command.stdin(input(&options.file)?).output();
    let output = output.map_err(|source| CtlError::Io {
        verb: "run",
        path: program,
        source,
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        let message = last.map_or_else(
            || format!("wolfdisk-meta: {}", output.status),
            str::to_owned,
        );
        let code = output
            .status
            .code()
            .and_then(|code| u8::try_from(code).ok());
        let exit = code.unwrap_or(Exit::Failed as u8);
        return Err(CtlError::Background { message, exit }.into());
    }
    print(&match as_json {
        true => json(&serde_json::from_slice::<serde_json::Value>(
            &output.stdout,
        )?)?,
        false => for_people(&serde_json::from_slice(&output.stdout)?, paths.data_dir()),
    });
    Ok(())
}

fn for_people(imported: &Imported, data: &Path) -> String {
    let Imported {
        version, records, ..
    } = imported;
    let data = data.display();
    let mut text = format!("imported version {version}: {records} records\n");
    if let Some(kept) = &imported.kept {
        text += &format!("the index that was there is {} now\n", kept.display());
    }
    text += &format!(
        "before you start the node see which chunks are missing: wolfdiskctl check --offline -d {data}; once it runs, \
         chunks that this index does not know are given back\n"
    );
    text
}

/// The file, opened by who asks: whom the data belongs to may not be able to.
fn input(file: &Path) -> Result<Stdio, CtlError> {
    if is_stream(file) {
        return match io::stdin().is_terminal() {
            true => Err(CtlError::BytesOnTerminal),
            false => Ok(Stdio::inherit()),
        };
    }
    let opened = File::open(file).map_err(|source| CtlError::Io {
        verb: "read",
        path: file.to_owned(),
        source,
    });
    opened.map(Stdio::from)
}
