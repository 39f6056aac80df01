//! What the documents have people type is run as it stands, on machines of their own: namespaces in which the default
//! paths are private, or systems that boot. How blocks are marked is in `CONTRIBUTING.md`.

mod document;
mod machine;
mod play;
mod printed;

use std::fs;
use std::thread;

use wolfdisk_tests::repository;

/// Those that would be worth nothing without commands that were run.
const WITH_COMMANDS: [&str; 2] = ["quick-start.md", "security.md"];

#[test]
fn the_commands_of_the_documents_do_what_is_said() {
    let mut names: Vec<String> = fs::read_dir(repository().join("docs"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".md"))
        .collect();
    names.sort();
    for needed in WITH_COMMANDS {
        assert!(names.iter().any(|name| name == needed), "{needed}");
    }
    // They mostly wait, each on machines of its own.
    let wrong: Vec<String> = thread::scope(|scope| {
        let playing: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(move || played(name)))
            .collect();
        let played = playing.into_iter().map(|playing| playing.join());
        played
            .filter_map(|done| done.expect("played").err())
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs the blocks of a document, if it has any.
fn played(name: &str) -> Result<(), String> {
    let text = fs::read_to_string(repository().join("docs").join(name)).expect("readable");
    let done = match document::blocks(&text) {
        Err(malformed) => Err(malformed.to_string()),
        Ok(blocks) if blocks.is_empty() && WITH_COMMANDS.contains(&name) => {
            Err("1: no block of it is run".to_owned())
        }
        Ok(blocks) if blocks.is_empty() => Ok(()),
        Ok(blocks) => play::play(&blocks),
    };
    done.map_err(|why| format!("docs/{name}:{why}"))
}
