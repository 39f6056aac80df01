//! A process that carries out calls on a tree as some user, one line each; `actor.py` says which.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::wait::DEADLINE;

/// The program that it runs.
const PROGRAM: &str = include_str!("actor.py");

/// Who acts.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    pub user: u32,
    pub groups: &'static [u32],
}

impl Role {
    pub const ROOT: Role = Role {
        user: 0,
        groups: &[],
    };
    pub const ANN: Role = Role {
        user: 1001,
        groups: &[1001],
    };
}

/// See the module. Ended when dropped.
pub struct Actor {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Actor {
    /// Works in `directory`. `settled`: other mounts see what an open file wrote when the answer comes.
    pub fn start(directory: &Path, role: Role, settled: bool) -> Actor {
        let mut child = Command::new("python3")
            .args(["-c", PROGRAM])
            .arg(directory)
            .args([u32::from(settled), role.user].map(|word| word.to_string()))
            .args(role.groups.iter().map(ToString::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is installed");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, answers) = channel();
        // Ends with the child, or with the actor.
        std::thread::spawn(move || {
            output
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Actor {
            child,
            input,
            answers,
        }
    }

    /// Gives it a line; it may be given more before it has answered.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("an actor lives");
    }

    /// Its next answer. Panics if none comes in time.
    pub fn hear(&self) -> String {
        let answer = self.answers.recv_timeout(DEADLINE * 2);
        answer.expect("an actor answers in time")
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("an actor cannot be ended: {error}");
        }
    }
}
