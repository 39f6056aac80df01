//! `mount --background`: the same command as a process of its own, waited for until it is usable.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;

use super::standing::Standing;
use crate::error::CtlError;
use crate::output::{print, say};

/// The log starts anew above this size, when a mount is started.
const LOG_MAX_BYTES: u64 = 16 * 1024 * 1024;

pub(super) fn start(config: &Config, options: &[String]) -> anyhow::Result<Exit> {
    // Everything that can be said now is said here, not in the log.
    Standing::of(config)?;
    let log_path = config.node.data_dir.join("wolfdisk.log");
    let failed = |source| CtlError::Io {
        verb: "write",
        path: log_path.clone(),
        source,
    };
    let mut log = OpenOptions::new();
    let log = log
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&log_path)
        .map_err(failed)?;
    if log.metadata().map_err(failed)?.len() > LOG_MAX_BYTES {
        log.set_len(0).map_err(failed)?;
    }
    let before = log.metadata().map_err(failed)?.len();
    let own = std::env::current_exe();
    let own = own.map_err(|source| CtlError::Io {
        verb: "find",
        path: "/proc/self/exe".into(),
        source,
    })?;
    let mut command = Command::new("setsid");
    command.arg(&own).arg("mount");
    if let Some(file) = &config.file {
        command.arg("--config").arg(file);
    }
    command
        .arg("--data-dir")
        .arg(&config.node.data_dir)
        .arg("--mount")
        .arg(&config.mount.path);
    for option in options {
        command.arg("-o").arg(option);
    }
    let spawned = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn();
    let mut child = spawned.map_err(|source| CtlError::Io {
        verb: "run",
        path: "setsid".into(),
        source,
    })?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        BufReader::new(out).read_line(&mut line).map_err(failed)?;
    }
    if line.starts_with("ready ") {
        print(&line);
        say(&format!("  logs  {}", log_path.display()));
        return Ok(Exit::Ok);
    }
    let status = child.wait().map_err(failed)?;
    let exit = status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .filter(|code| *code != 0);
    let message = last_line(&log_path, before).map_err(failed)?;
    Err(CtlError::Background {
        message,
        exit: exit.unwrap_or(Exit::Failed as u8),
    }
    .into())
}

/// The last line that was appended after `start`, without the name of the program that wrote it.
fn last_line(path: &Path, start: u64) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let line = text
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("it ended at once");
    Ok(line.to_owned())
}
