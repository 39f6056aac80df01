//! A connection that ends when its client takes nothing of what is sent for too long.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::metrics::Connections;
use super::pace::Watch;

/// See the module. What is read is watched above, where it is known whether anything is to come.
#[derive(Debug)]
pub struct PacedStream {
    inner: TcpStream,
    watch: Watch,
    counts: Connections,
}

impl PacedStream {
    /// Watches `inner`.
    pub fn new(inner: TcpStream, counts: Connections) -> PacedStream {
        PacedStream {
            inner,
            watch: Watch::default(),
            counts,
        }
    }

    fn watched(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(result) => {
                let bytes = result.as_ref().map_or(0, |bytes| *bytes as u64);
                self.watch.progress(bytes);
                self.counts.sent.inc_by(bytes);
                Poll::Ready(result)
            }
            Poll::Pending => self.watch.wait(context).map(|()| {
                self.counts.cut_for_answer();
                Err(io::ErrorKind::TimedOut.into())
            }),
        }
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        let bytes = buffer.filled().len().saturating_sub(before);
        self.counts.received.inc_by(bytes as u64);
        read
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.watched(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.watched(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
