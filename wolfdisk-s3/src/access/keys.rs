//! The access keys: the one that is configured or that the node made, and those in the index.
//!
//! What the index says of a key counts for [`KEY_LIFETIME`]: so long at the most a key that was deleted still works, and
//! one that was made may not yet.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use s3s::auth::SecretKey;
use wolfdisk_client::{KeyPage, ListKeys};
use wolfdisk_common::access_key::record::{self, KeyRecord};
use wolfdisk_common::access_key::rights::Rights;
use wolfdisk_common::config::S3 as Settings;
use wolfdisk_common::ids::Ino;

use super::seals::Seals;
use crate::error::{Failure, Result};
use crate::limits::{KEY_LIFETIME, LIST_ROUNDS_MAX};
use crate::recent::Recent;
use crate::store::Store;

/// A key that is good. `Debug` does not show its secret.
#[derive(Clone)]
pub struct Key {
    /// What requests are signed with.
    pub secret: SecretKey,
    /// What they may do.
    pub rights: Arc<Rights>,
}

/// See the module.
pub struct Keys {
    configured: Option<(String, Key)>,
    store: Store,
    seals: Seals,
    known: Recent<Option<Key>>,
    any: Recent<bool>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("rights", &self.rights)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// The key of the settings, and those of the volume behind `store`.
    pub fn new(settings: &Settings, store: Store, seals: Seals) -> Keys {
        let configured = settings.keys.as_ref().map(|(id, secret)| {
            let key = Key {
                secret: SecretKey::from(secret.reveal()),
                rights: Arc::new(Rights::FULL),
            };
            (id.clone(), key)
        });
        Keys {
            configured,
            store,
            seals,
            known: Recent::new(KEY_LIFETIME),
            any: Recent::new(KEY_LIFETIME),
        }
    }

    /// The key with an id.
    ///
    /// # Errors
    /// The index does not answer.
    pub async fn find(&self, id: &str) -> Result<Option<Key>> {
        if let Some((configured, key)) = &self.configured
            && configured == id
        {
            return Ok(Some(key.clone()));
        }
        // What was never made is not looked for.
        let place = record::place(id).filter(|_| self.seals.open_any());
        let Some(place) = place else {
            return Ok(None);
        };
        let ask = || async {
            let found = self.store.find(Ino::SYSTEM_ROOT, place).await?;
            let Some(object) = found else {
                return Ok(None);
            };
            let (id, seals) = (id.to_owned(), self.seals.clone());
            let open = move |_: &_| Ok(opened(&id, &object.s3.unwrap_or_default(), &seals));
            self.store.run(open).await
        };
        self.known.get(id, ask).await
    }

    /// Whether there is any key: then nothing is done without one.
    ///
    /// # Errors
    /// The index does not answer.
    pub async fn any(&self) -> Result<bool> {
        match &self.configured {
            Some(_) => Ok(true),
            None if !self.seals.open_any() => Ok(false),
            None => self.any.get("", || self.any_in_index()).await,
        }
    }

    async fn any_in_index(&self) -> Result<bool> {
        let mut after = Bytes::new();
        for _ in 0..LIST_ROUNDS_MAX {
            let request = ListKeys {
                prefix: Bytes::from_static(record::PREFIX.as_bytes()),
                after,
                delimiter: false,
                max: 1,
            };
            let page = self.store.list(Ino::SYSTEM_ROOT, request).await;
            let page = match page.map_err(Failure::missing_if_impossible) {
                // Nothing was ever kept.
                Err(Failure::NoSuchKey) => return Ok(false),
                page => page?,
            };
            match page {
                KeyPage { entries, .. } if !entries.is_empty() => return Ok(true),
                KeyPage { more: false, .. } => return Ok(false),
                KeyPage { last, .. } => after = last,
            }
        }
        // Something is there that is not shown.
        Ok(true)
    }
}

/// A record that does not open is no key.
fn opened(id: &str, bytes: &[u8], seals: &Seals) -> Option<Key> {
    let opened = KeyRecord::decode(bytes).and_then(|record| {
        let secret = seals.open(id, &record)?;
        Ok(Key {
            secret: SecretKey::from(secret.reveal()),
            rights: Arc::new(record.rights),
        })
    });
    match opened {
        Ok(key) => Some(key),
        Err(error) => {
            tracing::warn!(id, %error, "an access key cannot be used; delete it and make another");
            None
        }
    }
}
