//! The loop.

use std::path::Path;
use std::process::{Child as Process, ExitStatus};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use wolfdisk_common::exit::Exit;
use wolfdisk_common::mounts;

use super::backoff::{Backoff, Verdict};
use super::child::{Child, Kept};
use super::daemon::Daemon;
use super::error::{SupervisorError, system};
use super::lifeline::Lifeline;
use super::readiness::NotifyDir;
use super::signals::Signals;
use crate::output::say;

/// How long a daemon may take to stop before it is killed: a mount writes back all that it holds, and
/// meta takes a last checkpoint.
const STOP_DEADLINE: Duration = Duration::from_secs(90);
/// How long the last threads of a daemon that died may take when nothing holds them any more.
const LET_END_DEADLINE: Duration = Duration::from_secs(5);
/// A start that takes longer than this is reported, once.
const SLOW_START: Duration = Duration::from_secs(5);

/// Runs in a row that may fail to go on with what earlier ones left; then it is given up, and the next run
/// begins anew.
const SUCCESSORS_MAX: u32 = 3;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The daemon is ready.
    Ready,
    /// Somebody wants the whole to stop.
    Stop,
    /// The daemon ended by itself with success, which it may.
    Ended,
}

/// Keeps daemons running; see the module.
#[derive(Debug)]
pub struct Supervisor {
    signals: Signals,
    notify: NotifyDir,
    slots: Vec<Slot>,
    stop_requests: usize,
}

#[derive(Debug)]
struct Slot {
    daemon: Daemon,
    lifeline: Lifeline,
    backoff: Backoff,
    /// It has been ready once: from now on its death is repaired.
    established: bool,
    /// What its runs leave to the next.
    kept: Kept,
    /// Runs in a row that could do nothing with that.
    failed_successors: u32,
    /// Runs that died of which a thread is left; a successor lets it end.
    dying: Vec<Process>,
    state: State,
}

#[derive(Debug)]
enum State {
    Running(Child),
    Waiting { until: Instant },
    Ended,
}

impl Supervisor {
    /// Takes over the signals of this process. `run_dir` exists; sockets of ours go there.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(run_dir: &Path) -> Result<Supervisor, SupervisorError> {
        Ok(Supervisor {
            signals: Signals::install().map_err(system("cannot take over signals"))?,
            notify: NotifyDir::new(run_dir).map_err(system("cannot make a place for sockets"))?,
            slots: Vec::new(),
            stop_requests: 0,
        })
    }

    /// Starts a daemon and waits until it is ready.
    ///
    /// # Errors
    /// The daemon ended before it was ready.
    pub fn start(&mut self, daemon: Daemon) -> Result<Outcome, SupervisorError> {
        let lifeline = Lifeline::new().map_err(system("cannot make a pipe"))?;
        let state = State::Ended;
        self.slots.push(Slot {
            daemon,
            lifeline,
            backoff: Backoff::default(),
            established: false,
            kept: Kept::new(),
            failed_successors: 0,
            dying: Vec::new(),
            state,
        });
        let at = self.slots.len() - 1;
        self.spawn(at)?;
        let begin = Instant::now();
        let mut reported = false;
        loop {
            if self.stop_requests > 0 {
                return Ok(Outcome::Stop);
            }
            match self.slots.get_mut(at) {
                Some(Slot {
                    established: true, ..
                }) => return Ok(Outcome::Ready),
                Some(Slot {
                    state: State::Ended,
                    ..
                }) => return Ok(Outcome::Ended),
                Some(slot) if !reported && begin.elapsed() >= SLOW_START => {
                    reported = true;
                    say(&slot.slow_start());
                }
                _ => {}
            }
            self.turn((!reported).then(|| SLOW_START.saturating_sub(begin.elapsed())))?;
        }
    }

    /// Keeps all daemons running until somebody wants them to stop, or one that may end has ended.
    ///
    /// # Errors
    /// A daemon cannot be kept running.
    pub fn run(&mut self) -> Result<Outcome, SupervisorError> {
        loop {
            if self.stop_requests > 0 {
                return Ok(Outcome::Stop);
            }
            if self
                .slots
                .iter()
                .any(|slot| matches!(slot.state, State::Ended))
            {
                return Ok(Outcome::Ended);
            }
            self.turn(None)?;
        }
    }

    /// Looks after the daemons for a moment; true if somebody wants them to stop.
    ///
    /// # Errors
    /// A daemon cannot be kept running.
    pub fn pause(&mut self, pause: Duration) -> Result<bool, SupervisorError> {
        self.turn(Some(pause))?;
        Ok(self.stop_requests > 0)
    }

    /// Forgets the daemon that was started last: it has ended.
    pub fn forget_last(&mut self) {
        self.slots.pop();
    }

    /// Stops all daemons, the last started first. One that does not stop in time, or while somebody
    /// asks a second time, is killed.
    ///
    /// # Errors
    /// One had to be killed; the others are stopped all the same.
    pub fn stop(&mut self) -> Result<(), SupervisorError> {
        let mut outcome = self.end_pauses();
        while let Some(slot) = self.slots.pop() {
            let may_be_mounted = slot.established && !matches!(slot.state, State::Ended);
            let mut dying = slot.dying;
            if let State::Running(mut child) = slot.state {
                let name = slot.daemon.name;
                if slot.daemon.mount.is_none() {
                    // Those that used it have ended, so this is the last hand on its lifeline.
                    drop(slot.lifeline);
                }
                if !self.stop_child(&mut child)? {
                    outcome = outcome.and(Err(SupervisorError::Killed(name)));
                }
                dying.push(child.into_process());
            }
            // A mount that is kept has nobody left who answers.
            drop(slot.kept);
            if may_be_mounted {
                take_off(slot.daemon.mount.as_deref());
            }
            self.let_end(dying)?;
        }
        outcome
    }

    /// Waits for the last threads of those that died, which nothing holds any more.
    fn let_end(&mut self, mut dying: Vec<Process>) -> Result<(), SupervisorError> {
        let deadline = Instant::now() + LET_END_DEADLINE;
        loop {
            retain_unended(&mut dying);
            let left = deadline.saturating_duration_since(Instant::now());
            if dying.is_empty() || left.is_zero() {
                return Ok(());
            }
            self.sleep(&[], Some(left))?;
        }
    }

    /// Starts what is in the pause before a restart: what was started after it ends through it.
    fn end_pauses(&mut self) -> Result<(), SupervisorError> {
        let mut outcome = Ok(());
        for at in 0..self.slots.len().saturating_sub(1) {
            let pausing = self.slots.get(at).map(|slot| &slot.state);
            if matches!(pausing, Some(State::Waiting { .. })) {
                outcome = outcome.and(self.spawn(at));
            }
        }
        outcome
    }

    /// Whether it stopped by itself.
    fn stop_child(&mut self, child: &mut Child) -> Result<bool, SupervisorError> {
        child.signal(Signal::SIGTERM);
        let deadline = Instant::now() + STOP_DEADLINE;
        let mut asked = self.stop_requests.max(1);
        let mut killed = false;
        while child.ended()?.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if !killed && (left.is_zero() || self.stop_requests > asked) {
                killed = true;
                asked = self.stop_requests;
                child.signal(Signal::SIGKILL);
            }
            let wait = (!killed).then_some(left);
            self.sleep(&[], wait.into_iter().chain(child.look_every()).min())?;
        }
        Ok(!killed)
    }

    /// Waits for something to happen, at the longest for `timeout`, and deals with it.
    fn turn(&mut self, timeout: Option<Duration>) -> Result<(), SupervisorError> {
        let now = Instant::now();
        let restarts = self.slots.iter().filter_map(|slot| match slot.state {
            State::Waiting { until } => Some(until.saturating_duration_since(now)),
            State::Running(_) | State::Ended => None,
        });
        let looks = self.slots.iter().filter_map(|slot| match &slot.state {
            State::Running(child) => child.look_every(),
            State::Waiting { .. } | State::Ended => None,
        });
        let timeout = timeout.into_iter().chain(restarts).chain(looks).min();
        let running: Vec<_> = self.slots.iter().filter_map(Slot::descriptor).collect();
        let stops = wait(&self.signals, &running, timeout)?;
        self.stop_requests += stops;
        for at in 0..self.slots.len() {
            self.attend(at)?;
        }
        Ok(())
    }

    fn sleep(
        &mut self,
        more: &[std::os::fd::BorrowedFd<'_>],
        timeout: Option<Duration>,
    ) -> Result<(), SupervisorError> {
        self.stop_requests += wait(&self.signals, more, timeout)?;
        Ok(())
    }

    /// Looks after one daemon: readiness, death, restart.
    fn attend(&mut self, at: usize) -> Result<(), SupervisorError> {
        let Some(slot) = self.slots.get_mut(at) else {
            return Ok(());
        };
        retain_unended(&mut slot.dying);
        match &mut slot.state {
            State::Ended => Ok(()),
            State::Waiting { until } if *until > Instant::now() => Ok(()),
            State::Waiting { .. } => self.spawn(at),
            State::Running(child) => {
                let lived = child.age();
                let ended = child.ended()?;
                // What it said before it ended is in the socket.
                let ready = child.is_ready(&mut slot.kept);
                if ready && !slot.established {
                    slot.established = true;
                }
                match ended {
                    Some(status) => slot.bury(status, lived, ready),
                    None => Ok(()),
                }
            }
        }
    }

    fn spawn(&mut self, at: usize) -> Result<(), SupervisorError> {
        let needs: Vec<&Lifeline> = self
            .slots
            .iter()
            .take(at)
            .map(|slot| &slot.lifeline)
            .collect();
        let Some(slot) = self.slots.get(at) else {
            return Ok(());
        };
        let child = Child::spawn(
            &slot.daemon,
            &slot.lifeline,
            &needs,
            &slot.kept,
            &self.notify,
        )?;
        if let Some(slot) = self.slots.get_mut(at) {
            slot.state = State::Running(child);
        }
        Ok(())
    }
}

impl Slot {
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        match &self.state {
            State::Running(child) => Some(child.descriptor()),
            State::Waiting { .. } | State::Ended => None,
        }
    }

    fn slow_start(&self) -> String {
        let status = match &self.state {
            State::Running(child) => child.status().unwrap_or("still starting"),
            State::Waiting { .. } | State::Ended => "not running",
        };
        format!("{}: {status}", self.daemon.name)
    }

    /// Decides what follows from the daemon's death.
    fn bury(
        &mut self,
        status: ExitStatus,
        lived: Duration,
        was_ready: bool,
    ) -> Result<(), SupervisorError> {
        let name = self.daemon.name;
        if let State::Running(child) = std::mem::replace(&mut self.state, State::Ended) {
            self.dying.push(child.into_process());
        }
        let ends = self.daemon.may_end && was_ready && status.success();
        let code = status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .filter(|code| *code != 0);
        let handed_over = was_ready && code == Some(Exit::HandedOver as u8);
        let was_successor = self.established && !self.kept.is_empty();
        self.failed_successors = match was_successor && !was_ready {
            true => self.failed_successors + 1,
            false => 0,
        };
        if ends || self.failed_successors >= SUCCESSORS_MAX || code == Some(Exit::Usage as u8) {
            self.kept.clear();
        }
        // Only what it mounted: it may have failed because another mount is there.
        if (was_ready || was_successor) && self.kept.is_empty() {
            take_off(self.daemon.mount.as_deref());
        }
        if ends {
            self.state = State::Ended;
            return Ok(());
        }
        if handed_over {
            say(&format!("{name} hands over to a successor"));
            self.state = State::Waiting {
                until: Instant::now(),
            };
            return Ok(());
        }
        match (self.established, code) {
            (false, Some(code)) => return Err(SupervisorError::Start { name, code }),
            (false, None) => return Err(SupervisorError::Crashed { name, status }),
            // A wrong configuration does not get right by itself.
            (true, Some(code @ 2)) => return Err(SupervisorError::Start { name, code }),
            (true, _) => {}
        }
        match self.backoff.died(lived, was_ready) {
            Verdict::Restart(pause) => {
                say(&format!("{name} ended ({status}), starting it again"));
                self.state = State::Waiting {
                    until: Instant::now() + pause,
                };
                Ok(())
            }
            Verdict::GiveUp(times) => Err(SupervisorError::KeepsFailing { name, times }),
        }
    }
}

/// Waits for a signal, a word from a daemon, or the end of `timeout`. Gives the requests to stop.
fn wait(
    signals: &Signals,
    more: &[std::os::fd::BorrowedFd<'_>],
    timeout: Option<Duration>,
) -> Result<usize, SupervisorError> {
    let all = signals
        .descriptors()
        .into_iter()
        .chain(more.iter().copied());
    let mut polled: Vec<PollFd<'_>> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // Rounded up, or the last millisecond would be spent spinning.
    let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
        let millis = timeout.as_micros().div_ceil(1000);
        PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut polled, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(signals.take()),
        Err(errno) => Err(system("cannot wait for daemons")(errno.into())),
    }
}

/// Drops those that have ended. An error means that one cannot be waited for any more.
fn retain_unended(dying: &mut Vec<Process>) {
    dying.retain_mut(|process| matches!(process.try_wait(), Ok(None)));
}

/// Removes the mount that a dead daemon may have left at `path`.
fn take_off(path: Option<&Path>) {
    let Some(path) = path else { return };
    let left = mounts::ours().is_ok_and(|ours| ours.iter().any(|mount| mount == path));
    if left && let Err(error) = mounts::end(path) {
        say(&format!(
            "cannot remove the dead mount at {}: {error}",
            path.display()
        ));
    }
}
