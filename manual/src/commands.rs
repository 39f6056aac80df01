//! A page for each command of each program, from the command lines that they parse.

use std::io;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::Roff;
use wolfdisk_common::exit::Exit;

use crate::File;
use crate::page::{BOOK, SOURCE, file, item, see_also, text};

/// Where a program's pages are, and how it can end beside as all do.
pub struct Program {
    /// What it parses.
    pub command: Command,
    /// Of the manual.
    pub section: &'static str,
    exits: &'static [(Exit, &'static str)],
}

/// How every program can end.
const EXITS: &[(Exit, &str)] = &[
    (Exit::Ok, "It worked."),
    (
        Exit::Failed,
        "It did not; a line on standard error says why.",
    ),
    (
        Exit::Usage,
        "The command line or the configuration is wrong: asking again the same way will not help.",
    ),
];
/// How `wolfdiskctl` can end beside.
const EXITS_OF_CTL: &[(Exit, &str)] = &[
    (Exit::NotRunning, "Nothing runs, or no node answers."),
    (
        Exit::Degraded,
        "Something runs with something broken. Of a check: something was repaired, or can be.",
    ),
    (
        Exit::AtRisk,
        "Data may be lost if anything else breaks. Of a check: something is lost.",
    ),
];
/// How `wolfdisk-fuse` can end beside.
const EXITS_OF_FUSE: &[(Exit, &str)] = &[(Exit::HandedOver, "It left its mount to a successor.")];

/// All that have a command line.
pub fn programs() -> [Program; 5] {
    let daemon = |command: Command, exits| Program {
        command,
        section: "8",
        exits,
    };
    [
        Program {
            command: control(),
            section: "1",
            exits: EXITS_OF_CTL,
        },
        daemon(wolfdisk_meta::cli::Cli::command(), &[]),
        daemon(wolfdisk_chunkd::cli::Cli::command(), &[]),
        daemon(
            wolfdisk_fuse::arguments::Arguments::command(),
            EXITS_OF_FUSE,
        ),
        daemon(wolfdisk_s3::arguments::Arguments::command(), &[]),
    ]
}

/// The command line of `wolfdiskctl`.
pub fn control() -> Command {
    without_help(wolfdiskctl::cli::Cli::command())
}

/// The command without `help` below it and below those below it: `--help` says the same.
fn without_help(command: Command) -> Command {
    let below: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    let command = command.disable_help_subcommand(true);
    below.iter().fold(command, |command, name| {
        command.mut_subcommand(name, without_help)
    })
}

/// The pages of all commands that are not hidden, and of the other name of `wolfdiskctl`.
///
/// # Errors
/// See [`crate::files`].
pub fn pages() -> io::Result<Vec<File>> {
    let mut pages = vec![file("wolfdisk", "1", b".so man1/wolfdiskctl.1\n".to_vec())];
    for mut program in programs() {
        // Names become whole, and options of every command are known to each.
        program.command.build();
        add(&mut pages, &program, &program.command, None)?;
    }
    Ok(pages)
}

/// The page of a command below `parent`, and those of the commands below it.
fn add(
    pages: &mut Vec<File>,
    program: &Program,
    command: &Command,
    parent: Option<&str>,
) -> io::Result<()> {
    let name = name_of(command);
    pages.push(file(name, program.section, page(program, command, parent)?));
    for below in visible(command) {
        add(pages, program, below, Some(name))?;
    }
    Ok(())
}

fn page(program: &Program, command: &Command, parent: Option<&str>) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .title(name_of(command))
        .section(program.section)
        .source(SOURCE)
        .manual(BOOK);
    let mut content = Vec::new();
    man.render_title(&mut content)?;
    man.render_name_section(&mut content)?;
    man.render_synopsis_section(&mut content)?;
    man.render_description_section(&mut content)?;
    if command
        .get_arguments()
        .any(|argument| !argument.is_hide_set())
    {
        man.render_options_section(&mut content)?;
    }
    if visible(command).next().is_some() {
        man.render_subcommands_section(&mut content)?;
    }
    content.extend(text(&end(program, parent))?);
    Ok(content)
}

/// What the command line does not say.
fn end(program: &Program, parent: Option<&str>) -> Roff {
    let mut page = Roff::new();
    page.control("SH", ["EXIT STATUS"]);
    for (exit, about) in EXITS.iter().chain(program.exits) {
        item(&mut page, &(*exit as u8).to_string(), *about);
    }
    page.control("SH", ["FILES"]);
    item(
        &mut page,
        "/etc/wolfdisk/config.toml",
        "The configuration, unless --config or WOLFDISK_CONFIG names another; ~/.config/wolfdisk/config.toml of those who are not root.",
    );
    let others = [
        ("wolfdiskctl", "1"),
        ("wolfdisk-config", "5"),
        ("mount.wolfdisk", "8"),
    ];
    let all = parent.map(|parent| (parent, program.section)).into_iter();
    let own = name_of(&program.command);
    let all = all.chain(
        others
            .into_iter()
            .filter(|(name, _)| *name != own || parent.is_some()),
    );
    let mut all: Vec<(&str, &str)> = all.collect();
    all.dedup();
    see_also(&mut page, &all);
    page
}

/// The commands below it that people are told of.
pub(crate) fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
}

/// As its page is named: with the names of the commands above it.
fn name_of(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}
