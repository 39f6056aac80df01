//! The body of a request that ends with an error when its client sends too little for too long.
//!
//! What nobody wanted of it is taken in and dropped, up to a limit: a connection that is closed while its client is
//! still sending takes the answer with it. A client that waits to be asked for its body (`Expect`) and gets an answer
//! instead sends none, but might as well: what comes next on that connection is anybody's guess, so it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;

use super::metrics::Connections;
use super::pace::Watch;
use crate::limits;

/// See the module.
#[derive(Debug)]
pub struct PacedBody {
    inner: axum::body::Body,
    watch: Watch,
    counts: Connections,
    /// Its client sends it unasked.
    unasked: bool,
    wanted: Arc<AtomicBool>,
}

/// Whether a body is still waited for that its client may send or not.
#[derive(Clone, Debug)]
pub struct LeftOut {
    unasked: bool,
    wanted: Arc<AtomicBool>,
}

impl LeftOut {
    /// Nobody asked for it: the connection cannot be used again.
    pub fn is_left_out(&self) -> bool {
        !self.unasked && !self.wanted.load(Ordering::Relaxed)
    }
}

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client was too slow.
    #[error("the client sends too slowly")]
    Slow,
    /// The connection broke.
    #[error("{0}")]
    Broken(#[from] axum::Error),
}

impl PacedBody {
    /// Watches the body of a request with these headers.
    pub fn new(headers: &HeaderMap, inner: axum::body::Body, counts: Connections) -> PacedBody {
        PacedBody {
            inner,
            watch: Watch::default(),
            counts,
            unasked: !headers.contains_key(http::header::EXPECT),
            wanted: Arc::default(),
        }
    }

    /// To be looked at when the request is answered.
    pub fn left_out(&self) -> LeftOut {
        LeftOut {
            unasked: self.unasked,
            wanted: Arc::clone(&self.wanted),
        }
    }
}

impl Drop for PacedBody {
    fn drop(&mut self) {
        if !self.unasked || self.inner.is_end_stream() {
            return;
        }
        let rest = std::mem::take(&mut self.inner);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(limits::REST_DEADLINE, take_rest(rest)));
        }
    }
}

async fn take_rest(mut rest: axum::body::Body) {
    let mut taken = 0;
    while taken < limits::REST_MAX_BYTES
        && let Some(Ok(frame)) = rest.frame().await
    {
        taken += frame.data_ref().map_or(0, Bytes::len);
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.wanted.store(true, Ordering::Relaxed);
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(frame) => {
                let data = frame
                    .as_ref()
                    .and_then(|frame| frame.as_ref().ok()?.data_ref());
                let bytes = data.map_or(0, Bytes::len) as u64;
                self.watch.progress(bytes);
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
            }
            Poll::Pending => self.watch.wait(context).map(|()| {
                self.counts.cut_for_body();
                Some(Err(BodyError::Slow))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
