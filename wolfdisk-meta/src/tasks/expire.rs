//! Closes the sessions of front-ends that are gone.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::index::op::Op;
use crate::service::Service;

/// How often sessions are looked at: well within a lease, so that a killed front-end's locks are free
/// soon after its lease has run out.
const LOOK: Duration = Duration::from_millis(500);

/// Runs on the reactor until the daemon ends.
pub async fn run(service: &Service) {
    loop {
        tokio::time::sleep(LOOK).await;
        for session in service.dead_sessions(is_gone) {
            tracing::info!(
                session = session.0,
                "a front-end is gone, its session is closed"
            );
            let closed = service.propose(
                Op::CloseSession {
                    session,
                    expired: true,
                },
                false,
            );
            match closed {
                Ok(closed) => {
                    if closed.applied().await.is_none() {
                        return;
                    }
                }
                // Looked at again the next time.
                Err(failure) => tracing::debug!(%failure, "a session could not be closed yet"),
            }
        }
    }
}

/// Whether the process no longer exists.
pub fn is_gone(pid: u32) -> bool {
    i32::try_from(pid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

/// Whether the process runs no more. A thread of it may be left in the kernel, which only a successor can answer.
pub fn has_ended(pid: u32) -> bool {
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, which may hold anything, ends with the last parenthesis.
    let is_zombie = |stat: String| {
        let state = stat.rsplit_once(") ").map(|(_, fields)| fields);
        state.is_some_and(|fields| fields.starts_with('Z'))
    };
    is_gone(pid) || is_zombie(stat())
}
