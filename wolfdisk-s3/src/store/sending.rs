//! The content of an object on its way to a client, from the mapped chunks to the socket without a copy: a few reads
//! ahead of what the client has taken, never more.
//!
//! The file is open until the last byte, so a reader keeps the version that it began with.
//!
//! What is read was verified, but a page of a mapping can turn out to be unreadable after that, and is then replaced by
//! zeroes and marked. So pieces are lent: the last bytes of an answer are held back until the connection has given all
//! others back, unmarked, and are copied and looked at themselves. An answer with a wrong byte never comes to its end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::task::AtomicWaker;
use s3s::StdError;
use s3s::stream::{ByteStream, RemainingLength};
use tokio::task::JoinHandle;
use wolfdisk_client::Piece;

use super::{OpenFile, Store};
use crate::error;
use crate::limits::{COPIED_MAX_BYTES, READ_PIECE_BYTES, READS_AHEAD};
use crate::range::Span;

/// What was sent may be wrong, and its end is not sent.
#[derive(Debug, thiserror::Error)]
#[error("a part of the object turned out to be unreadable while it was sent")]
struct Unreadable;

/// What the connection has of the pieces.
#[derive(Debug, Default)]
struct Ledger {
    lent: AtomicUsize,
    damaged: AtomicBool,
    waker: AtomicWaker,
}

impl Ledger {
    fn lend(self: &Arc<Self>, piece: Piece) -> Bytes {
        self.lent.fetch_add(1, Ordering::SeqCst);
        let ledger = Arc::clone(self);
        Bytes::from_owner(Lent { piece, ledger })
    }

    /// Ready when everything has come back: whether it was good.
    fn poll_settled(&self, context: &mut Context<'_>) -> Poll<bool> {
        self.waker.register(context.waker());
        match self.lent.load(Ordering::SeqCst) {
            0 => Poll::Ready(!self.damaged.load(Ordering::SeqCst)),
            _ => Poll::Pending,
        }
    }
}

/// A piece that the connection has; it drops it when the kernel has taken the bytes.
#[derive(Debug)]
struct Lent {
    piece: Piece,
    ledger: Arc<Ledger>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.piece.as_ref()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.piece.is_damaged() {
            self.ledger.damaged.store(true, Ordering::SeqCst);
        }
        self.ledger.lent.fetch_sub(1, Ordering::SeqCst);
        self.ledger.waker.wake();
    }
}

/// The stream.
pub(super) struct Sending {
    store: Store,
    file: OpenFile,
    /// Not asked for yet.
    rest: Span,
    /// Not given yet.
    left: usize,
    /// Read and not given yet.
    now: VecDeque<Piece>,
    ahead: VecDeque<JoinHandle<error::Result<Vec<Piece>>>>,
    ledger: Arc<Ledger>,
}

impl Sending {
    /// Of this part of a file, which begins with `first`.
    pub(super) fn new(store: &Store, file: OpenFile, span: Span, first: Vec<Piece>) -> Sending {
        let read: u64 = first.iter().map(|piece| piece.len() as u64).sum();
        Sending {
            store: store.clone(),
            file,
            rest: Span {
                start: span.start + read,
                length: span.length.saturating_sub(read),
            },
            left: usize::try_from(span.length).unwrap_or(usize::MAX),
            now: first.into(),
            ahead: VecDeque::new(),
            ledger: Arc::default(),
        }
    }

    fn ask(&mut self) {
        while self.ahead.len() < READS_AHEAD && self.rest.length > 0 {
            let length = self.rest.length.min(READ_PIECE_BYTES as u64);
            let start = self.rest.start;
            self.rest = Span {
                start: start + length,
                length: self.rest.length - length,
            };
            let (store, file) = (self.store.clone(), self.file.clone());
            let reading = async move { store.pieces(&file, Span { start, length }).await };
            self.ahead.push_back(tokio::spawn(reading));
        }
    }

    /// The next piece that is read.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Piece, StdError>>> {
        loop {
            // The next is read while this one is sent.
            self.ask();
            if let Some(piece) = self.now.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            let Some(first) = self.ahead.front_mut() else {
                return Poll::Ready(None);
            };
            let done = ready!(Pin::new(first).poll(context));
            self.ahead.pop_front();
            match done {
                Ok(Ok(pieces)) => self.now.extend(pieces),
                Ok(Err(failure)) => return Poll::Ready(Some(Err(Box::new(failure)))),
                Err(ended) => return Poll::Ready(Some(Err(Box::new(ended)))),
            }
        }
    }

    /// The last bytes, after all others were taken.
    fn poll_last(
        &mut self,
        piece: Piece,
        context: &mut Context<'_>,
    ) -> Poll<Result<Bytes, Unreadable>> {
        if let Poll::Ready(good) = self.ledger.poll_settled(context) {
            let bytes = Bytes::copy_from_slice(piece.as_ref());
            return Poll::Ready(match good && !piece.is_damaged() {
                true => Ok(bytes),
                false => Err(Unreadable),
            });
        }
        self.now.push_front(piece);
        Poll::Pending
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, StdError>>> {
        let mut piece = match ready!(self.poll_piece(context)) {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(None),
        };
        let length = piece.len();
        if length < self.left {
            self.left -= length;
            return Poll::Ready(Some(Ok(self.ledger.lend(piece))));
        }
        if length > COPIED_MAX_BYTES {
            self.now
                .push_front(piece.split_off(length - COPIED_MAX_BYTES));
            self.left -= piece.len();
            return Poll::Ready(Some(Ok(self.ledger.lend(piece))));
        }
        let bytes = ready!(self.poll_last(piece, context));
        self.left = 0;
        Poll::Ready(Some(bytes.map_err(Into::into)))
    }
}

impl Stream for Sending {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.poll_bytes(context));
        if let Some(Err(error)) = &item {
            tracing::warn!(%error, "an object cannot be sent to its end");
            self.rest.length = 0;
            self.now.clear();
            self.ahead.clear();
        }
        Poll::Ready(item)
    }
}

impl ByteStream for Sending {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn what_was_lent_is_settled_when_all_of_it_came_back() {
        let ledger = Arc::new(Ledger::default());
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(ledger.poll_settled(&mut context), Poll::Ready(true));
        let first = ledger.lend(Piece::from(Bytes::from_static(b"first")));
        let second = ledger.lend(Piece::from(Bytes::from_static(b"second")));
        let part = first.slice(1..3);
        assert_eq!((&part[..], &second[..]), (&b"ir"[..], &b"second"[..]));
        drop((first, second));
        assert_eq!(ledger.poll_settled(&mut context), Poll::Pending);
        drop(part);
        assert_eq!(ledger.poll_settled(&mut context), Poll::Ready(true));
        ledger.damaged.store(true, Ordering::SeqCst);
        assert_eq!(ledger.poll_settled(&mut context), Poll::Ready(false));
    }
}
