//! What S3 keeps of buckets, as records in the gateways' own tree. Who writes last wins, as in S3.

use bytes::Bytes;
use wolfdisk_client::FileKind;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::LOG_DATA_MAX_BYTES;

use super::Store;
use super::upload::Received;
use crate::condition::Conditions;
use crate::configuration::{Configuration, Kind};
use crate::error::{Failure, Result};
use crate::limits::CONFIGURATION_MAX_BYTES;
use crate::range::Span;
use crate::stored::{Stored, Unreadable};

impl Store {
    /// The configuration of a bucket, if it has one.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn configuration<C: Configuration>(&self, bucket: Ino) -> Result<Option<C>> {
        let opened = self.open(Ino::SYSTEM_ROOT, C::KIND.place(bucket)?).await;
        let (object, file) = match opened.map_err(Failure::missing_if_impossible) {
            Err(Failure::NoSuchKey) => return Ok(None),
            other => other?,
        };
        let size = object.attr.size;
        let Some(file) = file.filter(|_| size <= CONFIGURATION_MAX_BYTES as u64) else {
            return Err(Unreadable("it is longer than any that is written").into());
        };
        let bytes = self.read(&file, Span::whole(size)).await?;
        Ok(Some(C::decode(&bytes)?))
    }

    /// Gives a bucket a configuration, durable when this returns.
    ///
    /// # Errors
    /// It is larger than is kept; what the volume gave.
    pub async fn configure<C: Configuration>(&self, bucket: Ino, configuration: &C) -> Result<()> {
        let bytes = configuration.encode()?;
        let system = self.system_root().await?;
        let content = self.content_of(system, bytes.into()).await?;
        let place = C::KIND.place(bucket)?;
        self.publish(
            system,
            &place,
            &content,
            &Stored::default(),
            &Conditions::default(),
        )
        .await?;
        Ok(())
    }

    /// Removes a configuration of a bucket, if it has one.
    ///
    /// # Errors
    /// What the volume gave.
    pub async fn unconfigure(&self, bucket: Ino, kind: Kind) -> Result<()> {
        self.remove(
            Ino::SYSTEM_ROOT,
            &kind.place(bucket)?,
            &Conditions::default(),
        )
        .await
    }

    /// Whether a directory is still there.
    ///
    /// # Errors
    /// What the volume gave.
    pub async fn is_there(&self, directory: Ino) -> Result<bool> {
        let asked = self.run(move |volume| Ok(volume.living(directory)?)).await;
        match asked.map_err(Failure::missing_if_impossible) {
            Err(Failure::NoSuchKey) => Ok(false),
            other => {
                let attr = other?.0;
                Ok(attr.kind == FileKind::Directory && attr.nlink > 0)
            }
        }
    }

    /// Bytes as content that can be published below `root`.
    async fn content_of(&self, root: Ino, bytes: Bytes) -> Result<Received> {
        if bytes.len() <= LOG_DATA_MAX_BYTES {
            return Ok(Received::Small(bytes));
        }
        let file = self.stage(root).await?;
        let target = file.clone();
        self.run(move |volume| Ok(volume.write(target.handle(), 0, &bytes, false)?))
            .await?;
        Ok(Received::Large(file))
    }
}
