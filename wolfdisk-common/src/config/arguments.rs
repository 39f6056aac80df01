//! What a command line says about the configuration, and where its file is looked for.

use std::path::{Path, PathBuf};

use super::ConfigError;

/// The environment variable that names the configuration file.
const FILE_VARIABLE: &str = "WOLFDISK_CONFIG";
/// The file of the whole machine, read by root and by the machine's own daemons only: other users have nodes of their own.
const SYSTEM_FILE: &str = "/etc/wolfdisk/config.toml";

/// Options that every WolfDisk program takes. What is given here wins over the file.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// `--config F`.
    pub config: Option<PathBuf>,
    /// `--data-dir D`.
    pub data_dir: Option<PathBuf>,
    /// `--mount M`.
    pub mount: Option<PathBuf>,
}

impl Arguments {
    /// Reads the configuration file: `--config`, else `WOLFDISK_CONFIG`, else the user's own place if
    /// there is a file. A file that was named must exist.
    ///
    /// # Errors
    /// Names the file that cannot be read.
    pub(super) fn read_file(&self) -> Result<Option<(PathBuf, String)>, ConfigError> {
        let variable = || std::env::var_os(FILE_VARIABLE).filter(|value| !value.is_empty());
        match self
            .config
            .clone()
            .or_else(|| variable().map(PathBuf::from))
        {
            Some(path) => read(&path).map(|text| Some((path, text))),
            None => match usual_place() {
                Some(path) if path.exists() => read(&path).map(|text| Some((path, text))),
                _ => Ok(None),
            },
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        file: path.to_owned(),
        source,
    })
}

fn usual_place() -> Option<PathBuf> {
    if crate::paths::is_of_the_machine() {
        Some(PathBuf::from(SYSTEM_FILE))
    } else {
        crate::paths::home().map(|home| home.join(".config/wolfdisk/config.toml"))
    }
}
