//! A connection that ends when its client takes nothing of what is sent for too long.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::pace::Pace;

/// See the module. What is read is watched above, where it is known whether anything is to come.
#[derive(Debug)]
pub struct PacedStream {
    inner: TcpStream,
    pace: Pace,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl PacedStream {
    /// Watches `inner`.
    pub fn new(inner: TcpStream) -> PacedStream {
        PacedStream {
            inner,
            pace: Pace::default(),
            alarm: None,
        }
    }

    fn watched(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(result) => {
                self.alarm = None;
                let bytes = result.as_ref().map_or(0, |bytes| *bytes as u64);
                self.pace.progress(Instant::now(), bytes);
                Poll::Ready(result)
            }
            Poll::Pending => {
                let until = self.pace.wait(Instant::now());
                let sleep = || Box::pin(tokio::time::sleep_until(until.into()));
                let alarm = self.alarm.get_or_insert_with(sleep);
                alarm
                    .as_mut()
                    .poll(context)
                    .map(|()| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
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
