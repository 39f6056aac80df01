//! The daemons of a node that does not run, started on its locked data for one check.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use bytes::Bytes;
use wolfdisk_common::config::Config;
use wolfdisk_common::paths::Paths;
use wolfdisk_proto::v1::CheckFinding;
use wolfdisk_proto::v1::check_finding::Severity;

use super::report::Report;
use crate::command::inspect::{self, Inspected, Opened};
use crate::error::CtlError;

/// Where wolfdisk-meta makes an index that is imported: with the import it goes.
const IMPORT: &str = "meta.import";
/// What may be in a directory in which nothing is stored: the lock of a daemon that was started, and what a new disk has.
const NO_DATA: [&str; 2] = ["lock", "lost+found"];

/// Which of them could open their data.
pub(super) struct Open {
    pub(super) index: bool,
    pub(super) chunks: bool,
}

/// How much there is to be checked.
enum Extent {
    /// An index, or chunks.
    Something,
    /// Neither, as `init` leaves it.
    NothingYet,
    /// Neither, where there was one.
    NothingAnyMore,
}

/// Locks the data and starts the daemons. One that cannot open its data is a finding. Where everything is gone none is
/// started: a repair would make it anew.
pub(super) fn start(
    config: &Config,
    repair: bool,
    report: &mut Report,
) -> anyhow::Result<(Inspected, Open)> {
    let paths = config.paths();
    let lock = inspect::lock(&paths, CtlError::Running(paths.data_dir().to_owned()))?;
    let left = paths.data_dir().join(IMPORT);
    if left.exists() {
        report.add(cut_off(&left));
    }
    let mut inspected = Inspected::new(&paths, lock)?;
    match extent(&paths)? {
        Extent::NothingAnyMore => {
            report.add(nothing_any_more(&paths));
            let (index, chunks) = (false, false);
            return Ok((inspected, Open { index, chunks }));
        }
        Extent::NothingYet => report.add(nothing_yet()),
        Extent::Something => {}
    }
    let mut open = |name| match inspected.open(name, config, repair)? {
        Opened::Ready => Ok(true),
        Opened::Stop => Err(anyhow::Error::from(CtlError::CheckStopped)),
        Opened::Refused(why) => {
            report.add(unopened(name, &why));
            Ok(false)
        }
    };
    let chunks = open("wolfdisk-chunkd")?;
    let index = open("wolfdisk-meta")?;
    Ok((inspected, Open { index, chunks }))
}

fn extent(paths: &Paths) -> Result<Extent, CtlError> {
    let index = names(&paths.meta_dir())?;
    let chunks = names(&paths.chunks_dir())?;
    let is_segment = |name: &OsString| Path::new(name).extension() == Some("seg".as_ref());
    if !index.is_empty() || chunks.iter().any(is_segment) || paths.data_dir().join(IMPORT).exists()
    {
        return Ok(Extent::Something);
    }
    // The daemons make the key at their first start, and leave it outside of what they look after.
    Ok(match chunks.is_empty() && !paths.node_key().exists() {
        true => Extent::NothingYet,
        false => Extent::NothingAnyMore,
    })
}

/// What is in a directory, which need not be there, but for what is no data.
fn names(directory: &Path) -> Result<Vec<OsString>, CtlError> {
    let failed = |source| CtlError::Io {
        verb: "list",
        path: directory.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        if !NO_DATA.iter().any(|other| name == *other) {
            names.push(name);
        }
    }
    Ok(names)
}

fn nothing_yet() -> CheckFinding {
    CheckFinding {
        severity: Severity::Note.into(),
        what: "there is neither an index nor a chunk: the node was initialised and has never run"
            .to_owned(),
        path: Bytes::new(),
        ranges: Vec::new(),
        advice: "if it is to be new, nothing; else another data directory is meant: -d DIR"
            .to_owned(),
        chunk: Bytes::new(),
    }
}

fn nothing_any_more(paths: &Paths) -> CheckFinding {
    CheckFinding {
        severity: Severity::Lost.into(),
        what: format!(
            "there is neither an index in {} nor a chunk in {}, and the node has run before",
            paths.meta_dir().display(),
            paths.chunks_dir().display()
        ),
        path: Bytes::new(),
        ranges: Vec::new(),
        advice: "do not start the node, it would begin without files: mount the disks that they are on, or restore both \
                 from one cold copy"
            .to_owned(),
        chunk: Bytes::new(),
    }
}

fn cut_off(left: &Path) -> CheckFinding {
    CheckFinding {
        severity: Severity::Note.into(),
        what: format!(
            "an import of the index was cut off, and has left {}",
            left.display()
        ),
        path: Bytes::new(),
        ranges: Vec::new(),
        advice: "the next start of the node removes it, or keeps it aside if it is the index that was in use"
            .to_owned(),
        chunk: Bytes::new(),
    }
}

fn unopened(name: &str, why: &str) -> CheckFinding {
    let (what, advice) = match name {
        "wolfdisk-meta" => (
            "the index cannot be opened",
            "restore the file that is named from a backup, with all of its directory, or import an export of the index: \
             wolfdiskctl index import --replace FILE",
        ),
        _ => (
            "the chunk store cannot be opened",
            "restore the file that is named from a backup",
        ),
    };
    CheckFinding {
        severity: Severity::Lost.into(),
        what: format!("{what}: {why}"),
        path: Bytes::new(),
        ranges: Vec::new(),
        advice: advice.to_owned(),
        chunk: Bytes::new(),
    }
}
