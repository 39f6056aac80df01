//! Programs on two mounts make, rename and remove names in one directory at the same time: all of it
//! succeeds, and neither mount waits for the other longer than to be told.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use wolfdisk_tests::{DEADLINE, Node, wait_within};

/// Rounds of each side. If each waited for a lease to run out, the deadline would be over by far.
const ROUNDS: usize = 300;

/// Runs `work` on both mounts at once, each with its directory and number; gives the directories.
fn on_both(work: fn(&Path, usize)) -> (Node, wolfdisk_tests::SecondMount, [PathBuf; 2]) {
    let node = Node::start();
    let second = node.second_mount();
    fs::create_dir(node.path("shared")).expect("made");
    let directories = [node.path("shared"), second.path("shared")];
    let threads: Vec<_> = (0..2)
        .map(|side| {
            let directory = directories[side].clone();
            thread::spawn(move || work(&directory, side))
        })
        .collect();
    wait_within(DEADLINE, "both come to their end", || {
        threads.iter().all(thread::JoinHandle::is_finished)
    });
    for thread in threads {
        thread.join().expect("every call succeeds");
    }
    (node, second, directories)
}

fn listed(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).expect("a listing");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn names_of_their_own() {
    let (_node, _second, directories) = on_both(|directory, side| {
        for round in 0..ROUNDS {
            let (path, other) = (format!("{side}-{round}"), format!("{side}-{round}-kept"));
            File::create_new(directory.join(&path)).expect("made");
            fs::create_dir(directory.join("d").with_extension(&path)).expect("made");
            fs::rename(directory.join(&path), directory.join(&other)).expect("renamed");
            fs::remove_dir(directory.join("d").with_extension(&path)).expect("removed");
        }
    });
    let kept = |side| (0..ROUNDS).map(move |round| format!("{side}-{round}-kept"));
    let expected: BTreeSet<String> = kept(0).chain(kept(1)).collect();
    assert_eq!(listed(&directories[0]), expected);
    assert_eq!(listed(&directories[1]), expected);
}

#[test]
fn one_name_that_one_makes_and_the_other_removes() {
    let (_node, _second, directories) = on_both(|directory, side| {
        let path = directory.join("name");
        for _ in 0..ROUNDS {
            let result = match side {
                0 => File::create(&path).map(drop),
                _ => fs::remove_file(&path),
            };
            let fits = |error: &io::Error| side == 1 && error.kind() == io::ErrorKind::NotFound;
            assert!(result.as_ref().map_or_else(fits, |()| true), "{result:?}");
        }
    });
    assert_eq!(listed(&directories[0]), listed(&directories[1]));
}
