//! One connection's bytes, for either side: messages of the handshake, then sealed records that make up frames. It does
//! not block; a future of it that is dropped before its end leaves a connection that is of no use any more.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::REFUSAL;
use super::handshake::{BATCH_BYTES, Sealing};
use crate::framed::{HEADER_BYTES, Header};
use crate::limits::{HANDSHAKE_MAX_BYTES, RECORD_MAX_BYTES, TRANSFER_DEADLINE};

/// Bytes read ahead of one connection; larger frames get a buffer of their own.
const READ_AHEAD_BYTES: usize = 16 * 1024;

/// See the module.
pub(super) struct Records {
    stream: BufReader<TcpStream>,
    record: Vec<u8>,
    sealed: Vec<u8>,
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Records {
    /// Over a stream on which nothing was said yet.
    pub(super) fn new(stream: TcpStream) -> Records {
        Records {
            stream: BufReader::with_capacity(READ_AHEAD_BYTES, stream),
            record: Vec::new(),
            sealed: Vec::new(),
        }
    }

    /// The next message of a handshake.
    pub(super) async fn message(&mut self) -> io::Result<&[u8]> {
        let length = usize::from(self.stream.read_u16_le().await?);
        if length > HANDSHAKE_MAX_BYTES {
            return Err(invalid("a handshake message that is too long"));
        }
        self.record.resize(length, 0);
        self.stream.read_exact(&mut self.record).await?;
        Ok(&self.record)
    }

    /// Sends a message of a handshake.
    pub(super) async fn send_message(&mut self, message: &[u8]) -> io::Result<()> {
        let mut bytes = (message.len() as u16).to_le_bytes().to_vec();
        bytes.extend_from_slice(message);
        self.stream.write_all(&bytes).await
    }

    /// Seals bytes and sends them.
    pub(super) async fn send(&mut self, sealing: &mut Sealing, plain: &[u8]) -> io::Result<()> {
        for batch in plain.chunks(BATCH_BYTES) {
            sealing.seal(batch, &mut self.sealed).map_err(invalid)?;
            timeout(TRANSFER_DEADLINE, self.stream.write_all(&self.sealed)).await??;
        }
        if self.sealed.capacity() > READ_AHEAD_BYTES {
            // An idle connection holds little.
            self.sealed = Vec::new();
        }
        Ok(())
    }

    /// Says that the keys do not fit, in place of a record.
    pub(super) async fn refuse(&mut self) -> io::Result<()> {
        timeout(TRANSFER_DEADLINE, self.stream.write_all(&REFUSAL)).await?
    }

    /// The next record, alone; none if it is a refusal.
    pub(super) async fn record(&mut self, sealing: &mut Sealing) -> io::Result<Option<Vec<u8>>> {
        let length = self.stream.read_u16_le().await?;
        if length.to_le_bytes() == REFUSAL {
            return Ok(None);
        }
        let mut plain = Vec::new();
        self.open_record(sealing, length, &mut plain).await?;
        Ok(Some(plain))
    }

    /// The next frame, or none when the other side has closed between two. It may take its time to begin.
    pub(super) async fn frame(
        &mut self,
        sealing: &mut Sealing,
    ) -> io::Result<Option<(Header, Bytes)>> {
        let length = match self.stream.read_u16_le().await {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        };
        timeout(TRANSFER_DEADLINE, self.rest(sealing, length))
            .await?
            .map(Some)
    }

    async fn rest(&mut self, sealing: &mut Sealing, first: u16) -> io::Result<(Header, Bytes)> {
        let mut plain = Vec::new();
        self.open_record(sealing, first, &mut plain).await?;
        while plain.len() < HEADER_BYTES {
            self.next_record(sealing, &mut plain).await?;
        }
        let head = plain.first_chunk::<HEADER_BYTES>().copied();
        let header = Header::parse(&head.unwrap_or_default()).map_err(invalid)?;
        let total = HEADER_BYTES + header.body;
        plain.reserve(total.saturating_sub(plain.len()));
        while plain.len() < total {
            self.next_record(sealing, &mut plain).await?;
        }
        if plain.len() > total || header.fds != 0 {
            return Err(invalid("a frame of another length, or with descriptors"));
        }
        Ok((header, Bytes::from(plain).slice(HEADER_BYTES..)))
    }

    async fn next_record(&mut self, sealing: &mut Sealing, plain: &mut Vec<u8>) -> io::Result<()> {
        let length = self.stream.read_u16_le().await?;
        self.open_record(sealing, length, plain).await
    }

    async fn open_record(
        &mut self,
        sealing: &mut Sealing,
        length: u16,
        plain: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.record.resize(usize::from(length), 0);
        self.stream.read_exact(&mut self.record).await?;
        sealing.open(&self.record, plain).map_err(invalid)?;
        if self.record.capacity() > READ_AHEAD_BYTES && plain.len() < RECORD_MAX_BYTES / 2 {
            // An idle connection holds little.
            self.record = Vec::new();
        }
        Ok(())
    }
}
