//! The content of an object on its way to a client: a few reads ahead of what the client has taken, never more.
//!
//! The file is open until the last byte, so a reader keeps the version that it began with.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use s3s::StdError;
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};
use tokio::task::JoinHandle;
use wolfdisk_client::{FileKind, HandleId, Object, ObjectKey, Volume};
use wolfdisk_common::ids::Ino;

use super::{OpenFile, Store};
use crate::digest::Digests;
use crate::error::{Failure, Result};
use crate::learn::Lack;
use crate::limits::{READ_PIECE_BYTES, READS_AHEAD};
use crate::range::Span;

/// An object and the bytes of it that were asked for.
pub struct Download<T> {
    /// What was decided when it was opened.
    pub decided: T,
    /// The bytes.
    pub body: StreamingBlob,
}

impl Store {
    /// Opens the object at a key and lets `decide` say, of what it finds, which bytes are wanted.
    ///
    /// # Errors
    /// There is no object; what `decide` or reading gave.
    pub async fn download<T, F>(&self, root: Ino, key: ObjectKey, decide: F) -> Result<Download<T>>
    where
        T: Send + 'static,
        F: FnOnce(&Object) -> Result<(Span, T)> + Send + 'static,
    {
        let (store, place) = (self.clone(), key.clone());
        let opened = self.run(move |volume| {
            if key.is_marker() {
                let object = volume.object(root, &key)?.ok_or(Failure::NoSuchKey)?;
                let (_, decided) = decide(&object)?;
                return Ok(Opened::Begun(decided, Begin::All(Bytes::new())));
            }
            let (object, handle) = volume.open_object(root, &key)?.ok_or(Failure::NoSuchKey)?;
            let file = store.opened(handle);
            if Lack::of(&object).is_some() {
                return Ok(Opened::Untagged(Box::new(object), file, decide));
            }
            // With the same thread that opened it.
            let (decided, begin) = begin(volume, &object, file, decide)?;
            Ok(Opened::Begun(decided, begin))
        });
        let (decided, begin) = match opened.await? {
            Opened::Begun(decided, begin) => (decided, begin),
            Opened::Untagged(object, file, decide) => {
                let object = self.tagged(root, &place, *object, Some(&file)).await;
                self.run(move |volume| begin(volume, &object, file, decide))
                    .await?
            }
        };
        let body = match begin {
            Begin::All(bytes) => StreamingBlob::from(s3s::Body::from(bytes)),
            Begin::Stream(file, span) => StreamingBlob::new(Reading::new(self, file, span)),
        };
        Ok(Download { decided, body })
    }

    /// Opens the object at a key for copying from it; none of it is read.
    ///
    /// # Errors
    /// There is no object.
    pub async fn open(&self, root: Ino, key: ObjectKey) -> Result<(Object, Option<OpenFile>)> {
        let store = self.clone();
        self.run(move |volume| {
            if key.is_marker() {
                return Ok((volume.object(root, &key)?.ok_or(Failure::NoSuchKey)?, None));
            }
            let (object, handle) = volume.open_object(root, &key)?.ok_or(Failure::NoSuchKey)?;
            let file = store.opened(handle);
            debug_assert_eq!(object.attr.kind, FileKind::File);
            Ok((object, Some(file)))
        })
        .await
    }

    /// Bytes of an open file, few enough for memory.
    ///
    /// # Errors
    /// What reading gave.
    pub async fn read(&self, file: &OpenFile, span: Span) -> Result<Bytes> {
        let file = file.clone();
        self.run(move |volume| read(volume, file.handle(), span.start, span.length))
            .await
    }

    /// Has `digests` take a range of an open file.
    ///
    /// # Errors
    /// What reading gave.
    pub async fn digest(
        &self,
        file: &OpenFile,
        span: Span,
        mut digests: Digests,
    ) -> Result<Digests> {
        let mut done = 0;
        while done < span.length {
            let length = (span.length - done).min(READ_PIECE_BYTES as u64);
            let bytes = self
                .read(
                    file,
                    Span {
                        start: span.start + done,
                        length,
                    },
                )
                .await?;
            digests = self.hashing().update(digests, bytes).await?;
            done += length;
        }
        Ok(digests)
    }
}

/// An object that was opened to be sent.
enum Opened<T, F> {
    /// It was decided what of it.
    Begun(T, Begin),
    /// Its MD5 is not known, and what depends on the tag not yet decided.
    Untagged(Box<Object>, OpenFile, F),
}

/// What is sent.
enum Begin {
    /// These bytes, which are all.
    All(Bytes),
    /// This part of a file, piece by piece.
    Stream(OpenFile, Span),
}

/// Has `decide` say what is sent of an open file, and reads it if it is little.
fn begin<T, F>(volume: &Volume, object: &Object, file: OpenFile, decide: F) -> Result<(T, Begin)>
where
    F: FnOnce(&Object) -> Result<(Span, T)>,
{
    let (span, decided) = decide(object)?;
    if span.length > READ_PIECE_BYTES as u64 {
        return Ok((decided, Begin::Stream(file, span)));
    }
    let bytes = read(volume, file.handle(), span.start, span.length)?;
    Ok((decided, Begin::All(bytes)))
}

/// Exactly these bytes.
fn read(volume: &Volume, handle: HandleId, start: u64, length: u64) -> Result<Bytes> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let data = volume.read(handle, start, length)?;
    let mut bytes = Vec::with_capacity(data.len());
    data.for_each(|part| bytes.extend_from_slice(part));
    data.check()?;
    match bytes.len() == length {
        true => Ok(bytes.into()),
        // A mount has cut the file meanwhile: the client must not take what there is for the whole.
        false => Err(Failure::IncompleteBody),
    }
}

/// The stream.
struct Reading {
    store: Store,
    file: OpenFile,
    /// Not asked for yet.
    rest: Span,
    /// Not given yet.
    left: u64,
    ahead: VecDeque<JoinHandle<Result<Bytes>>>,
}

impl Reading {
    fn new(store: &Store, file: OpenFile, span: Span) -> Reading {
        let (store, left, ahead) = (store.clone(), span.length, VecDeque::new());
        Reading {
            store,
            file,
            rest: span,
            left,
            ahead,
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
            let reading = async move { store.read(&file, Span { start, length }).await };
            self.ahead.push_back(tokio::spawn(reading));
        }
    }
}

impl Stream for Reading {
    type Item = std::result::Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ask();
        let Some(first) = self.ahead.front_mut() else {
            return Poll::Ready(None);
        };
        let done = std::task::ready!(Pin::new(first).poll(context));
        self.ahead.pop_front();
        let bytes = match done {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(failure)) => {
                tracing::warn!(error = %failure, "an object cannot be read to its end");
                self.rest.length = 0;
                self.ahead.clear();
                return Poll::Ready(Some(Err(Box::new(failure))));
            }
            Err(ended) => return Poll::Ready(Some(Err(Box::new(ended)))),
        };
        self.left = self.left.saturating_sub(bytes.len() as u64);
        // The next is read while this one is sent.
        self.ask();
        Poll::Ready(Some(Ok(bytes)))
    }
}

impl ByteStream for Reading {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(usize::try_from(self.left).unwrap_or(usize::MAX))
    }
}
