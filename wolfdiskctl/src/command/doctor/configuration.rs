//! The configuration: whether it is taken, who may read it, and whether its paths fit each other.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use wolfdisk_common::config::{Config, ConfigError};
use wolfdisk_common::exit::one_line;

use super::finding::{Finding, Level};

const NAME: &str = "configuration";
/// Of a file's mode: others than owner and group may read or write it.
const OTHERS: u32 = 0o007;

/// What is said of one that is not taken; all that depends on it is left out then.
pub(super) fn refused(error: &ConfigError) -> Finding {
    let (says, todo) = match error {
        ConfigError::Unreadable { file, source } => (
            one_line(error),
            match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    format!("run this as root, or let this user read {}", file.display())
                }
                _ => format!(
                    "name another file by --config, or write one: wolfdiskctl config example >{}",
                    file.display()
                ),
            },
        ),
        ConfigError::Unknown { hint, .. } => {
            let text = one_line(error);
            let says = text.strip_suffix(&format!("; {hint}")).unwrap_or(&text);
            (
                says.to_owned(),
                format!("{hint} Correct it or take it out; then: wolfdiskctl config check"),
            )
        }
        ConfigError::Syntax { .. } | ConfigError::Value { .. } | ConfigError::Missing { .. } => (
            one_line(error),
            "correct it; then: wolfdiskctl config check".to_owned(),
        ),
        ConfigError::NoHome { .. } => {
            return Finding::told(NAME, Level::Fail, &one_line(error), "set HOME");
        }
    };
    Finding::fail(NAME, says, todo)
}

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut found = vec![match &config.file {
        Some(file) => Finding::ok(NAME, format!("{} is good", file.display())),
        None => Finding::ok(NAME, "no file: all is default"),
    }];
    let mode = config.file.as_ref().and_then(|file| {
        let found = std::fs::metadata(file).ok()?;
        Some((file, found.mode()))
    });
    if let Some((file, mode)) = mode {
        found.extend(exposed(file, mode, config.s3.keys.is_some()));
    }
    found.extend(hidden(&config.mount.path, &config.node.data_dir));
    if let Some((cert, key)) = &config.s3.tls {
        for (path, option) in [(cert, "s3.tls_cert"), (key, "s3.tls_key")] {
            let opened = std::fs::File::open(path);
            found.extend(opened.err().map(|error| unusable(path, option, &error)));
        }
    }
    found
}

/// A file with a secret is not for everybody.
fn exposed(file: &Path, mode: u32, has_secret: bool) -> Option<Finding> {
    (has_secret && mode & OTHERS != 0).then(|| {
        Finding::fail(
            NAME,
            format!(
                "{} holds a secret (s3.secret_key) and is readable by others (mode {:03o})",
                file.display(),
                mode & 0o777
            ),
            format!("run: chmod o= {}", file.display()),
        )
    })
}

/// A mount hides what lies below its mount point.
fn hidden(mount: &Path, data: &Path) -> Option<Finding> {
    data.starts_with(mount).then(|| {
        Finding::fail(
            NAME,
            format!(
                "the data directory {} lies in the mount point {}, which hides it",
                data.display(),
                mount.display()
            ),
            "set mount.path or node.data_dir to another place",
        )
    })
}

fn unusable(path: &Path, option: &str, error: &io::Error) -> Finding {
    Finding::fail(
        NAME,
        format!("{option}: {} cannot be read: {error}", path.display()),
        "bring it back, let the user of wolfdisk-s3 read it, or take s3.tls_cert and s3.tls_key out",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_secret_is_not_for_everybody() {
        let file = Path::new("/etc/wolfdisk/config.toml");
        for (mode, has_secret, fails) in [
            (0o100_640, true, false),
            (0o100_644, true, true),
            (0o100_644, false, false),
        ] {
            assert_eq!(exposed(file, mode, has_secret).is_some(), fails, "{mode:o}");
        }
    }

    #[test]
    fn data_does_not_lie_in_the_mount() {
        let check = |mount, data| hidden(Path::new(mount), Path::new(data)).is_some();
        assert!(check("/mnt", "/mnt/data"));
        assert!(check("/mnt", "/mnt"));
        assert!(!check("/mnt/wolfdisk", "/mnt/wolfdisk-data"));
    }

    #[test]
    fn what_is_wrong_and_what_would_be_right_are_apart() {
        let found = refused(&ConfigError::Unknown {
            file: "/c".to_owned(),
            what: "field",
            name: "node.rol".to_owned(),
            hint: "did you mean `node.role`?".to_owned(),
        });
        assert_eq!(found.says, "/c: unknown field `node.rol`");
        assert!(
            found
                .todo
                .is_some_and(|todo| todo.starts_with("did you mean `node.role`?"))
        );
    }
}
