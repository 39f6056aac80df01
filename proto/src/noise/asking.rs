//! The asking side: blocking, one call in flight on a connection.

use std::io::{self, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::release::release;

use super::greeting::{Terms, check, greet, is_deadline, lost, not_let_in, send_message};
use super::handshake::{Asking, BATCH_BYTES, Sealing};
use super::line::Line;
use super::wire::{Arrival, Opening, read_verdict};
use super::{FEATURES, REFUSAL, Welcome};
use crate::call::{Caller, Options};
use crate::failure::Failure;
use crate::framed::{self, HEADER_BYTES, Header};
use crate::limits::{HANDSHAKE_DEADLINE, RECORD_MAX_BYTES, SMALL_SEGMENT_BYTES};

/// Bytes read ahead: two records.
const READ_AHEAD_BYTES: usize = 2 * RECORD_MAX_BYTES;

/// One encrypted connection, used by one call at a time.
pub struct Connection {
    stream: BufReader<Line>,
    sealing: Sealing,
    welcome: Welcome,
    record: Vec<u8>,
    sealed: Vec<u8>,
    lost: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("welcome", &self.welcome)
            .finish_non_exhaustive()
    }
}

/// How a call on a connection failed.
pub(super) enum CallError {
    /// The daemon answered so; the connection is good.
    Answer(Failure),
    /// The connection is not.
    Lost(Failure),
}

impl Connection {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// `Disconnected` or `Deadline`: nobody answers there. `Denied`: this machine is not let in, or that is not the node or
    /// the cluster that it looks for. `Unsupported`: of a distant protocol.
    pub fn open(
        address: SocketAddr,
        service: u8,
        credentials: &Credentials,
        within: Duration,
    ) -> Result<Connection, Failure> {
        Connection::open_as(address, service, credentials, within, Terms::default())
    }

    /// The same, by packets so small that every network carries them.
    ///
    /// # Errors
    /// As above.
    pub fn open_by_small_packets(
        address: SocketAddr,
        service: u8,
        credentials: &Credentials,
        within: Duration,
    ) -> Result<Connection, Failure> {
        let terms = Terms {
            segment_bytes: Some(SMALL_SEGMENT_BYTES),
            ..Terms::default()
        };
        Connection::open_as(address, service, credentials, within, terms)
    }

    /// The same on terms of its own.
    pub(super) fn open_as(
        address: SocketAddr,
        service: u8,
        credentials: &Credentials,
        within: Duration,
        terms: Terms,
    ) -> Result<Connection, Failure> {
        let protocol = terms.protocol;
        let lost = |error| lost(address, &error);
        let opening = Opening {
            protocol,
            service,
            who: credentials.who,
        };
        let timeout = within.min(HANDSHAKE_DEADLINE);
        let began = Asking::begin(&credentials.static_key, &credentials.shared_key, opening)?;
        let (mut stream, asking, (mut welcome, key)) =
            greet(address, began, within, terms.segment_bytes)?;
        check(credentials, &welcome, &key, protocol)?;
        welcome.protocol = welcome.protocol.min(protocol);
        welcome.features &= FEATURES;
        let arrival = Arrival {
            features: FEATURES,
            name: credentials.name.clone(),
            release: release().to_owned(),
        };
        let (sealing, third) = asking.end(&arrival)?;
        send_message(&mut stream, &third).map_err(lost)?;
        let line = Line::new(stream, address, timeout).map_err(lost)?;
        let mut connection = Connection {
            stream: BufReader::with_capacity(READ_AHEAD_BYTES, line),
            sealing,
            welcome,
            record: Vec::new(),
            sealed: Vec::new(),
            lost: false,
        };
        connection
            .verdict(address)
            .map_err(|failure| match failure {
                Failure::Disconnected(text) => Failure::Disconnected(format!("{address}: {text}")),
                failure => failure,
            })?;
        Ok(connection)
    }

    /// Whether this machine is let in. A connection that ends before it is told says nothing of that.
    fn verdict(&mut self, address: SocketAddr) -> Result<(), Failure> {
        let head = self.read_length()?;
        if head == REFUSAL {
            return Err(not_let_in(address));
        }
        let mut plain = Vec::new();
        self.open_record(head, &mut plain)?;
        read_verdict(&plain)
    }

    /// A call that waits ends when `targets` say that the node has left the address that this goes to.
    #[must_use]
    pub fn watched_by(mut self, targets: Arc<dyn Targets>) -> Connection {
        self.stream.get_mut().watched_by(targets);
        self
    }

    /// What the other side said of itself.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Sends one frame and receives its reply. A connection that was lost once refuses every further call.
    pub(super) fn exchange(&mut self, frame: &[u8], within: Duration) -> Result<Bytes, CallError> {
        if self.lost {
            return Err(CallError::Lost(Failure::Disconnected(
                "an earlier call on this connection failed".into(),
            )));
        }
        let answer = self.exchange_once(frame, within);
        self.lost = matches!(answer, Err(CallError::Lost(_)));
        answer
    }

    fn exchange_once(&mut self, frame: &[u8], within: Duration) -> Result<Bytes, CallError> {
        let until = Instant::now() + within;
        let lost = |error| CallError::Lost(from_io(error));
        self.stream.get_mut().wait_until(until);
        for batch in frame.chunks(BATCH_BYTES) {
            let sealed = self.sealing.seal(batch, &mut self.sealed);
            sealed.map_err(CallError::Lost)?;
            self.stream
                .get_mut()
                .write_all(&self.sealed)
                .map_err(lost)?;
        }
        let mut plain = Vec::new();
        let mut total = HEADER_BYTES;
        let mut header = None;
        while plain.len() < total {
            self.read_record(&mut plain).map_err(CallError::Lost)?;
            if header.is_none()
                && let Some(head) = plain.first_chunk::<HEADER_BYTES>()
            {
                let parsed = Header::parse(head).map_err(CallError::Lost)?;
                total = HEADER_BYTES + parsed.body;
                plain.reserve(total.saturating_sub(plain.len()));
                header = Some(parsed);
            }
            if plain.len() < total && Instant::now() >= until {
                return Err(CallError::Lost(late()));
            }
        }
        let Some(header) = header.filter(|_| plain.len() == total) else {
            let text = "an answer of another length".to_owned();
            return Err(CallError::Lost(Failure::Disconnected(text)));
        };
        let body = Bytes::from(plain).slice(HEADER_BYTES..);
        answer_of(header, body).map_err(CallError::Answer)
    }

    fn read_record(&mut self, plain: &mut Vec<u8>) -> Result<(), Failure> {
        let head = self.read_length()?;
        self.open_record(head, plain)
    }

    fn read_length(&mut self) -> Result<[u8; 2], Failure> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).map_err(from_io)?;
        Ok(head)
    }

    fn open_record(&mut self, head: [u8; 2], plain: &mut Vec<u8>) -> Result<(), Failure> {
        self.record.resize(usize::from(u16::from_le_bytes(head)), 0);
        self.stream.read_exact(&mut self.record).map_err(from_io)?;
        self.sealing.open(&self.record, plain)
    }
}

/// What a frame answers.
pub(super) fn answer_of(header: Header, body: Bytes) -> Result<Bytes, Failure> {
    match header.number {
        0 => Ok(body),
        code => Err(Failure::from_wire(
            code,
            header.argument as i32,
            String::from_utf8_lossy(&body).into_owned(),
        )),
    }
}

pub(super) fn late() -> Failure {
    Failure::Deadline("the node did not answer".into())
}

fn from_io(error: io::Error) -> Failure {
    match is_deadline(&error) {
        true => late(),
        false => Failure::Disconnected(error.to_string()),
    }
}

impl Caller for Mutex<Connection> {
    fn call(
        &self,
        options: &mut Options,
        service: u8,
        method: u8,
        body: &[u8],
    ) -> Result<Bytes, Failure> {
        let frame = sealed(options, service, method, body)?;
        let answer = self.lock().exchange(&frame, options.deadline);
        answer.map_err(|error| match error {
            CallError::Answer(failure) | CallError::Lost(failure) => failure,
        })
    }
}

/// A request as a frame. Descriptors do not travel between machines.
pub(super) fn sealed(
    options: &Options,
    service: u8,
    method: u8,
    body: &[u8],
) -> Result<Vec<u8>, Failure> {
    if !options.send.is_empty() {
        let text = "descriptors travel only over Unix sockets";
        return Err(Failure::Unsupported(text.to_owned()));
    }
    if options.deadline.is_zero() {
        return Err(Failure::Deadline("no time was left to ask".into()));
    }
    let mut frame = body.to_vec();
    framed::fits(&frame, 0)?;
    let deadline_ms = u32::try_from(options.deadline.as_millis()).unwrap_or(u32::MAX);
    framed::seal(&mut frame, service, method, 0, deadline_ms);
    Ok(frame)
}

/// Where daemons of one kind are.
pub trait Targets: Send + Sync {
    /// Addresses to try, the most promising first. May look up names, so may block for a moment.
    fn addresses(&self) -> Vec<SocketAddr>;

    /// There somebody answered so.
    fn reached(&self, address: SocketAddr, welcome: &Welcome);

    /// There nobody did, and why.
    fn failed(&self, address: SocketAddr, failure: &Failure);

    /// Whether whoever was there is known to be elsewhere now. Asked while a call waits.
    fn have_left(&self, _address: SocketAddr) -> bool {
        false
    }
}

/// The same targets for several pools.
impl<T: Targets + ?Sized> Targets for Arc<T> {
    fn addresses(&self) -> Vec<SocketAddr> {
        (**self).addresses()
    }

    fn reached(&self, address: SocketAddr, welcome: &Welcome) {
        (**self).reached(address, welcome);
    }

    fn failed(&self, address: SocketAddr, failure: &Failure) {
        (**self).failed(address, failure);
    }

    fn have_left(&self, address: SocketAddr) -> bool {
        (**self).have_left(address)
    }
}
