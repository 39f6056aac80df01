//! Why a configuration is refused. Every text is one line and says what would be right.

use std::io;
use std::path::PathBuf;

/// See the module. `file` is `the defaults` where no file was read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text is no TOML.
    #[error("{file}, line {line}: {message}")]
    Syntax {
        /// Which file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What the parser expected.
        message: String,
    },
    /// A section or field that does not exist.
    #[error("{file}: unknown {what} `{name}`; {hint}")]
    Unknown {
        /// Which file.
        file: String,
        /// `section` or `field`.
        what: &'static str,
        /// The name as written.
        name: String,
        /// The nearest known name, or all that there are.
        hint: String,
    },
    /// A value that is not allowed.
    #[error("{file}: {field} = {value} is not allowed; allowed: {allowed}")]
    Value {
        /// Which file, or `the command line`.
        file: String,
        /// `section.name`.
        field: String,
        /// The value as written; never a secret.
        value: String,
        /// What would be right.
        allowed: String,
    },
    /// A field that is needed because of another.
    #[error("{file}: {field} is needed when {reason}")]
    Missing {
        /// Which file.
        file: String,
        /// `section.name`.
        field: String,
        /// Why.
        reason: String,
    },
    /// Neither an argument nor the environment says where this user's files go.
    #[error("the HOME of this user is unknown; give --{option} or set HOME")]
    NoHome {
        /// The option that would help.
        option: &'static str,
    },
}
