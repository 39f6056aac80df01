//! Removing the parts of uploads that have ended, and finding those that were left.

use std::collections::HashSet;

use bytes::Bytes;
use futures_util::TryStreamExt;
use wolfdisk_client::{KeyEntry, ListKeys, Object};
use wolfdisk_common::ids::Ino;

use super::{Gateway, PARTS, UPLOADS, UploadId, own_key};
use crate::condition::Conditions;
use crate::error::Result;
use crate::limits::{CALLS_OF_A_REQUEST, LIST_MAX, PARTS_MAX, SWEEP_EVERY};

impl Gateway {
    /// Keys in the gateways' own tree that begin with `prefix`, in order, with what is there; at most `max`.
    pub(super) async fn own_keys(
        &self,
        system: Ino,
        prefix: &str,
        max: usize,
    ) -> Result<Vec<(String, Object)>> {
        let (mut found, mut after) = (Vec::new(), Bytes::new());
        loop {
            let request = ListKeys {
                prefix: Bytes::copy_from_slice(prefix.as_bytes()),
                after,
                delimiter: false,
                max: LIST_MAX,
            };
            let page = self.store.list(system, request).await?;
            for entry in page.entries {
                if let KeyEntry::Object { key, object } = entry
                    && let Ok(key) = String::from_utf8(key.to_vec())
                {
                    found.push((key, *object));
                }
            }
            if !page.more || found.len() >= max {
                found.truncate(max);
                return Ok(found);
            }
            after = page.last;
        }
    }

    /// Removes all parts of an upload that has ended.
    pub(super) async fn remove_parts(&self, system: Ino, id: &UploadId) -> Result<()> {
        let parts = self
            .own_keys(system, &id.parts(), usize::from(PARTS_MAX))
            .await?;
        futures_util::stream::iter(parts.into_iter().map(Ok))
            .try_for_each_concurrent(CALLS_OF_A_REQUEST, |(key, _)| async move {
                self.store
                    .remove(system, &own_key(&key)?, &Conditions::default())
                    .await
            })
            .await
    }

    /// Removes the parts of uploads that are not there.
    async fn sweep(&self) -> Result<usize> {
        let system = self.store.system_root().await?;
        // First the parts: an upload that begins now has none among them.
        let with_parts = self.folders(system, &format!("{PARTS}/")).await?;
        if with_parts.is_empty() {
            return Ok(0);
        }
        let uploads = self
            .own_keys(system, &format!("{UPLOADS}/"), usize::MAX)
            .await?;
        let living: HashSet<&str> = uploads
            .iter()
            .filter_map(|(key, _)| key.rsplit('/').next())
            .collect();
        let dead = with_parts.iter().filter(|id| !living.contains(id.as_str()));
        let dead: Vec<UploadId> = dead.filter_map(|id| UploadId::parse(id).ok()).collect();
        for id in &dead {
            self.remove_parts(system, id).await?;
        }
        Ok(dead.len())
    }

    /// Names of the folders right below `prefix`.
    async fn folders(&self, system: Ino, prefix: &str) -> Result<Vec<String>> {
        let (mut found, mut after) = (Vec::new(), Bytes::new());
        loop {
            let request = ListKeys {
                prefix: Bytes::copy_from_slice(prefix.as_bytes()),
                after,
                delimiter: true,
                max: LIST_MAX,
            };
            let page = self.store.list(system, request).await?;
            let names = page.entries.iter().filter_map(|entry| match entry {
                KeyEntry::Prefix(name) => std::str::from_utf8(name).ok(),
                KeyEntry::Object { .. } => None,
            });
            let names = names.filter_map(|name| name.strip_prefix(prefix)?.strip_suffix('/'));
            found.extend(names.map(str::to_owned));
            if !page.more {
                return Ok(found);
            }
            after = page.last;
        }
    }
}

/// Sweeps now and then, for ever.
pub async fn sweep(gateway: Gateway) {
    loop {
        match gateway.sweep().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed parts of uploads that have ended"),
            Err(error) => {
                tracing::warn!(%error, "cannot look for parts of uploads that have ended")
            }
        }
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}
