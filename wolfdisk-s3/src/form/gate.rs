//! The body of a form on its way to the parser, which gathers all that it can get: a piece at a time is let through, and
//! not more than the fields may take until the file has begun.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use http_body::Body;

use super::error::FormError;
use crate::limits::{FORM_HEAD_MAX_BYTES, FORM_PIECE_BYTES};
use crate::server::body::{BodyError, PacedBody};

/// See the module.
#[derive(Debug)]
pub(super) struct Gate {
    body: PacedBody,
    /// Came from the body and was not let through.
    held: Bytes,
    passed: usize,
    open: Arc<AtomicBool>,
    /// The parser is to work on what it has first.
    rests: bool,
}

/// Opens a gate.
#[derive(Debug)]
pub(super) struct Opener(Arc<AtomicBool>);

impl Opener {
    /// The fields are read: the rest is the file, which is bounded by others.
    pub(super) fn open(self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Gate {
    /// One that is closed.
    pub(super) fn new(body: PacedBody) -> (Gate, Opener) {
        let open = Arc::new(AtomicBool::new(false));
        let gate = Gate {
            body,
            held: Bytes::new(),
            passed: 0,
            open: Arc::clone(&open),
            rests: false,
        };
        (gate, Opener(open))
    }

    /// The next piece of what is held.
    fn piece(&mut self) -> Result<Bytes, FormError> {
        if self.open.load(Ordering::Relaxed) {
            return Ok(std::mem::take(&mut self.held));
        }
        let piece = self.held.split_to(self.held.len().min(FORM_PIECE_BYTES));
        self.passed += piece.len();
        match self.passed {
            passed if passed > FORM_HEAD_MAX_BYTES => Err(FormError::TooLong),
            _ => Ok(piece),
        }
    }
}

impl Stream for Gate {
    type Item = Result<Bytes, FormError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let gate = self.get_mut();
        if std::mem::take(&mut gate.rests) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        while gate.held.is_empty() {
            match Pin::new(&mut gate.body).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(BodyError::Slow))) => {
                    return Poll::Ready(Some(Err(FormError::Slow)));
                }
                Poll::Ready(Some(Err(BodyError::Broken(_)))) => {
                    return Poll::Ready(Some(Err(FormError::Malformed("it broke off"))));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    gate.held = frame.into_data().unwrap_or_default();
                }
            }
        }
        gate.rests = true;
        Poll::Ready(Some(gate.piece()))
    }
}
