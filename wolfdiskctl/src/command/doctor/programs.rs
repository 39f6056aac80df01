//! The programs: all of one release, and the daemons running them and not older ones.

use std::path::Path;

use wolfdisk_common::exit::one_line;
use wolfdisk_common::release::release;

use super::ask::ask_well;
use super::finding::Finding;
use super::ground::Ground;
use crate::command::node::own_folder;

const NAME: &str = "programs";
/// What a node runs.
const OF_A_NODE: [&str; 4] = [
    "wolfdisk-meta",
    "wolfdisk-chunkd",
    "wolfdisk-fuse",
    "wolfdisk-s3",
];
/// What the kernel adds to the name of a program that was replaced while it runs.
const REPLACED: &str = " (deleted)";

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    let folder = match own_folder() {
        Ok(folder) => folder,
        Err(error) => {
            return vec![Finding::warn(NAME, one_line(&error), "mount /proc")];
        }
    };
    let own = release();
    let mut found: Vec<Finding> = OF_A_NODE
        .iter()
        .filter(|name| ground.is_node() || **name == "wolfdisk-fuse")
        .filter_map(|name| installed(name, &folder, own, version_of(&folder.join(name))))
        .collect();
    for one in &ground.running {
        let exe = format!("/proc/{}/exe", one.pid);
        // Of another user's process only root learns.
        let Ok(target) = std::fs::read_link(&exe) else {
            continue;
        };
        let replaced = target.to_string_lossy().ends_with(REPLACED);
        let version = version_of(Path::new(&exe));
        found.extend(running(&one.text(), own, version.as_deref(), replaced));
    }
    if found.is_empty() {
        found.push(Finding::ok(
            NAME,
            format!("all of release {own}, in {}", folder.display()),
        ));
    }
    found
}

/// The release that a program says it is of.
fn version_of(program: &Path) -> Option<String> {
    let said = ask_well(program.to_str()?, &["--version"])?;
    said.split_whitespace().last().map(str::to_owned)
}

fn installed(name: &str, folder: &Path, own: &str, version: Option<String>) -> Option<Finding> {
    let todo = format!(
        "install all programs of one release into {}",
        folder.display()
    );
    match version {
        Some(version) if version == own => None,
        Some(version) => Some(Finding::fail(
            NAME,
            format!(
                "{name} in {} is of release {version}, wolfdiskctl of {own}",
                folder.display()
            ),
            todo,
        )),
        None => Some(Finding::fail(
            NAME,
            format!("{name} is not in {}, or does not start", folder.display()),
            todo,
        )),
    }
}

fn running(who: &str, own: &str, version: Option<&str>, replaced: bool) -> Option<Finding> {
    let todo = "restart it: systemctl restart wolfdisk; in the foreground: stop wolfdiskctl up and start it again";
    match version {
        Some(version) if version != own => Some(Finding::fail(
            NAME,
            format!("{who} runs release {version}, installed is {own}"),
            todo,
        )),
        Some(_) | None if replaced => Some(Finding::warn(
            NAME,
            format!("{who} runs a program that was replaced since it was started"),
            todo,
        )),
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn all_are_of_one_release() {
        let folder = Path::new("/usr/bin");
        let level = |version: Option<&str>| {
            installed("wolfdisk-meta", folder, "1.0.0", version.map(str::to_owned))
                .map(|it| it.level)
        };
        assert_eq!(level(Some("1.0.0")), None);
        assert_eq!(level(Some("1.1.0")), Some(Level::Fail));
        assert_eq!(level(None), Some(Level::Fail));
        for (version, replaced, expected) in [
            (Some("1.0.0"), false, None),
            (Some("1.0.0"), true, Some(Level::Warn)),
            (Some("0.9.0"), true, Some(Level::Fail)),
            (None, true, Some(Level::Warn)),
            (None, false, None),
        ] {
            let found = running("wolfdisk-meta (process 1)", "1.0.0", version, replaced);
            assert_eq!(found.map(|it| it.level), expected, "{version:?} {replaced}");
        }
    }
}
