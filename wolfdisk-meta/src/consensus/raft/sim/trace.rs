//! What happened in a run: all of it as a hash, the end of it as text.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// So many lines of the end are kept.
const KEPT_LINES: usize = 200;
/// If it is set, lines are printed as they come.
const PRINT_VARIABLE: &str = "WOLFDISK_TRACE";

/// See the module.
pub(super) struct Trace {
    hasher: DefaultHasher,
    lines: VecDeque<String>,
    prints: bool,
}

impl Default for Trace {
    fn default() -> Trace {
        Trace {
            hasher: DefaultHasher::new(),
            lines: VecDeque::new(),
            prints: std::env::var_os(PRINT_VARIABLE).is_some(),
        }
    }
}

impl Trace {
    /// A task was polled.
    pub fn count(&mut self, now: u64, task: u64) {
        (now, task).hash(&mut self.hasher);
    }

    pub fn note(&mut self, now: u64, what: fmt::Arguments<'_>) {
        let micros = now / 1000;
        let line = format!("{:6}.{:06} {what}", micros / 1_000_000, micros % 1_000_000);
        line.hash(&mut self.hasher);
        if self.prints {
            println!("{line}");
        }
        if self.lines.len() == KEPT_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    pub fn end(&self) -> String {
        self.lines
            .iter()
            .flat_map(|line| [line.as_str(), "\n"])
            .collect()
    }
}
