//! Who may do what: s3s checks signatures with the [`keys`], what their rights allow is decided here, by the one table
//! of what operations do ([`effect`]); what is not signed is the matter of [`unsigned`].
//!
//! A request is judged twice: with its path before anything is read of its body, and, if it copies, with its source
//! before that is opened.

pub mod effect;
pub mod grant;
pub mod keys;
pub mod seals;
pub mod unsigned;

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderMap;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{CopyObjectInput, UploadPartCopyInput};
use s3s::{S3Error, S3Request, S3Result};
use wolfdisk_common::config::S3 as Settings;

use crate::error::{Failure, Result};
use crate::store::Store;
use effect::Effect;
use grant::Grant;
use keys::Keys;
use seals::Seals;
use unsigned::Unsigned;

/// See the module. Clones are the same.
#[derive(Clone, Debug)]
pub struct Access {
    keys: Arc<Keys>,
    unsigned: Unsigned,
}

impl Access {
    /// By the settings and what is in the volume behind `store`.
    pub fn new(settings: &Settings, store: Store, seals: Seals) -> Access {
        Access {
            keys: Arc::new(Keys::new(settings, store, seals)),
            unsigned: Unsigned::of(settings),
        }
    }

    /// Whether there is any key.
    ///
    /// # Errors
    /// The index does not answer.
    pub async fn has_key(&self) -> Result<bool> {
        self.keys.any().await
    }

    /// What there is to warn of at the start.
    ///
    /// # Errors
    /// The index does not answer.
    pub async fn warning(&self) -> Result<Option<&'static str>> {
        match self.unsigned {
            Unsigned::Local if self.has_key().await? => Ok(None),
            other => Ok(other.warning()),
        }
    }

    /// What a request may do that is signed with a key, or with none.
    async fn grant(&self, key: Option<&str>, effect: Effect, headers: &HeaderMap) -> Result<Grant> {
        if let Some(id) = key {
            // It may have been deleted since its secret was asked for.
            let found = self.keys.find(id).await?.ok_or(Failure::NoSuchAccessKey)?;
            return Ok(Grant::new(found.rights));
        }
        let rights = self.unsigned.rights(effect, headers);
        let rights = rights.ok_or(Failure::Unsigned)?;
        // A key that was made meanwhile ends what goes without one.
        match self.unsigned == Unsigned::Local && self.has_key().await? {
            true => Err(Failure::Unsigned),
            false => Ok(Grant::new(Arc::new(rights))),
        }
    }

    /// Judges a request for an operation that is signed with a key, whose signature has been checked, or with none.
    ///
    /// # Errors
    /// It may not do that, there.
    pub async fn judge(
        &self,
        key: Option<&str>,
        operation: &str,
        bucket: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Grant> {
        let effect = Effect::of(operation);
        let grant = self.grant(key, effect, headers).await?;
        grant.check(effect, bucket)?;
        Ok(grant)
    }
}

#[async_trait]
impl S3Auth for Access {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let found = self.keys.find(access_key).await.map_err(S3Error::from)?;
        let found = found.ok_or(Failure::NoSuchAccessKey);
        Ok(found.map_err(S3Error::from)?.secret)
    }
}

#[async_trait]
impl S3Access for Access {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let key = context.credentials().map(|known| known.access_key.clone());
        let bucket = context.s3_path().get_bucket_name();
        let (operation, headers) = (context.s3_op().name(), context.headers());
        let grant = self.judge(key.as_deref(), operation, bucket, headers).await;
        let grant = grant.map_err(S3Error::from)?;
        context.extensions_mut().insert(grant);
        Ok(())
    }

    async fn copy_object(&self, request: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        let grant = Grant::of(&request.extensions);
        let checked = grant.and_then(|grant| grant.check_source(&request.input.copy_source));
        checked.map_err(S3Error::from)
    }

    async fn upload_part_copy(&self, request: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        let grant = Grant::of(&request.extensions);
        let checked = grant.and_then(|grant| grant.check_source(&request.input.copy_source));
        checked.map_err(S3Error::from)
    }
}
