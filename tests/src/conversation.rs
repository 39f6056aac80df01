//! A process that answers each line it is given by one, in its own time.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// See the module. Killed when dropped.
pub struct Conversation {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Conversation {
    /// Starts it.
    pub fn begin(command: &mut Command) -> Conversation {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("it is installed");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, answers) = channel();
        // Ends with the child, or with this.
        std::thread::spawn(move || {
            let mut lines = output.lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
        Conversation {
            child,
            input,
            answers,
        }
    }

    /// Gives it a line; it may be given more before it has answered.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("it lives");
    }

    /// Its next answer. Panics if none comes within `limit`.
    pub fn hear(&self, limit: Duration) -> String {
        let answer = self.answers.recv_timeout(limit);
        answer.unwrap_or_else(|error| panic!("no answer in {limit:?}: {error}"))
    }

    /// Whether no answer waits to be heard.
    pub fn is_silent(&self) -> bool {
        self.answers.try_recv().is_err()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("a child");
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("a process cannot be ended: {error}");
        }
    }
}
