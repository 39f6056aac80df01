//! Two directory trees, compared in everything that a copy keeps.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::command::sh;

/// What a comparison leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignore {
    /// Nothing.
    Nothing,
    /// Modification times of directories, which change with every entry.
    DirectoryTimes,
}

/// Copies with `cp -a`, which keeps modes, owners, times, links and attributes.
pub fn copy(from: &Path, to: &Path) {
    let text = format!(
        "cp -a --reflink=never '{}' '{}'",
        from.display(),
        to.display()
    );
    sh(Path::new("/"), &text);
}

/// Panics with the first differences unless both trees hold the same.
pub fn compare(expected: &Path, found: &Path, ignore: Ignore) {
    let (left, right) = (list(expected), list(found));
    let mut differences = Vec::new();
    for path in left
        .keys()
        .chain(right.keys().filter(|path| !left.contains_key(*path)))
    {
        match (left.get(path), right.get(path)) {
            (Some(a), Some(b)) => {
                differences.extend(difference(expected, found, path, a, b, ignore));
            }
            (Some(_), None) => differences.push(format!("{} is missing", path.display())),
            (None, _) => differences.push(format!("{} is too many", path.display())),
        }
    }
    assert!(
        differences.is_empty(),
        "{} differences between {} and {}, of {} entries:\n{}",
        differences.len(),
        expected.display(),
        found.display(),
        left.len(),
        differences
            .iter()
            .take(20)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
}

fn list(root: &Path) -> BTreeMap<PathBuf, Metadata> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = std::fs::read_dir(&directory);
        let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        for entry in entries {
            let path = entry.expect("an entry").path();
            let metadata = std::fs::symlink_metadata(&path);
            let metadata = metadata.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            if metadata.is_dir() {
                open.push(path.clone());
            }
            let name = path.strip_prefix(root).expect("below the root").to_owned();
            found.insert(name, metadata);
        }
    }
    found
}

fn difference(
    expected: &Path,
    found: &Path,
    name: &Path,
    a: &Metadata,
    b: &Metadata,
    ignore: Ignore,
) -> Option<String> {
    let say = |what: &str, a: String, b: String| {
        Some(format!("{}: {what} is {b}, expected {a}", name.display()))
    };
    if a.mode() != b.mode() {
        return say("mode", format!("{:o}", a.mode()), format!("{:o}", b.mode()));
    }
    if (a.uid(), a.gid()) != (b.uid(), b.gid()) {
        let owner = |m: &Metadata| format!("{}:{}", m.uid(), m.gid());
        return say("owner", owner(a), owner(b));
    }
    let with_times = ignore == Ignore::Nothing || !a.is_dir();
    if with_times && (a.mtime(), a.mtime_nsec()) != (b.mtime(), b.mtime_nsec()) {
        let time = |m: &Metadata| format!("{}.{:09}", m.mtime(), m.mtime_nsec());
        return say("mtime", time(a), time(b));
    }
    if !a.is_dir() && a.nlink() != b.nlink() {
        return say("links", a.nlink().to_string(), b.nlink().to_string());
    }
    let (left, right) = (expected.join(name), found.join(name));
    let kind = a.file_type();
    if kind.is_symlink() {
        let target = |path: &Path| format!("{:?}", std::fs::read_link(path).expect("a symlink"));
        let (a, b) = (target(&left), target(&right));
        return if a == b { None } else { say("target", a, b) };
    }
    if (kind.is_block_device() || kind.is_char_device()) && a.rdev() != b.rdev() {
        return say("device", a.rdev().to_string(), b.rdev().to_string());
    }
    if !kind.is_file() {
        return None;
    }
    if a.len() != b.len() {
        return say("size", a.len().to_string(), b.len().to_string());
    }
    first_difference(&left, &right)
        .and_then(|at| say("content", "the same".into(), format!("different at {at}")))
}

fn first_difference(left: &Path, right: &Path) -> Option<u64> {
    const BLOCK_BYTES: usize = 256 * 1024;
    let open = |path: &Path| {
        std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let (mut left, mut right) = (open(left), open(right));
    let (mut a, mut b) = (Vec::new(), Vec::new());
    let mut at = 0;
    loop {
        a.clear();
        b.clear();
        (&mut left)
            .take(BLOCK_BYTES as u64)
            .read_to_end(&mut a)
            .expect("readable");
        (&mut right)
            .take(BLOCK_BYTES as u64)
            .read_to_end(&mut b)
            .expect("readable");
        if a != b {
            let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            return Some(at + same as u64);
        }
        if a.is_empty() {
            return None;
        }
        at += a.len() as u64;
    }
}

/// The names in a directory, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into()
        })
        .collect();
    names.sort();
    names
}
