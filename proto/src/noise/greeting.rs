//! How a connection begins, on the side that asks: TCP, and the first message of each side.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use uuid::Uuid;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::member::Who;

use super::handshake::Asking;
use super::wire::Opening;
use super::{PublicKey, Welcome, keep_alive};
use crate::PROTOCOL_VERSION;
use crate::failure::Failure;
use crate::limits::{CONNECT_DEADLINE, HANDSHAKE_DEADLINE, HANDSHAKE_MAX_BYTES};

/// What a connection is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Of another release, for tests.
    pub(super) protocol: u32,
    /// Content of a packet; none: as the interfaces have it.
    pub(super) segment_bytes: Option<u32>,
}

impl Default for Terms {
    fn default() -> Terms {
        Terms {
            protocol: PROTOCOL_VERSION,
            segment_bytes: None,
        }
    }
}

/// Who answers at an address, for somebody who is nobody yet: it proves nothing of itself, and nothing that is said there is
/// proven.
///
/// # Errors
/// `Disconnected` or `Deadline`: nobody does.
pub fn who_is_there(
    address: SocketAddr,
    service: u8,
    within: Duration,
) -> Result<Welcome, Failure> {
    let opening = Opening {
        protocol: PROTOCOL_VERSION,
        service,
        who: Who::Node,
    };
    // The handshake does not come to where keys are proven.
    let none = [1; 32];
    let began = Asking::begin(&none, &none, opening)?;
    let (_, _, (welcome, _)) = greet(address, began, within, None)?;
    Ok(welcome)
}

/// Connects, and sends and receives the first message of each side.
pub(super) fn greet(
    address: SocketAddr,
    (mut asking, first): (Asking, Vec<u8>),
    within: Duration,
    segment_bytes: Option<u32>,
) -> Result<(TcpStream, Asking, (Welcome, PublicKey)), Failure> {
    let lost = |error| lost(address, &error);
    let within = within.max(Duration::from_millis(1));
    let mut stream = connect(address, within, segment_bytes).map_err(lost)?;
    let timeout = Some(within.min(HANDSHAKE_DEADLINE));
    stream.set_read_timeout(timeout).map_err(lost)?;
    stream.set_write_timeout(timeout).map_err(lost)?;
    stream.set_nodelay(true).map_err(lost)?;
    keep_alive(&stream).map_err(lost)?;
    send_message(&mut stream, &first).map_err(lost)?;
    let second = receive_message(&mut stream).map_err(lost)?;
    let told = asking.read_welcome(&second)?;
    Ok((stream, asking, told))
}

fn connect(
    address: SocketAddr,
    within: Duration,
    segment_bytes: Option<u32>,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Told to the other side with the first packet, so that its own are as small.
    if let Some(bytes) = segment_bytes {
        socket.set_tcp_mss(bytes)?;
    }
    socket.connect_timeout(&address.into(), within.min(CONNECT_DEADLINE))?;
    Ok(socket.into())
}

pub(super) fn lost(address: SocketAddr, error: &io::Error) -> Failure {
    match is_deadline(error) {
        true => Failure::Deadline(format!("{address} does not answer")),
        false => Failure::Disconnected(format!("{address}: {error}")),
    }
}

/// Whoever is there does not let this machine in.
pub(super) fn not_let_in(address: SocketAddr) -> Failure {
    Failure::Denied(format!(
        "{address} does not let this machine in; was it removed? If it is to be a member, let it join again"
    ))
}

/// Whether that is whom we look for.
pub(super) fn check(
    credentials: &Credentials,
    welcome: &Welcome,
    key: &PublicKey,
    protocol: u32,
) -> Result<(), Failure> {
    if welcome.protocol.abs_diff(protocol) > 1 {
        return Err(Failure::Unsupported(format!(
            "node {} speaks protocol {}, this release {protocol}: run releases that are at most one apart",
            welcome.node, welcome.protocol
        )));
    }
    if let Some(wanted) = credentials.cluster
        && wanted != Uuid::from_bytes(welcome.cluster)
    {
        return Err(Failure::Denied(format!(
            "node {} is of another cluster, {}",
            welcome.node,
            Uuid::from_bytes(welcome.cluster)
        )));
    }
    if credentials.node_key.is_some_and(|wanted| wanted != *key) {
        return Err(Failure::Denied(format!(
            "node {} is not the one that made the token",
            welcome.node
        )));
    }
    Ok(())
}

pub(super) fn send_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let mut bytes = (message.len() as u16).to_le_bytes().to_vec();
    bytes.extend_from_slice(message);
    stream.write_all(&bytes)
}

fn receive_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    let length = usize::from(u16::from_le_bytes(head));
    if length > HANDSHAKE_MAX_BYTES {
        let what = "no WolfDisk node answers there";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    Ok(message)
}

/// Whether the time was over that this side gave. When TCP gives up (ETIMEDOUT), there is nobody.
pub(super) fn is_deadline(error: &io::Error) -> bool {
    match error.kind() {
        io::ErrorKind::WouldBlock => true,
        io::ErrorKind::TimedOut => error.raw_os_error() != Some(libc::ETIMEDOUT),
        _ => false,
    }
}
