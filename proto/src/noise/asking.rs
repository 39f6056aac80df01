//! The asking side: blocking, one call in flight on a connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use wolfdisk_common::credentials::Credentials;

use super::Welcome;
use crate::call::{Caller, Options};
use crate::failure::Failure;

/// Where daemons of one kind are.
pub trait Targets: Send + Sync {
    /// Addresses to try, the most promising first. May look up names, so may block for a moment.
    fn addresses(&self) -> Vec<SocketAddr>;

    /// There somebody answered so.
    fn reached(&self, address: SocketAddr, welcome: &Welcome);

    /// There nobody did, and why.
    fn failed(&self, address: SocketAddr, failure: &Failure);
}

/// One encrypted connection, used by one call at a time.
#[derive(Debug)]
pub struct Connection {
    welcome: Welcome,
}

impl Connection {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// `Disconnected` or `Deadline`: nobody answers there. `Denied`: this machine is not let in. `Unsupported`: of a distant
    /// protocol.
    pub fn open(
        _address: SocketAddr,
        _service: u8,
        _credentials: &Credentials,
        _within: Duration,
    ) -> Result<Connection, Failure> {
        Err(Failure::Unsupported("not yet".to_owned()))
    }

    /// What the other side said of itself.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }
}

impl Caller for Mutex<Connection> {
    fn call(&self, _: &mut Options, _: u8, _: u8, _: &[u8]) -> Result<Bytes, Failure> {
        Err(Failure::Unsupported("not yet".to_owned()))
    }
}

/// Connections to one kind of daemon on whichever node answers, as many as there are calls in flight.
pub struct Pool {
    _targets: Arc<dyn Targets>,
}

impl Pool {
    /// A pool; connects at the first call. `service` is the number of the service that is asked.
    pub fn new(_credentials: Arc<Credentials>, _service: u8, targets: Arc<dyn Targets>) -> Pool {
        Pool { _targets: targets }
    }
}

impl Caller for Pool {
    fn call(&self, _: &mut Options, _: u8, _: u8, _: &[u8]) -> Result<Bytes, Failure> {
        Err(Failure::Unsupported("not yet".to_owned()))
    }
}
