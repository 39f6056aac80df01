//! `profile`: what the requests to a mount take, by operation, the one that takes most of the time first.
//!
//! It asks the mount itself and no daemon, so it also shows what happens while those hang.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use wolfdisk_common::config::Config;
use wolfdisk_common::exit::Exit;
use wolfdisk_common::mounts;

use super::counters::{Counted, of_all, of_one, summed};
use super::unmount::mount_point;
use crate::cli::{self, Global};
use crate::error::CtlError;
use crate::live::{self, Look, Operation, Rates, Sample};
use crate::output::{is_colored, is_terminal, json, json_line, print, say, table};
use crate::users;

/// What `profile --json` prints. Names are fixed: programs rely on them.
#[derive(Debug, Serialize)]
struct Profile {
    mounts: Vec<String>,
    seconds: f64,
    operations: Vec<Row>,
}

/// One operation that happened; `null` is longer than is told apart.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    operation: String,
    per_second: f64,
    mean_us: f64,
    /// Half of the requests, 99 of 100, and all of them took at most so long.
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    slowest_us: Option<u64>,
    /// Of the time that requests of all kinds took.
    share: f64,
}

pub(super) fn run(global: &Global, options: &cli::Profile) -> anyhow::Result<Exit> {
    let config = Config::load(&global.arguments(None))?;
    let of = Whose::find(&config, options.mount.as_deref())?;
    let interval = Duration::from_secs(u64::from(options.seconds));
    let what = of.described();
    if !options.once && !global.json && is_terminal() {
        let color = is_colored(global.no_color);
        live::run(
            interval,
            || of.look(),
            |frame, rates, troubles| live::draw_profile(frame, &what, rates, troubles, color),
        )?;
        return Ok(Exit::Ok);
    }
    let mut before = of.sample()?;
    loop {
        std::thread::sleep(interval);
        let now = of.sample()?;
        let rates = Rates::between(&before, &now);
        let profile = Profile {
            mounts: of.paths(),
            seconds: now.at.duration_since(before.at).as_secs_f64(),
            operations: rows(&rates),
        };
        match (global.json, options.once) {
            (true, true) => print(&json(&profile)?),
            (true, false) => print(&json_line(&profile)?),
            (false, _) => print(&for_people(&what, &rates)),
        }
        if options.once {
            return Ok(Exit::Ok);
        }
        before = now;
    }
}

/// The mounts that are looked at.
#[derive(Debug)]
enum Whose {
    /// One, whichever process serves it.
    One { path: PathBuf, run_dir: PathBuf },
    /// All of a node.
    All { run_dir: PathBuf },
}

impl Whose {
    fn find(config: &Config, mount: Option<&Path>) -> anyhow::Result<Whose> {
        let run_dir = config.paths().run_dir().to_owned();
        let whose = match mount {
            Some(path) => Whose::One {
                path: mount_point(path)?,
                run_dir,
            },
            None => Whose::All { run_dir },
        };
        match whose.counted()?.0.is_empty() {
            true => Err(CtlError::NoMounts(config.node.data_dir.clone()).into()),
            false => Ok(whose),
        }
    }

    fn counted(&self) -> anyhow::Result<(Vec<Counted>, Vec<String>)> {
        match self {
            Whose::All { run_dir } => {
                let (mounts, troubles) = of_all(run_dir)?;
                match mounts.is_empty() && !troubles.is_empty() {
                    true => anyhow::bail!(troubles.join("; ")),
                    false => Ok((mounts, troubles)),
                }
            }
            Whose::One { path, run_dir } => {
                let server = users::server_of(path);
                let counted = server.map(|server| of_one(run_dir, server.pid));
                match counted.transpose()?.flatten() {
                    Some(counted) => Ok((vec![counted], Vec::new())),
                    None => Err(CtlError::TellsNothing {
                        mount: path.clone(),
                        run_dir: run_dir.clone(),
                    }
                    .into()),
                }
            }
        }
    }

    fn look(&self) -> anyhow::Result<Look> {
        let (mounts, troubles) = self.counted()?;
        Ok(Look {
            counters: summed(&mounts),
            troubles,
        })
    }

    fn sample(&self) -> anyhow::Result<Sample> {
        let look = self.look()?;
        look.troubles.iter().for_each(|trouble| say(trouble));
        Ok(Sample {
            at: Instant::now(),
            counters: look.counters,
        })
    }

    /// Where they are.
    fn paths(&self) -> Vec<String> {
        match self {
            Whose::One { path, .. } => vec![path.display().to_string()],
            Whose::All { run_dir } => {
                let (served, _) = of_all(run_dir).unwrap_or_default();
                let table = mounts::ours().unwrap_or_default();
                let is_served = |path: &PathBuf| {
                    let server = users::server_of(path);
                    server.is_some_and(|server| served.iter().any(|one| one.pid == server.pid))
                };
                let paths = table.into_iter().filter(is_served);
                paths.map(|path| path.display().to_string()).collect()
            }
        }
    }

    fn described(&self) -> String {
        match self.paths().as_slice() {
            [] => "all mounts".to_owned(),
            [path] => path.clone(),
            paths => format!(
                "{} mounts together: {}; name one to see it alone",
                paths.len(),
                paths.join(", ")
            ),
        }
    }
}

fn rows(rates: &Rates) -> Vec<Row> {
    let busy_us = rates.busy_us();
    let row = |operation: Operation| {
        let [p50_us, p99_us, slowest_us] = operation.at_most_us;
        Row {
            share: operation.busy_us() / busy_us.max(1e-9),
            per_second: operation.rate,
            mean_us: operation.mean_us,
            operation: operation.name,
            p50_us,
            p99_us,
            slowest_us,
        }
    };
    rates.by_time().into_iter().map(row).collect()
}

fn for_people(what: &str, rates: &Rates) -> String {
    let busy_us = rates.busy_us();
    let operations = rates.by_time();
    let rows: Vec<Vec<String>> = operations
        .iter()
        .map(|operation| live::profile_row(operation, busy_us).into())
        .collect();
    format!("{what}\n{}", table(&live::PROFILE_HEAD, &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_time_and_the_largest_comes_first() {
        let operation = |name: &str, rate, mean_us| Operation {
            name: name.to_owned(),
            rate,
            mean_us,
            at_most_us: [Some(8), Some(64), None],
        };
        let rates = Rates {
            by_operation: vec![
                operation("lookup", 100.0, 10.0),
                operation("fsync", 1.0, 3000.0),
            ],
            ..Rates::default()
        };
        let rows = rows(&rates);
        let shown: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.operation.as_str(),
                    row.share,
                    row.p50_us,
                    row.slowest_us,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("fsync", 0.75, Some(8), None),
                ("lookup", 0.25, Some(8), None)
            ]
        );
        let text = for_people("/m", &rates);
        assert!(text.starts_with("/m\nOPERATION"), "{text}");
        assert!(text.contains("75.0 %"), "{text}");
    }
}
