//! Content on its way from a client: small content is kept in memory and rides in the log, larger content goes to a
//! file without a name, a piece at a time, hashed beside being written. Nothing shows before it is published, and a
//! file that is not goes with its handle.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use s3s::dto::StreamingBlob;
use tokio::task::JoinHandle;
use wolfdisk_client::Content;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::LOG_DATA_MAX_BYTES;

use super::{OpenFile, Store};
use crate::checksum::Algorithm;
use crate::digest::{Digests, Summary};
use crate::error::{Failure, Result};
use crate::form::file::FileError;
use crate::limits::UPLOAD_PIECE_BYTES;
use crate::server::body::BodyError;

/// Content that can be published, again if need be.
#[derive(Clone, Debug)]
pub enum Received {
    /// It fits in one mutation.
    Small(Bytes),
    /// It is in a file without a name.
    Large(OpenFile),
    /// Of a marker.
    Nothing,
}

impl Received {
    /// For the volume.
    pub fn content(&self) -> Content {
        match self {
            Received::Small(bytes) => Content::Bytes(bytes.clone()),
            Received::Large(file) => Content::Staged(file.handle()),
            Received::Nothing => Content::Marker,
        }
    }
}

impl Store {
    /// Takes in a whole body of at most `max` bytes.
    ///
    /// # Errors
    /// It is longer, it broke off, or the volume has no room for it.
    pub async fn receive(
        &self,
        root: Ino,
        body: Option<StreamingBlob>,
        algorithms: &[Algorithm],
        max: u64,
    ) -> Result<(Received, Summary)> {
        let mut source = Source {
            body,
            max,
            taken: 0,
            ended: false,
        };
        let mut digests = Digests::new(algorithms.iter().copied());
        let first = source.gather(LOG_DATA_MAX_BYTES + 1).await?;
        if source.ended && first.len() <= LOG_DATA_MAX_BYTES {
            let digests = self.hashing().update(digests, first.clone()).await?;
            return Ok((Received::Small(first), digests.finish()));
        }
        let file = self.stage(root).await?;
        let mut place = 0;
        let mut piece = first;
        loop {
            let work = self.take_in(&file, place, piece.clone(), digests);
            place += piece.len() as u64;
            let next = source.gather(UPLOAD_PIECE_BYTES).await;
            digests = work.await.map_err(|_| crate::digest::Ending)??;
            piece = next?;
            if piece.is_empty() {
                return Ok((Received::Large(file), digests.finish()));
            }
        }
    }

    /// Writes and hashes a piece, both at once, while the next one comes in.
    fn take_in(
        &self,
        file: &OpenFile,
        place: u64,
        piece: Bytes,
        digests: Digests,
    ) -> JoinHandle<Result<Digests>> {
        let (store, file) = (self.clone(), file.clone());
        tokio::spawn(async move {
            let bytes = piece.clone();
            let writing = store.run(move |volume| {
                volume.write(file.handle(), place, &bytes, false)?;
                Ok(())
            });
            let (written, digests) = tokio::join!(writing, store.hashing().update(digests, piece));
            written?;
            Ok(digests?)
        })
    }
}

/// The body, in pieces as they are wanted.
struct Source {
    body: Option<StreamingBlob>,
    max: u64,
    taken: u64,
    ended: bool,
}

impl Source {
    /// At least `wanted` bytes, or what is left.
    async fn gather(&mut self, wanted: usize) -> Result<Bytes> {
        let mut piece = BytesMut::new();
        while !self.ended && piece.len() < wanted {
            let next = match &mut self.body {
                Some(body) => body.next().await,
                None => None,
            };
            let Some(bytes) = next else {
                self.ended = true;
                break;
            };
            let bytes = bytes.map_err(|error| broken(&*error))?;
            self.taken += bytes.len() as u64;
            if self.taken > self.max {
                return Err(Failure::EntityTooLarge);
            }
            piece.extend_from_slice(&bytes);
        }
        Ok(piece.freeze())
    }
}

/// Why a body broke off. The layers that check it on the way keep their errors to themselves but for the text.
fn broken(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(BodyError::Slow) = error.downcast_ref::<BodyError>() {
            return Failure::SlowBody;
        }
        if let Some(error) = error.downcast_ref::<FileError>() {
            return error.failure();
        }
        cause = error.source();
    }
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        Failure::ContentHash
    } else if text.contains("SignatureMismatch") {
        Failure::ChunkSignature
    } else if text.contains("too slowly") {
        Failure::SlowBody
    } else {
        tracing::debug!(error = text, "a body broke off");
        Failure::IncompleteBody
    }
}

/// What a body is whose length was announced as `declared`.
///
/// # Errors
/// It had another.
pub fn check_length(declared: Option<i64>, summary: &Summary) -> Result<()> {
    let matches = |declared: i64| u64::try_from(declared) == Ok(summary.length);
    match declared.is_none_or(matches) {
        true => Ok(()),
        false => Err(Failure::IncompleteBody),
    }
}
