//! A process that carries out calls on a tree as some user, one line each; `actor.py` says which.

use std::path::Path;
use std::process::Command;

use crate::conversation::Conversation;
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
pub struct Actor(Conversation);

impl Actor {
    /// Works in `directory`. `settled`: other mounts see what an open file wrote when the answer comes.
    pub fn start(directory: &Path, role: Role, settled: bool) -> Actor {
        let mut command = Command::new("python3");
        command
            .args(["-c", PROGRAM])
            .arg(directory)
            .args([u32::from(settled), role.user].map(|word| word.to_string()))
            .args(role.groups.iter().map(ToString::to_string));
        Actor(Conversation::begin(&mut command))
    }

    /// Gives it a line; it may be given more before it has answered.
    pub fn tell(&mut self, line: &str) {
        self.0.tell(line);
    }

    /// Its next answer. Panics if none comes in time.
    pub fn hear(&self) -> String {
        self.0.hear(DEADLINE * 2)
    }
}
