//! The data directory: whether it is there and initialised, whose it is, and who may read the keys in it.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use wolfdisk_common::exit::one_line;
use wolfdisk_common::identity::IdentityError;
use wolfdisk_common::paths::Paths;

use super::finding::{Finding, Level};
use super::ground::Ground;
use crate::command::standing::Standing;

const NAME: &str = "data";
const KEYS: &str = "keys";
/// Of a mode: others than the owner.
const OTHERS: u32 = 0o077;

/// The directory, or a file in it, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    path: PathBuf,
    uid: u32,
    mode: u32,
}

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    let dir = ground.config.node.data_dir.clone();
    let seen = match see(&dir) {
        Ok(seen) => seen,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return vec![missing(&dir, ground.is_node())];
        }
        Err(error) => return vec![denied(&dir, &error)],
    };
    let mut found = Vec::new();
    match &ground.standing {
        Ok(standing) => found.push(Finding::ok(NAME, described(&dir, standing))),
        // The keys are looked at below.
        Err(IdentityError::KeyExposed { .. }) => {}
        Err(error) => found.push(unusable(&dir, error)),
    }
    found.extend(open_to_others(&seen));
    let paths = ground.paths();
    found.extend(foreign(&seen, &all_seen(&contents(&paths))));
    let keys = all_seen(&secrets(&paths));
    found.extend(exposed(&keys));
    found
}

fn described(dir: &Path, standing: &Standing) -> String {
    let whose = match standing {
        Standing::Node(own) => format!("node {}", own.node),
        Standing::Member(member) => {
            format!("{} {}, which uses other nodes", member.kind, member.name)
        }
    };
    format!("{} is that of {whose}", dir.display())
}

fn see(path: &Path) -> io::Result<Seen> {
    let found = std::fs::metadata(path)?;
    Ok(Seen {
        path: path.to_owned(),
        uid: found.uid(),
        mode: found.mode(),
    })
}

fn all_seen(paths: &[PathBuf]) -> Vec<Seen> {
    // What is not there, or not to be seen, is judged elsewhere.
    paths.iter().filter_map(|path| see(path).ok()).collect()
}

/// What the daemons read or write.
fn contents(paths: &Paths) -> [PathBuf; 12] {
    [
        paths.format(),
        paths.identity(),
        paths.cluster_key(),
        paths.node_key(),
        paths.member(),
        paths.seen_nodes(),
        paths.access_key(),
        paths.supervisor_lock(),
        paths.meta_dir(),
        paths.meta_lock(),
        paths.chunks_dir(),
        paths.chunkd_lock(),
    ]
}

/// What nobody but their owner may read.
fn secrets(paths: &Paths) -> [PathBuf; 4] {
    [
        paths.cluster_key(),
        paths.node_key(),
        paths.member(),
        paths.access_key(),
    ]
}

fn missing(dir: &Path, is_node: bool) -> Finding {
    let dir = dir.display();
    let todo = match is_node {
        true => format!(
            "if it is on a disk of its own, mount that; on a new machine make it: wolfdiskctl init -d {dir}, or join a \
             cluster: wolfdiskctl init --join TOKEN -d {dir}"
        ),
        false => format!(
            "get a token on a node (wolfdiskctl join-token) and run here: wolfdiskctl init --join TOKEN -d {dir}"
        ),
    };
    Finding::fail(NAME, format!("{dir} is missing"), todo)
}

fn denied(dir: &Path, error: &io::Error) -> Finding {
    Finding::warn(
        NAME,
        format!("{} cannot be looked into: {error}", dir.display()),
        "run this as root, or as the user who runs the node",
    )
}

fn unusable(dir: &Path, error: &IdentityError) -> Finding {
    if let IdentityError::Io { source, .. } = error
        && source.kind() == io::ErrorKind::PermissionDenied
    {
        return denied(dir, source);
    }
    let todo = format!(
        "see what changed in {}, and restore it from a backup",
        dir.display()
    );
    Finding::told(NAME, Level::Fail, &one_line(error), &todo)
}

/// Who may write it may put other files in place of those of the node.
fn open_to_others(dir: &Seen) -> Option<Finding> {
    let says = format!(
        "{} is open to others than its owner (mode {:03o})",
        dir.path.display(),
        dir.mode & 0o777
    );
    let todo = format!("run: chmod 700 {}", dir.path.display());
    match dir.mode & OTHERS {
        0 => None,
        others if others & 0o022 != 0 => Some(Finding::fail(NAME, says, todo)),
        _ => Some(Finding::warn(NAME, says, todo)),
    }
}

/// Daemons that run as the owner of the directory cannot use what is somebody else's.
fn foreign(dir: &Seen, contents: &[Seen]) -> Option<Finding> {
    let other = contents.iter().find(|one| one.uid != dir.uid)?;
    let (owner, found) = (user(dir.uid), user(other.uid));
    Some(Finding::fail(
        NAME,
        format!(
            "{} belongs to {found}, its directory to {owner}",
            other.path.display()
        ),
        format!(
            "stop the node, then run: chown -R {owner}: {}",
            dir.path.display()
        ),
    ))
}

fn exposed(keys: &[Seen]) -> Vec<Finding> {
    let bad = keys.iter().filter(|key| key.mode & OTHERS != 0);
    let found: Vec<Finding> = bad
        .map(|key| {
            Finding::fail(
                KEYS,
                format!(
                    "{} is readable by others than its owner (mode {:03o})",
                    key.path.display(),
                    key.mode & 0o777
                ),
                format!("run: chmod 600 {}", key.path.display()),
            )
        })
        .collect();
    match (found.is_empty(), keys.is_empty()) {
        (true, false) => vec![Finding::ok(KEYS, "only their owner can read them")],
        _ => found,
    }
}

fn user(uid: u32) -> String {
    let found = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    found.map_or_else(|| uid.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(path: &str, uid: u32, mode: u32) -> Seen {
        Seen {
            path: path.into(),
            uid,
            mode,
        }
    }

    #[test]
    fn keys_are_for_their_owner() {
        for (mode, fails) in [
            (0o100_600, false),
            (0o100_400, false),
            (0o100_640, true),
            (0o100_644, true),
            (0o100_602, true),
        ] {
            let found = exposed(&[seen("/d/cluster.key", 1, mode)]);
            assert_eq!(found[0].level == Level::Fail, fails, "{mode:o}");
        }
        let found = exposed(&[seen("/d/cluster.key", 1, 0o100_644)]);
        assert_eq!(
            found[0].todo.as_deref(),
            Some("run: chmod 600 /d/cluster.key")
        );
        assert_eq!(exposed(&[]), []);
    }

    #[test]
    fn a_directory_is_for_its_owner() {
        let level = |mode| open_to_others(&seen("/d", 1, mode)).map(|found| found.level);
        assert_eq!(level(0o040_700), None);
        assert_eq!(level(0o040_755), Some(Level::Warn));
        assert_eq!(level(0o040_770), Some(Level::Fail));
        assert_eq!(level(0o040_777), Some(Level::Fail));
    }

    #[test]
    fn what_is_in_it_belongs_to_its_owner() {
        let dir = seen("/d", 4_000_000, 0o040_700);
        let own = seen("/d/format", 4_000_000, 0o100_644);
        assert_eq!(foreign(&dir, std::slice::from_ref(&own)), None);
        let found = foreign(&dir, &[own, seen("/d/node.key", 0, 0o100_600)]);
        let found = found.expect("it is named");
        assert!(
            found.says.starts_with("/d/node.key belongs to root"),
            "{found:?}"
        );
        assert_eq!(
            found.todo.as_deref(),
            Some("stop the node, then run: chown -R 4000000: /d")
        );
    }

    #[test]
    fn what_is_missing_is_made() {
        let node = missing(Path::new("/d"), true).todo.expect("a fix");
        assert!(node.contains("wolfdiskctl init -d /d"), "{node}");
        let client = missing(Path::new("/d"), false).todo.expect("a fix");
        assert!(client.contains("wolfdiskctl join-token"), "{client}");
    }
}
