//! Every limit of the admin address, with its reason.

use std::time::Duration;

/// How long `/readyz` waits for the daemon.
pub const READY_DEADLINE: Duration = Duration::from_secs(5);
/// A connection, which is for one request, is ended after this time: a page is written in milliseconds.
pub const CONNECTION_DEADLINE: Duration = Duration::from_secs(15);
/// Connections at a time; further ones wait. Those who watch are few.
pub const CONNECTIONS_MAX: usize = 16;
/// Head of a request; those who watch send a few hundred bytes. The least that the HTTP library takes.
pub const HEAD_MAX_BYTES: usize = 8192;
/// The pause after a connection could not be accepted.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(50);
