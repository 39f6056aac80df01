//! The manual has every command, option, setting and mount option that there is, and nothing that is hidden.

use std::collections::BTreeSet;

use clap::Command;
use wolfdisk_common::config::explained;

use wolfdisk_manual::commands::{control, programs};
use wolfdisk_manual::{File, files};

/// The text of a page without its markup.
fn page(name: &str) -> String {
    let files = files().expect("files");
    let found = files
        .iter()
        .find(|file| file.path.ends_with(&format!("/{name}")));
    let file = found.unwrap_or_else(|| panic!("there is no page {name}"));
    let text = String::from_utf8(file.content.clone()).expect("a text");
    text.replace("\\-", "-")
        .replace("\\fB", "")
        .replace("\\fI", "")
        .replace("\\fR", "")
}

/// The page of a command and of each below it has every option and every command.
fn assert_told(command: &Command, section: &str) {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let text = page(&format!("{name}.{section}"));
    for argument in command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set())
    {
        let shown = match argument.get_long() {
            Some(long) => format!("--{long}"),
            None => argument.get_value_names().expect("a name")[0].to_string(),
        };
        assert!(text.contains(&shown), "{name}({section}) lacks {shown}");
    }
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        let shown = below.get_display_name().unwrap_or(below.get_name());
        assert!(
            text.contains(&format!("{shown}({section})")),
            "{name}({section}) lacks {shown}"
        );
        assert_told(below, section);
    }
}

#[test]
fn every_command_has_a_page_with_its_options() {
    for mut program in programs() {
        program.command.build();
        assert_told(&program.command, program.section);
    }
}

#[test]
fn what_is_hidden_has_none() {
    let hidden = control()
        .get_subcommands()
        .find(|below| below.is_hide_set())
        .is_some();
    assert!(hidden, "or this test proves nothing");
    let files = files().expect("files");
    assert!(
        !files
            .iter()
            .any(|file| file.path.contains("wolfdiskctl-units"))
    );
    assert!(!page("wolfdiskctl.1").contains("units"));
}

/// The names of the commands below it, at any depth, that are hidden or are not.
fn names(command: &Command, hidden: bool) -> Vec<String> {
    let mut found = Vec::new();
    for below in command.get_subcommands() {
        if below.is_hide_set() == hidden {
            found.push(below.get_name().to_owned());
        }
        if !below.is_hide_set() {
            found.extend(names(below, hidden));
        }
    }
    found
}

#[test]
fn shells_offer_every_command_but_those_that_are_hidden() {
    let (hidden, shown) = (names(&control(), true), names(&control(), false));
    assert!(hidden.len() > 1, "or this test proves less: {hidden:?}");
    let files = files().expect("files");
    let scripts: Vec<&File> = files
        .iter()
        .filter(|file| file.path.contains("completions") || file.path.contains("site-functions"))
        .filter(|file| file.path.contains("wolfdiskctl"))
        .collect();
    assert_eq!(scripts.len(), 3, "bash, zsh and fish");
    for file in scripts {
        let text = String::from_utf8(file.content.clone()).expect("a text");
        let words: BTreeSet<&str> = text
            .split(|letter: char| !letter.is_alphanumeric() && letter != '-')
            .collect();
        for name in &shown {
            assert!(words.contains(name.as_str()), "{} lacks {name}", file.path);
        }
        for name in &hidden {
            assert!(!words.contains(name.as_str()), "{}: {name}", file.path);
        }
        // What every command takes is still offered.
        for option in ["--config", "--data-dir", "--json", "--version"] {
            let bare = option.trim_start_matches('-');
            assert!(
                words.contains(option) || words.contains(bare),
                "{} lacks {option}",
                file.path
            );
        }
    }
}

#[test]
fn every_setting_is_explained() {
    let text = page("wolfdisk-config.5");
    for section in explained() {
        assert!(
            text.contains(&format!("[{}]", section.name)),
            "{}",
            section.name
        );
        for setting in section.settings {
            assert!(
                text.contains(&format!("\n{}\n", setting.name)),
                "{}",
                setting.name
            );
        }
    }
}

#[test]
fn every_mount_option_is_explained() {
    let text = page("mount.wolfdisk.8");
    let explained: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.contains(". "))
        .flat_map(|line| line.split(", "))
        .map(|name| name.split('=').next().unwrap_or(name))
        .collect();
    let options = wolfdisk_fuse::options::KNOWN.iter();
    for option in options.chain(&wolfdisk_fuse::options::WITH_VALUE) {
        assert!(explained.contains(option), "{option}");
    }
}

#[test]
fn one_build_gives_the_same_twice() {
    let once = |files: Vec<File>| -> Vec<(String, Vec<u8>)> {
        files
            .into_iter()
            .map(|file| (file.path, file.content))
            .collect()
    };
    assert_eq!(once(files().expect("files")), once(files().expect("files")));
}
