//! Opening an object and reading it, for who gets it, copies it or wants to know its digest.

use bytes::Bytes;
use s3s::dto::StreamingBlob;
use wolfdisk_client::{FileKind, HandleId, Object, ObjectKey, Piece, Volume};
use wolfdisk_common::ids::Ino;

use super::sending::Sending;
use super::{OpenFile, Store};
use crate::digest::Digests;
use crate::error::{Failure, Result};
use crate::learn::Lack;
use crate::limits::{COPIED_MAX_BYTES, READ_PIECE_BYTES};
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
            let (decided, begin) = begin(volume, &object, file, decide)?;
            Ok(Opened::Begun(decided, begin))
        });
        let (decided, begin) = match opened.await? {
            Opened::Begun(decided, begin) => (decided, begin),
            Opened::Untagged(object, file, decide) if Lack::of(&object) == Some(Lack::Small) => {
                // The bytes that are hashed are those that are sent: a mount may be writing to the file.
                let whole = self.read(&file, Span::whole(object.attr.size)).await?;
                let object = self.hashed(root, &place, *object, whole.clone()).await;
                let (span, decided) = decide(&object)?;
                (decided, Begin::All(part(&whole, span)?))
            }
            Opened::Untagged(object, file, decide) => {
                let object = self.tagged(root, &place, *object, Some(&file)).await;
                self.run(move |volume| begin(volume, &object, file, decide))
                    .await?
            }
        };
        let body = match begin {
            Begin::All(bytes) => StreamingBlob::from(s3s::Body::from(bytes)),
            Begin::Stream(file, span, first) => {
                StreamingBlob::new(Sending::new(self, file, span, first))
            }
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

    /// The same without a copy.
    ///
    /// # Errors
    /// What reading gave.
    pub(super) async fn pieces(&self, file: &OpenFile, span: Span) -> Result<Vec<Piece>> {
        let file = file.clone();
        self.run(move |volume| pieces(volume, file.handle(), span.start, span.length))
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
    /// This part of a file, of which these are the first bytes.
    Stream(OpenFile, Span, Vec<Piece>),
}

/// Has `decide` say what is sent of an open file, and reads the beginning, by the same thread that opened it.
fn begin<T, F>(volume: &Volume, object: &Object, file: OpenFile, decide: F) -> Result<(T, Begin)>
where
    F: FnOnce(&Object) -> Result<(Span, T)>,
{
    let (span, decided) = decide(object)?;
    if span.length > COPIED_MAX_BYTES as u64 {
        let length = span.length.min(READ_PIECE_BYTES as u64);
        let first = pieces(volume, file.handle(), span.start, length)?;
        return Ok((decided, Begin::Stream(file, span, first)));
    }
    let bytes = read(volume, file.handle(), span.start, span.length)?;
    Ok((decided, Begin::All(bytes)))
}

/// A part of what was read.
fn part(whole: &Bytes, span: Span) -> Result<Bytes> {
    let start = usize::try_from(span.start).ok();
    let end = start.and_then(|start| start.checked_add(usize::try_from(span.length).ok()?));
    match (start, end) {
        (Some(start), Some(end)) if end <= whole.len() => Ok(whole.slice(start..end)),
        _ => Err(Failure::IncompleteBody),
    }
}

/// Exactly these bytes, as they lie.
fn pieces(volume: &Volume, handle: HandleId, start: u64, length: u64) -> Result<Vec<Piece>> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let data = volume.read(handle, start, length)?;
    match data.len() == length {
        true => Ok(data.into_pieces()),
        false => Err(Failure::IncompleteBody),
    }
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
