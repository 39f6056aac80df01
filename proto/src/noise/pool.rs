//! As many connections to one kind of daemon as there are calls in flight. A daemon's restart, or a link that is gone for
//! a while, is a wait and not an error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use wolfdisk_common::credentials::Credentials;

use super::asking::{CallError, Connection, Targets, sealed};
use crate::call::{Caller, Options};
use crate::failure::Failure;
use crate::limits::{HANDSHAKE_DEADLINE, IDLE_MAX};

/// First pause before a reconnect; doubled up to [`RECONNECT_PAUSE_MAX`].
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_millis(500);

/// Asking again would not help.
fn is_final(failure: &Failure) -> bool {
    matches!(failure, Failure::Denied(_) | Failure::Unsupported(_))
}

/// See the module.
pub struct Pool {
    credentials: Arc<Credentials>,
    service: u8,
    targets: Arc<dyn Targets>,
    idle: Mutex<Vec<Connection>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool; connects at the first call. `service` is the number of the service that is asked.
    pub fn new(credentials: Arc<Credentials>, service: u8, targets: Arc<dyn Targets>) -> Pool {
        Pool {
            credentials,
            service,
            targets,
            idle: Mutex::new(Vec::new()),
        }
    }

    /// A connection of its own, to the first that answers.
    ///
    /// # Errors
    /// Nobody does, or this machine is not let in.
    pub fn connect(&self, within: Duration) -> Result<Connection, Failure> {
        let until = Instant::now() + within;
        let mut failure = Failure::Disconnected(
            "no address of a node is known; name one in cluster.peers".to_owned(),
        );
        let mut is_first = true;
        for address in self.targets.addresses() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let left = left.min(HANDSHAKE_DEADLINE);
            match Connection::open(address, self.service, &self.credentials, left) {
                Ok(connection) => {
                    self.targets.reached(address, connection.welcome());
                    // Those to another life, or to another node, have ended or are about to.
                    let life = |connection: &Connection| {
                        let welcome = connection.welcome();
                        (welcome.cluster, welcome.node.clone(), welcome.incarnation)
                    };
                    let new = life(&connection);
                    self.idle.lock().retain(|idle| life(idle) == new);
                    return Ok(connection.watched_by(self.targets.clone()));
                }
                Err(error) => {
                    tracing::debug!(%address, %error, "not connected");
                    self.targets.failed(address, &error);
                    // A refusal counts only if all say so: addresses are hints, and a stranger at one of them must not
                    // end a call that waits for a node that is away.
                    if is_final(&failure) || is_first || !is_final(&error) {
                        failure = error;
                    }
                    is_first = false;
                }
            }
        }
        Err(failure)
    }

    fn attempt(&self, frame: &[u8], within: Duration) -> Result<Bytes, CallError> {
        let idle = self.idle.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect(within).map_err(|failure| match failure {
                failure if is_final(&failure) => CallError::Answer(failure),
                failure => CallError::Lost(failure),
            })?,
        };
        let answer = connection.exchange(frame, within);
        match &answer {
            Ok(_) | Err(CallError::Answer(_)) => {
                let mut idle = self.idle.lock();
                if idle.len() < IDLE_MAX {
                    idle.push(connection);
                }
            }
            // The daemon or the link went away: the idle ones are as dead as this one.
            Err(CallError::Lost(_)) => self.idle.lock().clear(),
        }
        answer
    }

    /// Asks until there is an answer or `whole` has passed.
    fn ask(&self, frame: &[u8], whole: Duration, retry: bool) -> Result<Bytes, Failure> {
        let until = Instant::now() + whole;
        let mut pause = RECONNECT_PAUSE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let failure = match self.attempt(frame, left.max(Duration::from_millis(1))) {
                Ok(body) => return Ok(body),
                Err(CallError::Answer(failure @ Failure::Unavailable(_))) if retry => failure,
                Err(CallError::Answer(failure)) => return Err(failure),
                Err(CallError::Lost(failure)) if retry => failure,
                Err(CallError::Lost(failure)) => return Err(failure),
            };
            if Instant::now() + pause >= until {
                return Err(failure);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(RECONNECT_PAUSE_MAX);
        }
    }
}

impl Caller for Pool {
    fn call(
        &self,
        options: &mut Options,
        service: u8,
        method: u8,
        body: &[u8],
    ) -> Result<Bytes, Failure> {
        let frame = sealed(options, service, method, body)?;
        self.ask(&frame, options.deadline, options.retry)
    }
}
