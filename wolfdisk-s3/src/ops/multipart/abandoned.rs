//! Giving up the uploads of a bucket whose life is over by its rules.

use bytes::Bytes;
use wolfdisk_client::{KeyEntry, ListKeys};
use wolfdisk_common::ids::Ino;

use super::{Gateway, UploadId, own_key, uploads_of};
use crate::configuration::lifecycle::Rules;
use crate::error::Result;
use crate::limits::LIFECYCLE_PAGE;
use crate::store::view::View;

impl Gateway {
    /// Says how many.
    pub(crate) async fn abort_abandoned(
        &self,
        bucket: Ino,
        rules: &Rules,
        now: i64,
    ) -> Result<usize> {
        let system = self.store.system_root().await?;
        let prefix = Bytes::from(uploads_of(bucket));
        let (mut ended, mut after) = (0, Bytes::new());
        loop {
            let request = ListKeys {
                prefix: prefix.clone(),
                after,
                delimiter: false,
                max: LIFECYCLE_PAGE,
            };
            let page = self.store.list(system, request).await?;
            for entry in page.entries {
                let KeyEntry::Object { key, object } = entry else {
                    continue;
                };
                let view = View::of(&object)?;
                let begun = view.attr().mtime.seconds;
                let of = view.stored.upload.as_ref();
                if !of.is_some_and(|of| rules.is_abandoned(&of.key, begun, now)) {
                    continue;
                }
                let Ok(text) = std::str::from_utf8(&key) else {
                    continue;
                };
                let id = UploadId::parse(text.rsplit('/').next().unwrap_or_default())?;
                if self
                    .remove_exactly(system, own_key(text)?, view.expected())
                    .await?
                {
                    ended += 1;
                    self.remove_parts(system, &id).await?;
                }
            }
            if !page.more {
                return Ok(ended);
            }
            after = page.last;
        }
    }
}
