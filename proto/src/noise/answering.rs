//! The answering side.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use wolfdisk_common::member::PUBLIC_KEY_BYTES;
use zeroize::Zeroizing;

use super::Door;
use crate::framed::Dispatch;
use crate::server::OnClose;

/// Who is connected, and how often somebody was turned away. One for each listener.
#[derive(Debug, Default)]
pub struct Guests {}

impl Guests {
    /// Closes all connections of a static key, at once.
    pub fn expel(&self, _public_key: &[u8; PUBLIC_KEY_BYTES]) {}

    /// Open connections of a static key, and the address of the last.
    pub fn of(&self, _public_key: &[u8; PUBLIC_KEY_BYTES]) -> (u32, Option<SocketAddr>) {
        (0, None)
    }

    /// Counters by name, for people.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

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
pub async fn serve<D: Dispatch>(
    _listener: TcpListener,
    _service: D,
    _setup: Setup,
) -> io::Result<()> {
    std::future::pending().await
}
