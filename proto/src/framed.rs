//! The frames of the Unix sockets.
//!
//! A connection opens with eight bytes from the asking side, `WDF1` and its protocol version (u32), and
//! the answering side returns the same with its own. After that requests and replies alternate; there
//! is one call at a time on a connection, so no numbers are needed and a connection is also the unit of
//! back-pressure. All integers are little-endian.
//!
//! ```text
//! frame   := length u32 (of what follows) | kind u8 | number u8 | fds u8 | 0 u8 | argument u32 | body
//! request : kind = service, number = method, argument = deadline in ms
//! reply   : kind = 0, number = failure code or 0, argument = errno; body = message, or failure text
//! ```
//!
//! Up to [`limits::FRAME_FDS_MAX`] descriptors travel with the first byte of a frame (`SCM_RIGHTS`).

use std::future::Future;

use bytes::Bytes;
use prost::Message;
use wolfdisk_common::limits;

use crate::PROTOCOL_VERSION;
use crate::call::Call;
use crate::calls::Calls;
use crate::failure::Failure;

/// First bytes of a framed connection.
pub const PREFACE: [u8; 4] = *b"WDF1";
/// First bytes of an HTTP/2 connection (RFC 9113, section 3.4).
pub const HTTP2_PREFACE: [u8; 4] = *b"PRI ";
/// What a connection opens with, from either side: the preface and the sender's protocol version.
pub fn opening() -> [u8; 8] {
    let [p0, p1, p2, p3] = PREFACE;
    let [v0, v1, v2, v3] = PROTOCOL_VERSION.to_le_bytes();
    [p0, p1, p2, p3, v0, v1, v2, v3]
}

/// Checks what the other side opened with.
///
/// # Errors
/// `Invalid` for anything but a WolfDisk process, `Unsupported` for one of a distant protocol: two
/// neighbouring versions understand each other, others do not.
pub fn check_opening(theirs: [u8; 8]) -> Result<(), Failure> {
    let [p0, p1, p2, p3, v0, v1, v2, v3] = theirs;
    if [p0, p1, p2, p3] != PREFACE {
        return Err(Failure::Invalid(
            "the other side is no WolfDisk process".into(),
        ));
    }
    let version = u32::from_le_bytes([v0, v1, v2, v3]);
    if version.abs_diff(PROTOCOL_VERSION) > 1 {
        return Err(Failure::Unsupported(format!(
            "the other side speaks protocol {version}, this release {PROTOCOL_VERSION}: run \
             releases that are at most one apart"
        )));
    }
    Ok(())
}

/// Bytes before the body, the length included.
pub const HEADER_BYTES: usize = 12;

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the body.
    pub body: usize,
    /// Service number, 0 in a reply.
    pub kind: u8,
    /// Method number, or failure code.
    pub number: u8,
    /// Descriptors that come along.
    pub fds: u8,
    /// Deadline in ms, or errno.
    pub argument: u32,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// `Invalid` if the frame would be larger than allowed or impossibly small.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Failure> {
        let [l0, l1, l2, l3, kind, number, fds, _, a0, a1, a2, a3] = *bytes;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let rest = HEADER_BYTES - 4;
        if length < rest || length > limits::FRAME_MAX_BYTES {
            return Err(Failure::Invalid(format!("a frame of {length} bytes")));
        }
        if usize::from(fds) > limits::FRAME_FDS_MAX {
            return Err(Failure::Invalid(format!("a frame with {fds} descriptors")));
        }
        let argument = u32::from_le_bytes([a0, a1, a2, a3]);
        Ok(Header {
            body: length - rest,
            kind,
            number,
            fds,
            argument,
        })
    }

    /// The bytes of this header.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let [l0, l1, l2, l3] = ((self.body + HEADER_BYTES - 4) as u32).to_le_bytes();
        let [a0, a1, a2, a3] = self.argument.to_le_bytes();
        [
            l0,
            l1,
            l2,
            l3,
            self.kind,
            self.number,
            self.fds,
            0,
            a0,
            a1,
            a2,
            a3,
        ]
    }
}

/// A message as a body with room for the header before it, so that a frame is one buffer.
pub fn encode<M: Message>(message: &M) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(HEADER_BYTES + message.encoded_len());
    buffer.resize(HEADER_BYTES, 0);
    message.encode_raw(&mut buffer);
    buffer
}

/// Reads a message from a body.
///
/// # Errors
/// `Invalid` if the bytes are no such message.
pub fn decode<M: Message + Default>(body: Bytes) -> Result<M, Failure> {
    M::decode(body).map_err(|error| Failure::Invalid(error.to_string()))
}

/// Whether a frame made by [`encode`] may be sent with so many descriptors. Asked on the side that made
/// it, so that the other never has to hang up.
///
/// # Errors
/// `Invalid` if it is larger than allowed.
pub fn fits(frame: &[u8], fds: usize) -> Result<(), Failure> {
    if frame.len().saturating_sub(4) > limits::FRAME_MAX_BYTES {
        return Err(Failure::Invalid(format!(
            "a frame of {} bytes",
            frame.len()
        )));
    }
    if fds > limits::FRAME_FDS_MAX {
        return Err(Failure::Invalid(format!("a frame with {fds} descriptors")));
    }
    Ok(())
}

/// Puts `header` into the room that [`encode`] left; the body's length is taken from the buffer.
pub fn seal(frame: &mut [u8], kind: u8, number: u8, fds: usize, argument: u32) {
    let body = frame.len().saturating_sub(HEADER_BYTES);
    let header = Header {
        body,
        kind,
        number,
        fds: fds as u8,
        argument,
    };
    if let Some(room) = frame.first_chunk_mut::<HEADER_BYTES>() {
        *room = header.to_bytes();
    }
}

/// The frame that tells of a failure.
pub fn failure_frame(failure: &Failure) -> Vec<u8> {
    let mut frame = vec![0; HEADER_BYTES];
    frame.extend_from_slice(failure.detail().as_bytes());
    seal(&mut frame, 0, failure.code(), 0, failure.errno() as u32);
    frame
}

/// The answering side of one service; the build script writes the implementations.
pub trait Dispatch: Clone + Send + Sync + 'static {
    /// The service's number in frames.
    const SERVICE: u8;
    /// Its name, for messages.
    const NAME: &'static str;

    /// What it counts.
    fn calls(&self) -> &Calls;

    /// Answers one call; the reply was made by [`encode`].
    fn dispatch(
        &self,
        call: &mut Call,
        method: u8,
        body: Bytes,
    ) -> impl Future<Output = Result<Vec<u8>, Failure>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_neighbouring_versions_are_understood() {
        let with = |version: u32| {
            let mut bytes = opening();
            bytes[4..].copy_from_slice(&version.to_le_bytes());
            check_opening(bytes)
        };
        assert_eq!(with(PROTOCOL_VERSION), Ok(()));
        assert_eq!(with(PROTOCOL_VERSION + 1), Ok(()));
        assert!(matches!(
            with(PROTOCOL_VERSION + 2),
            Err(Failure::Unsupported(_))
        ));
        assert!(matches!(
            check_opening(*b"HTTP/1.1"),
            Err(Failure::Invalid(_))
        ));
    }

    #[test]
    fn a_header_survives_and_an_oversized_one_is_refused() {
        let header = Header {
            body: 77,
            kind: 1,
            number: 9,
            fds: 2,
            argument: 60_000,
        };
        assert_eq!(Header::parse(&header.to_bytes()), Ok(header));
        let huge = Header {
            body: limits::FRAME_MAX_BYTES,
            ..header
        };
        assert!(Header::parse(&huge.to_bytes()).is_err());
        assert!(Header::parse(&[0; HEADER_BYTES]).is_err());
        let fds = Header {
            fds: limits::FRAME_FDS_MAX as u8 + 1,
            ..header
        };
        assert!(Header::parse(&fds.to_bytes()).is_err());
    }
}
