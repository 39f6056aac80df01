//! Why daemons cannot be kept running.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The program cannot be started at all.
    #[error("cannot start {}", program.display())]
    Spawn {
        /// The file.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended with an exit code before it was ready, and has said why.
    #[error("{name} ended with exit code {code} before it was ready; its line above says why")]
    Start {
        /// Which daemon.
        name: &'static str,
        /// Its code, which becomes ours.
        code: u8,
    },
    /// It was killed, or ended as if all were well, before it was ready.
    #[error("{name} ended before it was ready ({status}); its last lines above may say why")]
    Crashed {
        /// Which daemon.
        name: &'static str,
        /// How.
        status: ExitStatus,
    },
    /// It was started again and again.
    #[error("{name} ended {times} times in a row without becoming ready; its lines above say why")]
    KeepsFailing {
        /// Which daemon.
        name: &'static str,
        /// How often.
        times: u32,
    },
    /// A daemon did not stop and was killed.
    #[error("{0} did not stop in time and was killed")]
    Killed(&'static str),
    /// Pipes, sockets, signals.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl SupervisorError {
    /// The exit code for the whole.
    pub fn code(&self) -> u8 {
        match self {
            SupervisorError::Start { code, .. } => *code,
            SupervisorError::Spawn { .. }
            | SupervisorError::Crashed { .. }
            | SupervisorError::KeepsFailing { .. }
            | SupervisorError::Killed(_)
            | SupervisorError::System { .. } => 1,
        }
    }
}

/// For `map_err`.
pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> SupervisorError {
    move |source| SupervisorError::System { what, source }
}
