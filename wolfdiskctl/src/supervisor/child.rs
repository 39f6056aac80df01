//! One run of a daemon: a process, its readiness, its age.

use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use wolfdisk_common::shutdown::LIFELINE_VARIABLE;

use super::daemon::Daemon;
use super::error::{SupervisorError, system};
use super::lifeline::Lifeline;
use super::readiness::{NotifyDir, Readiness, Word};

/// A process that was started and has not been seen to end.
#[derive(Debug)]
pub(super) struct Child {
    process: Process,
    readiness: Readiness,
    started: Instant,
    ready: bool,
    status: Option<String>,
}

impl Child {
    /// Starts `daemon` in our process group, with its own lifeline; it keeps those in `needs` from
    /// ending before it does.
    pub(super) fn spawn(
        daemon: &Daemon,
        lifeline: &Lifeline,
        needs: &[&Lifeline],
        notify: &NotifyDir,
    ) -> Result<Child, SupervisorError> {
        let pipe = "cannot hand a pipe to a daemon";
        let readiness =
            Readiness::new(notify, daemon.name).map_err(system("cannot listen for a daemon"))?;
        let _own = lifeline.lend_reader().map_err(system(pipe))?;
        let lent: Result<Vec<_>, _> = needs.iter().map(|needed| needed.lend_writer()).collect();
        let _lent = lent.map_err(system(pipe))?;
        let mut command = Command::new(&daemon.program);
        command
            .args(&daemon.arguments)
            .env(LIFELINE_VARIABLE, lifeline.number().to_string())
            .env("NOTIFY_SOCKET", readiness.path())
            .stdin(Stdio::null())
            // Our standard output is read by programs; what a daemon says is for people.
            .stdout(std::io::stderr());
        if let Some(path) = &daemon.log {
            let log = std::fs::File::create(path).map_err(system("cannot make a log"))?;
            let copy = log.try_clone().map_err(system("cannot make a log"))?;
            command.stdout(log).stderr(copy);
        }
        let process = command.spawn().map_err(|source| SupervisorError::Spawn {
            program: daemon.program.clone(),
            source,
        })?;
        Ok(Child {
            process,
            readiness,
            started: Instant::now(),
            ready: false,
            status: None,
        })
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.readiness.as_fd()
    }

    /// Whether it has said that it is ready.
    pub(super) fn is_ready(&mut self) -> bool {
        for word in self.readiness.words() {
            match word {
                Word::Ready => self.ready = true,
                Word::Status(text) => self.status = Some(text),
            }
        }
        self.ready
    }

    /// What it last said it was doing.
    pub(super) fn status(&self) -> Option<&str> {
        self.status.as_deref()
    }

    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// How it ended, once it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>, SupervisorError> {
        self.process
            .try_wait()
            .map_err(system("cannot wait for a daemon"))
    }

    pub(super) fn signal(&self, signal: Signal) {
        // The only failure is that it has just ended, which is what a signal is for. The number cannot
        // have been taken by another process: we have not waited for it yet.
        if let Ok(pid) = i32::try_from(self.process.id()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}
