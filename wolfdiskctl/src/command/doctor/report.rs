//! All findings together: for people, for programs, and as an exit code.

use serde::Serialize;
use wolfdisk_common::exit::Exit;
use wolfdisk_common::release::release;

use super::finding::{Finding, Level};
use crate::output::verdict;

/// What `doctor --json` prints. Names are fixed: programs rely on them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Of this program.
    release: &'static str,
    /// Nothing failed.
    healthy: bool,
    checks: Vec<Finding>,
}

impl Report {
    pub(super) fn new(checks: Vec<Finding>) -> Report {
        Report {
            release: release(),
            healthy: checks.iter().all(|finding| finding.level != Level::Fail),
            checks,
        }
    }

    /// 0: nothing is in the way; 4: something is to be done. Warnings are no reason to fail.
    pub(super) fn exit(&self) -> Exit {
        match self.healthy {
            true => Exit::Ok,
            false => Exit::Degraded,
        }
    }

    /// A line for each check, and under it what to do.
    pub(super) fn for_people(&self, no_color: bool) -> String {
        let width = self.checks.iter().map(|finding| finding.check.len()).max();
        let width = width.unwrap_or_default();
        let mut text = String::new();
        for finding in &self.checks {
            let word = match finding.level {
                Level::Warn => finding.level.word().to_owned(),
                level => verdict(level.word(), level == Level::Ok, no_color),
            };
            text += &format!("{word}  {:width$}  {}\n", finding.check, finding.says);
            if let Some(todo) = &finding.todo {
                text += &format!("      {:width$}  -> {todo}\n", "");
            }
        }
        let count = |level| self.checks.iter().filter(|it| it.level == level).count();
        text += &match (count(Level::Fail), count(Level::Warn)) {
            (0, 0) => "nothing is to be done\n".to_owned(),
            (0, warnings) => format!("nothing is in the way; warnings: {warnings}\n"),
            (failures, warnings) => {
                format!("to be done: {failures}; warnings: {warnings}\n")
            }
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_and_under_it_what_to_do() {
        let report = Report::new(vec![
            Finding::ok("fuse", "/dev/fuse opens"),
            Finding::fail("data", "it is gone", "bring it back"),
        ]);
        assert_eq!(
            report.for_people(true),
            "ok    fuse  /dev/fuse opens\n\
             FAIL  data  it is gone\n            -> bring it back\n\
             to be done: 1; warnings: 0\n"
        );
        assert_eq!(report.exit(), Exit::Degraded);
    }

    #[test]
    fn warnings_do_not_fail() {
        let report = Report::new(vec![Finding::warn("clock", "it is off", "set it")]);
        assert_eq!(report.exit(), Exit::Ok);
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!(json["healthy"], true);
        assert_eq!(json["checks"][0]["level"], "warn");
        assert_eq!(json["checks"][0]["todo"], "set it");
    }
}
