//! The groups of tests, and which files of `tests/tests` belong to which.

use std::path::Path;

use crate::run::{Failure, root};

/// A group: its name and what it proves.
#[derive(Debug)]
pub struct Group {
    pub name: &'static str,
    pub about: &'static str,
}

/// Needs no daemon: everything beside the code, and the checks of the code itself.
pub const UNIT: &str = "unit";
/// Needs S3 clients beside the node.
pub const S3: &str = "s3";
/// Needs a Debian root and packages beside the node.
pub const DEPLOY: &str = "deploy";
/// Where a file of `tests/tests` belongs whose name begins with no group's.
const MOUNTED: &str = "posix";

/// All groups of this release.
pub const GROUPS: &[Group] = &[
    Group {
        name: UNIT,
        about: "formatting, lints, dependencies, unit and property tests, models",
    },
    Group {
        name: "crash",
        about: "damage, kills and full disks: nothing is lost that was promised, and it is named",
    },
    Group {
        name: "client",
        about: "machines that hold nothing: how they join, mount and are shut out",
    },
    Group {
        name: S3,
        about: "the S3 gateway as clients see it, on the same files as a mount",
    },
    Group {
        name: DEPLOY,
        about: "packages and units on systems of their own, as administrators see them",
    },
    Group {
        name: MOUNTED,
        about: "a mounted node as applications see it",
    },
];

/// The groups that `wanted` names: one, or all.
///
/// # Errors
/// An unknown name; the message lists the known ones.
pub fn chosen(wanted: Option<&str>) -> Result<Vec<&'static Group>, Failure> {
    let Some(name) = wanted else {
        return Ok(GROUPS.iter().collect());
    };
    if let Some(group) = GROUPS.iter().find(|group| group.name == name) {
        return Ok(vec![group]);
    }
    let known: String = GROUPS
        .iter()
        .map(|group| format!("\n  {:8} {}", group.name, group.about))
        .collect();
    Err(Failure::usage(format!(
        "there is no group `{name}` of tests; there are:{known}"
    )))
}

/// The test programs of `wolfdisk-tests` that belong to `group`, sorted.
///
/// # Errors
/// The folder cannot be read.
pub fn programs_of(group: &Group) -> Result<Vec<String>, Failure> {
    let folder = root().join("tests/tests");
    let failed = |error| Failure::new(format!("cannot read {}: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        let is_program = path.extension().is_some_and(|end| end == "rs") || has_main(&path);
        names.extend(name.filter(|name| is_program && group_of(name) == group.name));
    }
    names.sort();
    Ok(names)
}

fn has_main(path: &Path) -> bool {
    path.join("main.rs").exists()
}

/// The group whose name the file's begins with.
fn group_of(file: &str) -> &'static str {
    let first = file.split('_').next().unwrap_or_default();
    let mut mounted = GROUPS
        .iter()
        .map(|group| group.name)
        .filter(|name| *name != UNIT);
    mounted.find(|name| *name == first).unwrap_or(MOUNTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_the_group_it_is_named_for() {
        assert_eq!(group_of("posix_locks"), "posix");
        assert_eq!(group_of("crash_damage"), "crash");
        assert_eq!(group_of("s3_basics"), "s3");
        assert_eq!(group_of("client_join"), "client");
        assert_eq!(group_of("deploy_package"), "deploy");
        assert_eq!(group_of("second_mount"), "posix");
        // The unit group runs no file of that folder: none may be lost in it.
        assert_eq!(group_of("unit_of_measure"), "posix");
    }

    #[test]
    fn an_unknown_group_is_answered_with_all() {
        let message = chosen(Some("unti")).expect_err("refused").to_string();
        for group in GROUPS {
            assert!(message.contains(group.name));
        }
        assert_eq!(chosen(None).expect("all").len(), GROUPS.len());
    }
}
