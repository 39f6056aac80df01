//! The asking side without blocking, for daemons that ask each other: one call in flight on a connection.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::time::timeout;
use wolfdisk_common::credentials::Credentials;
use wolfdisk_common::release::release;

use super::asking::{CallError, answer_of};
use super::greeting::{check, lost, not_let_in};
use super::handshake::{Asking, Sealing};
use super::records::Records;
use super::wire::{Arrival, Opening, read_verdict};
use super::{FEATURES, keep_alive};
use crate::PROTOCOL_VERSION;
use crate::failure::Failure;
use crate::limits::{CONNECT_DEADLINE, HANDSHAKE_DEADLINE};

/// One encrypted connection, used by one call at a time. A call that is given up before its answer leaves a connection
/// that must not be used again.
pub(super) struct AsyncConnection {
    records: Records,
    sealing: Sealing,
}

impl AsyncConnection {
    /// Connects and shakes hands, within [`HANDSHAKE_DEADLINE`].
    ///
    /// # Errors
    /// As of [`Connection::open`](super::Connection::open).
    pub(super) async fn open(
        address: SocketAddr,
        service: u8,
        credentials: &Credentials,
    ) -> Result<AsyncConnection, Failure> {
        let opened = timeout(HANDSHAKE_DEADLINE, shake(address, service, credentials));
        let late = |_| Failure::Deadline(format!("{address} does not answer"));
        opened.await.map_err(late)?
    }

    /// Sends one frame and receives its reply. Waits for ever if nothing comes: who asks sets a deadline.
    pub(super) async fn exchange(&mut self, frame: &[u8]) -> Result<Bytes, CallError> {
        let failed = |error: std::io::Error| Failure::Disconnected(error.to_string());
        let lost = |error| CallError::Lost(failed(error));
        let (records, sealing) = (&mut self.records, &mut self.sealing);
        records.send(sealing, frame).await.map_err(lost)?;
        let received = records.frame(sealing).await.map_err(lost)?;
        let (header, body) = received.ok_or_else(|| {
            CallError::Lost(Failure::Disconnected("the node has hung up".to_owned()))
        })?;
        answer_of(header, body).map_err(CallError::Answer)
    }
}

async fn shake(
    address: SocketAddr,
    service: u8,
    credentials: &Credentials,
) -> Result<AsyncConnection, Failure> {
    let lost = |error| lost(address, &error);
    let opening = Opening {
        protocol: PROTOCOL_VERSION,
        service,
        who: credentials.who,
    };
    let (mut asking, first) =
        Asking::begin(&credentials.static_key, &credentials.shared_key, opening)?;
    let stream = timeout(CONNECT_DEADLINE, TcpStream::connect(address)).await;
    let stream = stream.map_err(|late| lost(late.into()))?.map_err(lost)?;
    stream.set_nodelay(true).map_err(lost)?;
    keep_alive(&stream).map_err(lost)?;
    let mut records = Records::new(stream);
    records.send_message(&first).await.map_err(lost)?;
    let second = records.message().await.map_err(lost)?;
    let (welcome, key) = asking.read_welcome(second)?;
    check(credentials, &welcome, &key, PROTOCOL_VERSION)?;
    let arrival = Arrival {
        features: FEATURES,
        name: credentials.name.clone(),
        release: release().to_owned(),
    };
    let (mut sealing, third) = asking.end(&arrival)?;
    records.send_message(&third).await.map_err(lost)?;
    let verdict = records.record(&mut sealing).await.map_err(lost)?;
    read_verdict(&verdict.ok_or_else(|| not_let_in(address))?)?;
    Ok(AsyncConnection { records, sealing })
}
