//! Encrypted connections between machines: Noise `XXpsk3` (`Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s`) over TCP, and in it the
//! same two bindings as on the Unix sockets.
//!
//! Who asks names the key that it shares with the nodes in the first message ([`Who`]); both prove their static keys, so
//! that each can be named and shut out alone.

mod answering;
mod asking;
mod async_asking;
mod async_pool;
#[cfg(test)]
mod async_tests;
mod greeting;
mod guests;
mod handshake;
mod line;
mod pool;
mod records;
#[cfg(test)]
mod tests;
pub mod wire;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use wolfdisk_common::member::{PUBLIC_KEY_BYTES, Principal, Who};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::limits;

pub use answering::{Setup, serve};
pub use asking::{Connection, Targets};
pub use async_pool::AsyncPool;
pub use greeting::who_is_there;
pub use guests::Guests;
pub use pool::Pool;

/// The public half of a static key.
pub type PublicKey = [u8; PUBLIC_KEY_BYTES];

/// What a node sends to one that does not hold the key it named: a record of no length. It is for people only; whoever can forge it
/// can as well cut the connection.
const REFUSAL: [u8; 2] = [0; 2];

/// What this release knows beside the protocol; none yet.
const FEATURES: u64 = 0;

/// What a node says of itself in the handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Welcome {
    /// The protocol that is spoken on this connection: the lower of both.
    pub protocol: u32,
    /// Bits of what both know.
    pub features: u64,
    /// The cluster's id.
    pub cluster: [u8; 16],
    /// The node's name.
    pub node: String,
    /// Its life.
    pub incarnation: u64,
    /// The cluster's generation.
    pub generation: u64,
    /// Where its wolfdisk-chunkd listens, at the same address.
    pub chunk_port: u16,
    /// Its release.
    pub release: String,
}

/// Who is let in, and by which key. Asked on the thread of the reactor: it may not block.
pub trait Door: Send + Sync + 'static {
    /// The key that such a one proves itself with; none: no such is known.
    fn shared_key(&self, who: Who) -> Option<Zeroizing<[u8; 32]>>;

    /// Whether somebody who holds that key and has proven this static key may come in, and who that is.
    ///
    /// # Errors
    /// Why not, for the other side to read.
    fn admit(
        &self,
        who: Who,
        public_key: &PublicKey,
        address: SocketAddr,
    ) -> Result<Principal, Failure>;

    /// What this node says of itself.
    fn welcome(&self) -> Welcome;
}

/// The public key of a private one.
///
/// # Errors
/// This build has no X25519.
pub fn public_key(private: &[u8; 32]) -> Result<PublicKey, Failure> {
    handshake::public_key(private)
}

/// Has the kernel notice when the other side is gone, whether the connection is idle or has bytes on the way: those it would
/// send again for a quarter of an hour, and not ask.
fn keep_alive(stream: &impl AsFd) -> io::Result<()> {
    let alive = socket2::TcpKeepalive::new()
        .with_time(limits::KEEPALIVE_IDLE)
        .with_interval(limits::KEEPALIVE_INTERVAL)
        .with_retries(limits::KEEPALIVE_RETRIES);
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_keepalive(&alive)?;
    socket.set_tcp_user_timeout(Some(limits::UNACKNOWLEDGED_MAX))
}
