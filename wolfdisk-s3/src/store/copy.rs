//! Copies that share the extents of their source: no data is moved, whatever the size.

use wolfdisk_client::{HandleId, Volume};
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::LOG_DATA_MAX_BYTES;

use super::upload::Received;
use super::{OpenFile, Store};
use crate::digest::Digests;
use crate::error::{Failure, Result};
use crate::range::Span;

impl Store {
    /// Bytes of an open file as content that can be published below `root`.
    ///
    /// # Errors
    /// What the volume gave; the file is shorter meanwhile.
    pub async fn copied(&self, root: Ino, source: &OpenFile, span: Span) -> Result<Received> {
        if span.length <= LOG_DATA_MAX_BYTES as u64 {
            // Rides in the log with the name that it gets.
            return Ok(Received::Small(self.read(source, span).await?));
        }
        let target = self.stage(root).await?;
        self.append(source, span, &target, 0).await?;
        Ok(Received::Large(target))
    }

    /// Has `digests` take all of a copy, which has this length.
    ///
    /// # Errors
    /// What reading gave.
    pub async fn digest_copy(
        &self,
        copy: &Received,
        length: u64,
        digests: Digests,
    ) -> Result<Digests> {
        match copy {
            Received::Nothing => Ok(digests),
            Received::Small(bytes) => Ok(self.hashing().update(digests, bytes.clone()).await?),
            Received::Large(file) => self.digest(file, Span::whole(length), digests).await,
        }
    }

    /// Copies bytes of an open file to a place in a staged one.
    ///
    /// # Errors
    /// As [`Store::copied`].
    pub async fn append(
        &self,
        source: &OpenFile,
        span: Span,
        target: &OpenFile,
        place: u64,
    ) -> Result<()> {
        let (source, target) = (source.clone(), target.clone());
        self.run(move |volume| copy(volume, source.handle(), span, target.handle(), place))
            .await
    }
}

/// All of a span.
///
/// # Errors
/// As [`Store::copied`].
pub fn copy(
    volume: &Volume,
    source: HandleId,
    span: Span,
    target: HandleId,
    place: u64,
) -> Result<()> {
    let mut done = 0;
    while done < span.length {
        let copied = volume.copy_range(
            source,
            span.start + done,
            target,
            place + done,
            span.length - done,
        )?;
        if copied == 0 {
            return Err(Failure::IncompleteBody);
        }
        done += copied;
    }
    Ok(())
}
