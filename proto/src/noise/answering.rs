//! The answering side: accepts, shakes hands within bounds, and answers calls one after the other on each connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::TryRngCore;
use rand::rngs::OsRng;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use wolfdisk_common::member::{Principal, Who};
use zeroize::Zeroizing;

use super::guests::{Guests, Seat};
use super::handshake::{Answering, Sealing};
use super::records::Records;
use super::wire::verdict;
use super::{Door, FEATURES, keep_alive};
use crate::PROTOCOL_VERSION;
use crate::call::Call;
use crate::failure::Failure;
use crate::framed::{self, Dispatch};
use crate::limits::HANDSHAKE_DEADLINE;
use crate::server::{OnClose, is_passing};

/// What a listener needs besides its service.
#[derive(Clone)]
pub struct Setup {
    /// The private static key.
    pub static_key: Zeroizing<[u8; 32]>,
    /// Who is let in.
    pub door: Arc<dyn Door>,
    /// Who is there.
    pub guests: Arc<Guests>,
    /// Told when a connection has ended, with its number.
    pub on_close: OnClose,
}

/// Accepts for ever. Ends only when the listener fails.
///
/// # Errors
/// What `accept` says, other than for a single connection.
pub async fn serve<D: Dispatch>(listener: TcpListener, service: D, setup: Setup) -> io::Result<()> {
    serve_as(listener, service, setup, PROTOCOL_VERSION).await
}

/// The same for a release of another protocol.
pub(super) async fn serve_as<D: Dispatch>(
    listener: TcpListener,
    service: D,
    setup: Setup,
    protocol: u32,
) -> io::Result<()> {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_passing(&error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let Some(seat) = setup.guests.seat(address, setup.on_close.clone()) else {
            continue;
        };
        let (service, setup) = (service.clone(), setup.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(stream, seat, service, &setup, protocol).await {
                tracing::debug!(%error, %address, "a connection from afar ended");
            }
        });
    }
}

async fn connection<D: Dispatch>(
    stream: TcpStream,
    seat: Seat,
    service: D,
    setup: &Setup,
    protocol: u32,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    keep_alive(&stream)?;
    let mut line = Records::new(stream);
    let shaken = timeout(
        HANDSHAKE_DEADLINE,
        shake(&mut line, &seat, setup, protocol, D::SERVICE),
    );
    let shaken = tokio::select! {
        shaken = shaken => shaken,
        () = seat.expelled() => return Err(io::Error::other("others want its place")),
    };
    let (mut sealing, who, admitted) = match shaken {
        Ok(Ok(shaken)) => shaken,
        Ok(Err(failure)) => {
            setup.guests.refused(&failure);
            if matches!(failure, Failure::Denied(_)) {
                tracing::info!(address = %seat.address(), "a machine does not hold the key that it named");
                line.refuse().await?;
            }
            return Err(io::Error::other(failure));
        }
        Err(late) => {
            setup.guests.late();
            return Err(late.into());
        }
    };
    let admitted = admitted.and_then(|principal| {
        seat.taken(&principal)?;
        // It may have been removed before anybody could tell that it is here.
        let (key, address) = (principal.public_key, seat.address());
        setup.door.admit(who, &key, address).map(Arc::new)
    });
    let said = verdict(admitted.as_ref().map(|_| ()));
    line.send(&mut sealing, &said).await?;
    let principal = match admitted {
        Ok(principal) => principal,
        Err(failure) => {
            setup.guests.refused(&failure);
            return Err(io::Error::other(failure));
        }
    };
    tokio::select! {
        ended = answer(&mut line, &mut sealing, &seat, &service, &principal) => ended,
        () = seat.expelled() => Ok(()),
    }
}

/// Shakes hands: what seals, and who it is or why that one may not come in.
async fn shake(
    line: &mut Records,
    seat: &Seat,
    setup: &Setup,
    protocol: u32,
    service: u8,
) -> Result<(Sealing, Who, Result<Principal, Failure>), Failure> {
    let lost = |error: io::Error| Failure::Disconnected(error.to_string());
    let first = line.message().await.map_err(lost)?;
    let (mut answering, opening) = Answering::begin(&setup.static_key, first)?;
    let known = setup.door.shared_key(opening.who);
    // Whether a member of that number is there is nobody's business: the third message fails for either reason.
    let shared_key = known.map_or_else(random_key, Ok)?;
    let mut welcome = setup.door.welcome();
    (welcome.protocol, welcome.features) = (protocol, FEATURES);
    let second = answering.welcome(&shared_key, &welcome)?;
    line.send_message(&second).await.map_err(lost)?;
    let third = line.message().await.map_err(lost)?;
    let (sealing, arrival, key) = answering.end(third)?;
    let admitted = if opening.protocol.abs_diff(protocol) > 1 {
        Err(Failure::Unsupported(format!(
            "this node speaks protocol {protocol}, the other side {}: run releases that are at most one apart",
            opening.protocol
        )))
    } else if opening.service != service {
        Err(Failure::Unsupported(format!(
            "service {} is not here",
            opening.service
        )))
    } else {
        setup.door.admit(opening.who, &key, seat.address())
    };
    tracing::debug!(name = arrival.name, release = arrival.release, who = ?opening.who, "a handshake");
    Ok((sealing, opening.who, admitted))
}

fn random_key() -> Result<Zeroizing<[u8; 32]>, Failure> {
    let mut key = Zeroizing::new([0; 32]);
    OsRng
        .try_fill_bytes(&mut *key)
        .map_err(|error| Failure::Unavailable(error.to_string()))?;
    Ok(key)
}

/// Answers calls, one after the other.
async fn answer<D: Dispatch>(
    line: &mut Records,
    sealing: &mut Sealing,
    seat: &Seat,
    service: &D,
    principal: &Arc<Principal>,
) -> io::Result<()> {
    while let Some((header, body)) = line.frame(sealing).await? {
        let mut call = Call::remote(seat.number(), principal.clone());
        let answer = if header.kind == D::SERVICE {
            service.dispatch(&mut call, header.number, body).await
        } else {
            Err(Failure::Unsupported(format!(
                "service {} is not here",
                header.kind
            )))
        };
        let answer = answer.and_then(|frame| framed::fits(&frame, 0).map(|()| frame));
        let frame = match answer {
            Ok(mut frame) => {
                framed::seal(&mut frame, 0, 0, 0, 0);
                frame
            }
            Err(failure) => framed::failure_frame(&failure),
        };
        line.send(sealing, &frame).await?;
    }
    Ok(())
}
