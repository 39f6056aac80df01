//! `cargo xtask test`: exactly what CI runs.

use crate::groups::{DEPLOY, Group, S3, UNIT, chosen, programs_of};
use crate::run::{Failure, NODE, build_https, build_programs, cargo, watched};
use crate::tally::Tally;
use crate::{checks, clients, dist, grafana, packages, systems, tools};

/// Runs all groups or one. The last line it prints is `N passed, N failed`.
pub fn test(arguments: &[String]) -> Result<(), Failure> {
    let (flags, names): (Vec<&str>, Vec<&str>) = arguments
        .iter()
        .map(String::as_str)
        .partition(|word| word.starts_with('-'));
    if let Some(flag) = flags.iter().find(|flag| **flag != "--long") {
        return Err(Failure::usage(format!(
            "unknown option {flag}; known: --long"
        )));
    }
    if let [_, second, ..] = names.as_slice() {
        return Err(Failure::usage(format!(
            "one group at a time, or none for all; got also `{second}`"
        )));
    }
    let groups = chosen(names.first().copied())?;
    let wanted = packages::Wanted {
        suites: groups
            .iter()
            .any(|group| ![UNIT, S3, DEPLOY].contains(&group.name)),
        clients: groups.iter().any(|group| group.name == S3),
        systems: groups.iter().any(|group| group.name == DEPLOY),
    };
    packages::install(wanted)?;
    if wanted.suites {
        tools::install(tools::FILE_SYSTEM)?;
    }
    if wanted.clients {
        tools::install(tools::S3)?;
        clients::install()?;
    }
    if wanted.systems {
        systems::install()?;
        grafana::install()?;
    }
    let mut tally = Tally::default();
    for group in groups {
        println!("== {}: {}", group.name, group.about);
        match group.name {
            UNIT => unit(&mut tally, !flags.is_empty())?,
            _ => mounted(group, &mut tally, !flags.is_empty())?,
        }
    }
    println!("\n{tally}");
    match tally.is_good() {
        true => Ok(()),
        false => Err(Failure::told()),
    }
}

fn unit(tally: &mut Tally, long: bool) -> Result<(), Failure> {
    checks::run(tally)?;
    cargo_test(
        tally,
        UNIT,
        &["--workspace", "--exclude", "wolfdisk-tests"],
        long,
    )
}

fn mounted(group: &Group, tally: &mut Tally, long: bool) -> Result<(), Failure> {
    let programs = programs_of(group)?;
    if programs.is_empty() {
        return Ok(());
    }
    if group.name == S3 {
        build_https("checked")?;
    }
    build_programs("checked", &NODE)?;
    if group.name == DEPLOY {
        dist::for_tests("checked")?;
    }
    let mut arguments = vec!["--package", "wolfdisk-tests"];
    for program in &programs {
        arguments.extend(["--test", program]);
    }
    cargo_test(tally, group.name, &arguments, long)
}

fn cargo_test(tally: &mut Tally, name: &str, what: &[&str], long: bool) -> Result<(), Failure> {
    let mut command = cargo(&["test", "--locked", "--profile", "checked", "--no-fail-fast"]);
    command.args(what);
    if long {
        command.env("WOLFDISK_LONG", "1");
    }
    let mut counted = Tally::default();
    let good = watched(&mut command, |line| counted.line(line))?;
    tally.run(name, counted, good);
    Ok(())
}
