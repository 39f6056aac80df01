//! The gateways' own tree, listed page by page, so that however much is in it only a page is in memory.

use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use wolfdisk_client::{KeyEntry, ListKeys, Object};
use wolfdisk_common::ids::Ino;

use super::{Gateway, UploadId, own_key};
use crate::condition::Conditions;
use crate::error::Result;
use crate::limits::{CALLS_OF_A_REQUEST, LIST_MAX};

/// The entries below a prefix that have not been given yet.
pub(super) struct Pages<'a> {
    gateway: &'a Gateway,
    system: Ino,
    request: Option<ListKeys>,
}

impl Pages<'_> {
    /// Some more of them; none: that was all.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<KeyEntry>>> {
        let Some(request) = self.request.take() else {
            return Ok(None);
        };
        let page = self
            .gateway
            .store
            .list(self.system, request.clone())
            .await?;
        self.request = page.more.then_some(ListKeys {
            after: page.last,
            ..request
        });
        Ok(Some(page.entries))
    }
}

/// The keys of a page that are text, as all of ours are, with what is there.
pub(super) fn objects(page: Vec<KeyEntry>) -> impl Iterator<Item = (String, Object)> {
    page.into_iter().filter_map(|entry| match entry {
        KeyEntry::Object { key, object } => Some((String::from_utf8(key.to_vec()).ok()?, *object)),
        KeyEntry::Prefix(_) => None,
    })
}

/// Names of the folders of a page.
pub(super) fn folders(page: &[KeyEntry]) -> impl Iterator<Item = &str> {
    page.iter().filter_map(|entry| match entry {
        KeyEntry::Prefix(name) => std::str::from_utf8(name)
            .ok()?
            .strip_suffix('/')?
            .rsplit('/')
            .next(),
        KeyEntry::Object { .. } => None,
    })
}

impl Gateway {
    /// All keys that begin with `prefix`.
    pub(super) fn own_pages(&self, system: Ino, prefix: &str) -> Pages<'_> {
        self.pages(system, prefix, false)
    }

    /// All folders right below `prefix`.
    pub(super) fn own_folders(&self, system: Ino, prefix: &str) -> Pages<'_> {
        self.pages(system, prefix, true)
    }

    fn pages(&self, system: Ino, prefix: &str, delimiter: bool) -> Pages<'_> {
        Pages {
            gateway: self,
            system,
            request: Some(ListKeys {
                prefix: Bytes::copy_from_slice(prefix.as_bytes()),
                after: Bytes::new(),
                delimiter,
                max: LIST_MAX,
            }),
        }
    }

    /// Keys that begin with `prefix`, in order, with what is there; at most `max`.
    pub(super) async fn own_keys(
        &self,
        system: Ino,
        prefix: &str,
        max: usize,
    ) -> Result<Vec<(String, Object)>> {
        let mut found = Vec::new();
        let mut pages = self.own_pages(system, prefix);
        while let Some(page) = pages.next().await? {
            found.extend(objects(page));
            if found.len() >= max {
                break;
            }
        }
        found.truncate(max);
        Ok(found)
    }

    /// Removes all parts of an upload that has ended, with a pause behind each page.
    pub(super) async fn remove_parts(
        &self,
        system: Ino,
        id: &UploadId,
        pause: Duration,
    ) -> Result<()> {
        let mut pages = self.own_pages(system, &id.parts());
        while let Some(page) = pages.next().await? {
            futures_util::stream::iter(objects(page).map(Ok))
                .try_for_each_concurrent(CALLS_OF_A_REQUEST, |(key, _)| async move {
                    self.store
                        .remove(system, &own_key(&key)?, &Conditions::default())
                        .await
                })
                .await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }
}
