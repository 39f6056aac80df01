//! How far the check is: one line on a terminal that is written over, nothing anywhere else.

use std::io::{self, IsTerminal, Write};

use crate::output::bytes;

/// See the module. Takes its line away when it is dropped.
pub(super) struct Progress {
    terminal: bool,
}

impl Progress {
    pub(super) fn new() -> Progress {
        Progress {
            terminal: io::stderr().is_terminal(),
        }
    }

    /// Shows how much of what is done.
    pub(super) fn show(&self, what: &str, done: u64, total: u64, in_bytes: bool) {
        let amount = |count: u64| match in_bytes {
            true => bytes(count),
            false => count.to_string(),
        };
        let line = match total {
            0 => format!("checking: {what}"),
            _ => format!(
                "checking: {what}, {} of about {}",
                amount(done),
                amount(total.max(done))
            ),
        };
        self.write(&line);
    }

    fn write(&self, line: &str) {
        if self.terminal {
            let mut out = io::stderr().lock();
            // Nobody may be there to see it.
            let _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.write("");
    }
}
