//! `units`: which units of systemd the configuration and the role of this machine need.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use wolfdisk_common::access_key::AccessKey;
use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;

use super::join::introduce;
use super::owner;
use super::standing::Standing;
use super::up::Plan;
use crate::cli::Global;
use crate::output::print;

pub(super) fn run(global: &Global) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let member = Standing::of(&config)?.member();
    let plan = Plan::of(&config, member.as_ref(), None)?;
    match &member {
        Some(member) => introduce(&config, member)?,
        None if plan.s3.is_some() && config.s3.keys.is_none() => {
            AccessKey::load_or_make(&config.paths())?;
        }
        None => {}
    }
    owner::give(&config.paths())?;
    let mut units = Vec::new();
    if member.is_none() {
        units.extend(["wolfdisk-chunkd", "wolfdisk-meta"].map(str::to_owned));
    }
    if plan.s3.is_some() {
        units.push("wolfdisk-s3".to_owned());
    }
    if plan.mounts {
        units.push(format!("wolfdisk-fuse@{}", escaped(&config.mount.path)));
    }
    let lines: String = units
        .iter()
        .map(|unit| format!("{unit}.service\n"))
        .collect();
    print(&lines);
    Ok(Exit::Ok)
}

/// A path as the name of an instance, as `systemd-escape --path` makes it.
fn escaped(path: &Path) -> String {
    let text = path.as_os_str().as_bytes();
    let parts: Vec<String> = text
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty())
        .map(escaped_part)
        .collect();
    match parts.split_first() {
        None => "-".to_owned(),
        Some((first, rest)) => {
            let first = match first.strip_prefix('.') {
                Some(hidden) => format!("\\x2e{hidden}"),
                None => first.clone(),
            };
            let all = std::iter::once(first).chain(rest.iter().cloned());
            all.collect::<Vec<_>>().join("-")
        }
    }
}

fn escaped_part(part: &[u8]) -> String {
    let letters = part.iter().map(|byte| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b':' | b'_' | b'.' => {
            char::from(*byte).to_string()
        }
        other => format!("\\x{other:02x}"),
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped_as_systemd_does_it() {
        // As systemd-escape(1) gives them.
        for (path, name) in [
            ("/", "-"),
            ("/mnt/wolfdisk", "mnt-wolfdisk"),
            ("/srv//my-disk/", "srv-my\\x2ddisk"),
            ("/.a/.b c", "\\x2ea-.b\\x20c"),
            ("/\u{e4}", "\\xc3\\xa4"),
        ] {
            assert_eq!(escaped(Path::new(path)), name);
        }
    }
}
