//! As many connections to one node as there are calls in flight, opened beside the calls that want them: a connection that
//! takes longer than a call waits serves the next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use wolfdisk_common::credentials::Credentials;

use super::asking::{CallError, late};
use super::async_asking::AsyncConnection;
use crate::call::AsyncCaller;
use crate::failure::Failure;
use crate::framed;
use crate::limits::{ADDRESSES_TRIED_MAX, IDLE_MAX, NEXT_ADDRESS_AFTER};

/// See the module. Copies share the connections.
#[derive(Clone)]
pub struct AsyncPool(Arc<Inner>);

struct Inner {
    credentials: Arc<Credentials>,
    service: u8,
    addresses: Box<dyn Fn() -> Vec<SocketAddr> + Send + Sync>,
    lines: Mutex<Lines>,
    /// A connection has become idle, or one could not be opened.
    news: Notify,
}

#[derive(Default)]
struct Lines {
    idle: Vec<AsyncConnection>,
    /// One is being opened.
    opening: bool,
    /// How often none could be opened ..
    failures: u64,
    /// .. and why the last time.
    failure: Option<Failure>,
}

impl std::fmt::Debug for AsyncPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncPool")
            .field("service", &self.0.service)
            .finish_non_exhaustive()
    }
}

impl AsyncPool {
    /// A pool; connects at the first call, to whichever of `addresses` answers first: all are the same node's, the most
    /// promising first. They are asked for on the thread of the reactor, so may not block. `service` is the number of
    /// the service that is asked.
    pub fn new(
        credentials: Arc<Credentials>,
        service: u8,
        addresses: impl Fn() -> Vec<SocketAddr> + Send + Sync + 'static,
    ) -> AsyncPool {
        AsyncPool(Arc::new(Inner {
            credentials,
            service,
            addresses: Box::new(addresses),
            lines: Mutex::default(),
            news: Notify::new(),
        }))
    }

    async fn ask(&self, frame: &[u8]) -> Result<Bytes, Failure> {
        match self.attempt(frame).await {
            // Those that are idle may be as old as the one that was lost: the daemon may have started again.
            Err(CallError::Lost(_)) => self.attempt(frame).await,
            answered => answered,
        }
        .map_err(|(CallError::Answer(failure) | CallError::Lost(failure))| failure)
    }

    async fn attempt(&self, frame: &[u8]) -> Result<Bytes, CallError> {
        let connection = self.0.take().await;
        let mut connection = connection.map_err(CallError::Answer)?;
        let answer = connection.exchange(frame).await;
        match &answer {
            // It may be another node than the one that was looked for.
            Err(CallError::Answer(Failure::Denied(_))) => {}
            Ok(_) | Err(CallError::Answer(_)) => self.0.put(connection),
            Err(CallError::Lost(_)) => self.0.lines.lock().idle.clear(),
        }
        answer
    }
}

impl AsyncCaller for AsyncPool {
    async fn call(
        &self,
        within: Duration,
        service: u8,
        method: u8,
        mut frame: Vec<u8>,
    ) -> Result<Bytes, Failure> {
        framed::fits(&frame, 0)?;
        let deadline_ms = u32::try_from(within.as_millis()).unwrap_or(u32::MAX);
        framed::seal(&mut frame, service, method, 0, deadline_ms);
        let answered = timeout(within, self.ask(&frame)).await;
        answered.unwrap_or_else(|_| {
            // If the machine is gone, so are the others.
            self.0.lines.lock().idle.clear();
            Err(late())
        })
    }
}

impl Inner {
    /// An idle connection, or a new one.
    async fn take(self: &Arc<Self>) -> Result<AsyncConnection, Failure> {
        let before = self.lines.lock().failures;
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            {
                let mut lines = self.lines.lock();
                if let Some(connection) = lines.idle.pop() {
                    return Ok(connection);
                }
                if lines.failures != before
                    && let Some(failure) = &lines.failure
                {
                    return Err(failure.clone());
                }
                if !lines.opening {
                    lines.opening = true;
                    tokio::spawn(self.clone().open());
                }
            }
            news.await;
        }
    }

    fn put(&self, connection: AsyncConnection) {
        let mut lines = self.lines.lock();
        if lines.idle.len() < IDLE_MAX {
            lines.idle.push(connection);
        }
        drop(lines);
        self.news.notify_waiters();
    }

    async fn open(self: Arc<Self>) {
        let opened = self.first_that_answers().await;
        let mut lines = self.lines.lock();
        lines.opening = false;
        match opened {
            Ok(connection) => lines.idle.push(connection),
            Err(failure) => {
                lines.failures += 1;
                lines.failure = Some(failure);
            }
        }
        drop(lines);
        self.news.notify_waiters();
    }

    /// Tries all addresses, each a little later than the one before: an interface that is gone is not waited for.
    async fn first_that_answers(&self) -> Result<AsyncConnection, Failure> {
        let mut addresses = (self.addresses)();
        addresses.truncate(ADDRESSES_TRIED_MAX);
        let mut attempts = JoinSet::new();
        for (place, address) in (0u32..).zip(addresses) {
            let (credentials, service) = (self.credentials.clone(), self.service);
            attempts.spawn(async move {
                sleep(NEXT_ADDRESS_AFTER * place).await;
                AsyncConnection::open(address, service, &credentials).await
            });
        }
        let mut failure = Failure::Disconnected("its address is not known".to_owned());
        while let Some(attempt) = attempts.join_next().await {
            match attempt {
                // The others are given up.
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(refused)) => failure = refused,
                Err(ended) => failure = Failure::Unavailable(ended.to_string()),
            }
        }
        Err(failure)
    }
}
