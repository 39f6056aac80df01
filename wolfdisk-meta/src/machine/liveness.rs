//! Which sessions are dead.
//!
//! A session dies when it was not heard of for [`SESSION_EXPIRY_MS`], or as soon as its lease has run
//! out if its feed connection is closed and its process no longer exists. The first is for front-ends
//! that hang or are cut off, the second frees the locks of one that was killed within seconds. If somebody
//! starts it again, the session is kept for a successor to take over, for [`SUCCESSION_MS`].
//!
//! Of a session on another machine no process is known. One whose feed connection was closed may come back on a new
//! one and is dead after [`SUCCESSION_MS`]; one that is merely silent may be cut off and lives to
//! [`SESSION_EXPIRY_MS`].

use std::collections::HashMap;
use std::time::Duration;

use wolfdisk_common::ids::SessionId;
use wolfdisk_common::limits::{LEASE_MS, SESSION_EXPIRY_MS, SUCCESSION_MS};

#[derive(Debug)]
struct Life {
    heard: Duration,
    /// The connection that carried the last heartbeat, while it is open.
    feed: Option<u64>,
    /// That connection was closed.
    hung_up: bool,
    /// 0: on another machine.
    pid: u32,
    heritable: bool,
}

impl Life {
    /// Nobody speaks for it; whether its process is there is another matter.
    fn is_deserted(&self) -> bool {
        match self.pid {
            0 => self.hung_up,
            _ => self.feed.is_none(),
        }
    }

    /// How long it may be silent when its process is gone.
    fn grace_ms(&self) -> u64 {
        if self.heritable || self.pid == 0 {
            SUCCESSION_MS
        } else {
            LEASE_MS
        }
    }
}

/// A session whose lease has run out and whose feed is closed: it is dead if its process is, or if it is on another
/// machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspect {
    /// The session.
    pub session: SessionId,
    /// Its process; 0 on another machine.
    pub pid: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Liveness {
    lives: HashMap<SessionId, Life>,
}

impl Liveness {
    /// A session exists, since now or since before a restart.
    pub fn open(&mut self, session: SessionId, pid: u32, now: Duration) {
        self.lives.insert(
            session,
            Life {
                heard: now,
                feed: None,
                hung_up: false,
                pid,
                heritable: false,
            },
        );
    }

    /// A successor may take it over.
    pub fn expect_heir(&mut self, session: SessionId) {
        if let Some(life) = self.lives.get_mut(&session) {
            life.heritable = true;
        }
    }

    /// A session is gone.
    pub fn close(&mut self, session: SessionId) {
        self.lives.remove(&session);
    }

    /// A call of the session arrived.
    pub fn heard(&mut self, session: SessionId, now: Duration) {
        if let Some(life) = self.lives.get_mut(&session) {
            life.heard = now;
        }
    }

    /// A heartbeat arrived on a connection.
    pub fn heartbeat(&mut self, session: SessionId, connection: u64, now: Duration) {
        if let Some(life) = self.lives.get_mut(&session) {
            life.heard = now;
            life.feed = Some(connection);
            life.hung_up = false;
        }
    }

    /// A connection was closed.
    pub fn connection_closed(&mut self, connection: u64) {
        for life in self.lives.values_mut() {
            if life.feed == Some(connection) {
                life.feed = None;
                life.hung_up = true;
            }
        }
    }

    /// Whether the connection that carried the last heartbeat is open.
    pub fn is_connected(&self, session: SessionId) -> bool {
        let life = self.lives.get(&session);
        life.is_some_and(|life| life.feed.is_some())
    }

    /// When the session was last heard of.
    pub fn last_heard(&self, session: SessionId) -> Option<Duration> {
        self.lives.get(&session).map(|life| life.heard)
    }

    /// Sessions to expire whatever their processes do.
    pub fn expired(&self, now: Duration) -> Vec<SessionId> {
        let silent = |life: &Life| now.saturating_sub(life.heard).as_millis() as u64;
        let lives = self
            .lives
            .iter()
            .filter(|(_, life)| silent(life) >= SESSION_EXPIRY_MS);
        lives.map(|(session, _)| *session).collect()
    }

    /// Sessions to expire if their processes are gone, or not on this machine.
    pub fn suspects(&self, now: Duration) -> Vec<Suspect> {
        let silent = |life: &Life| now.saturating_sub(life.heard).as_millis() as u64;
        let lives = self
            .lives
            .iter()
            .filter(|(_, life)| life.is_deserted() && silent(life) > life.grace_ms());
        lives
            .map(|(session, life)| Suspect {
                session: *session,
                pid: life.pid,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SessionId = SessionId(1);

    #[test]
    fn a_killed_front_end_is_suspected_after_its_lease_and_a_silent_one_expires() {
        let mut liveness = Liveness::default();
        let lease = Duration::from_millis(LEASE_MS + 1);
        liveness.open(A, 77, Duration::ZERO);
        liveness.heartbeat(A, 5, Duration::ZERO);
        assert_eq!(liveness.suspects(lease), []);
        liveness.connection_closed(5);
        assert_eq!(liveness.suspects(Duration::from_millis(LEASE_MS)), []);
        assert_eq!(
            liveness.suspects(lease),
            [Suspect {
                session: A,
                pid: 77
            }]
        );
        assert_eq!(liveness.expired(lease), []);
        assert_eq!(
            liveness.expired(Duration::from_millis(SESSION_EXPIRY_MS)),
            [A]
        );
    }

    #[test]
    fn a_remote_session_dies_soon_after_its_connection_and_late_of_silence() {
        let mut liveness = Liveness::default();
        liveness.open(A, 0, Duration::ZERO);
        let suspects = |liveness: &Liveness, ms| liveness.suspects(Duration::from_millis(ms)).len();
        // Since a restart it has not been heard of: it may not know yet.
        assert_eq!(suspects(&liveness, SESSION_EXPIRY_MS - 1), 0);
        liveness.heartbeat(A, 5, Duration::ZERO);
        assert_eq!(suspects(&liveness, SESSION_EXPIRY_MS - 1), 0);
        liveness.connection_closed(5);
        assert_eq!(suspects(&liveness, SUCCESSION_MS), 0);
        assert_eq!(suspects(&liveness, SUCCESSION_MS + 1), 1);
        liveness.heartbeat(A, 6, Duration::ZERO);
        assert_eq!(suspects(&liveness, SUCCESSION_MS + 1), 0);
        let silent = liveness.expired(Duration::from_millis(SESSION_EXPIRY_MS));
        assert_eq!(silent, [A]);
    }

    #[test]
    fn a_session_with_an_heir_is_kept_for_it() {
        let mut liveness = Liveness::default();
        liveness.open(A, 77, Duration::ZERO);
        liveness.expect_heir(A);
        let suspects = |after| liveness.suspects(Duration::from_millis(after)).len();
        assert_eq!(suspects(SUCCESSION_MS), 0);
        assert_eq!(suspects(SUCCESSION_MS + 1), 1);
    }
}
