//! `doctor --bundle`: what a developer wants to see of a machine, in one file, without what is nobody else's business: keys,
//! tokens, secrets, and the names of users' files.
//!
//! Nothing is copied as it is: settings are taken out of the configuration one by one, and every text goes through
//! [`redact`].

mod archive;
mod gather;
mod logs;
mod redact;
mod settings;

use std::path::Path;

use wolfdisk_common::config::Config;

use super::ground::Ground;
use super::report::Report;
use crate::cli::Global;
use crate::error::CtlError;
use crate::output::json;
use archive::Archive;
use redact::Redactor;

/// What is in it.
const ABOUT: &str = "\
A support bundle of WolfDisk, made by `wolfdiskctl doctor --bundle`.

doctor.txt, doctor.json    what was found on the machine, and what to do
status.json, stats.json    what the daemons and mounts say of themselves
metrics/                   what each daemon counts
config.txt                 the settings, without access keys, secrets, comments and unknown names
system.txt                 kernel, distribution, memory, the mounts of WolfDisk and that of its data
programs.txt               releases and processes
logs/                      the last lines of the daemons' logs, without those below `info`

Left out: keys, tokens, passwords and secrets, names of files and of buckets, names of chunks. Names of machines, their
addresses, and paths of the data directory and of mount points are in it.
";

/// A file that is begun, so that it is known early whether it can be written.
pub(super) struct Bundle {
    archive: Archive,
    redactor: Redactor,
}

impl Bundle {
    /// Begins the file, which must not be there.
    ///
    /// # Errors
    /// It is there, or cannot be made.
    pub(super) fn begin(global: &Global, path: &Path) -> Result<Bundle, CtlError> {
        let config = Config::load(&global.arguments(None)).ok();
        let archive = Archive::create(path).map_err(|source| CtlError::Bundle {
            path: path.to_owned(),
            source,
        })?;
        Ok(Bundle {
            archive,
            redactor: Redactor::of(config.as_ref()),
        })
    }

    /// Writes all that there is.
    ///
    /// # Errors
    /// It cannot be written; then there is no file.
    pub(super) fn write(
        self,
        path: &Path,
        global: &Global,
        report: &Report,
        ground: Option<&Ground>,
    ) -> anyhow::Result<()> {
        let Bundle {
            mut archive,
            redactor,
        } = self;
        let mut texts = vec![
            ("README.txt".to_owned(), ABOUT.to_owned()),
            (
                "doctor.txt".to_owned(),
                redactor.text(&report.for_people(true)),
            ),
            (
                "doctor.json".to_owned(),
                json(&redactor.json(serde_json::to_value(report)?))?,
            ),
        ];
        for (name, value) in gather::values(ground) {
            texts.push((name, json(&redactor.json(value))?));
        }
        for (name, text) in gather::texts(global, ground) {
            texts.push((name, redactor.text(&text)));
        }
        let failed = |source| CtlError::Bundle {
            path: path.to_owned(),
            source,
        };
        for (name, text) in texts {
            archive.add(&name, &text).map_err(failed)?;
        }
        Ok(archive.finish().map_err(failed)?)
    }
}
