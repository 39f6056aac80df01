//! Tags and CORS rules of buckets.

use s3s::S3Request;
use s3s::dto::*;
use wolfdisk_common::ids::Ino;

use super::Gateway;
use crate::configuration::cors::{Rule, Rules};
use crate::configuration::unset::Unset;
use crate::configuration::{Invalid, Kind};
use crate::error::Result;
use crate::tags::Tags;

impl Gateway {
    pub(super) async fn bucket_tags(
        &self,
        request: S3Request<GetBucketTaggingInput>,
    ) -> Result<GetBucketTaggingOutput> {
        let bucket = self.store.bucket(&request.input.bucket).await?;
        let tags: Tags = self.store.configuration(bucket).await?.ok_or(Unset::Tags)?;
        let pairs = tags.pairs().iter();
        let tag_set = pairs.map(|(key, value)| Tag {
            key: Some(key.clone()),
            value: Some(value.clone()),
        });
        Ok(GetBucketTaggingOutput {
            tag_set: tag_set.collect(),
        })
    }

    pub(super) async fn set_bucket_tags(
        &self,
        request: S3Request<PutBucketTaggingInput>,
    ) -> Result<PutBucketTaggingOutput> {
        let input = request.input;
        let given = input.tagging.tag_set.into_iter();
        let pair = |tag: Tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
        let tags = Tags::of_bucket(given.map(pair).collect())?;
        let bucket = self.store.bucket(&input.bucket).await?;
        match tags.is_empty() {
            true => self.store.unconfigure(bucket, Kind::Tags).await?,
            false => self.store.configure(bucket, &tags).await?,
        }
        Ok(PutBucketTaggingOutput::default())
    }

    pub(super) async fn remove_bucket_tags(
        &self,
        request: S3Request<DeleteBucketTaggingInput>,
    ) -> Result<DeleteBucketTaggingOutput> {
        let bucket = self.store.bucket(&request.input.bucket).await?;
        self.store.unconfigure(bucket, Kind::Tags).await?;
        Ok(DeleteBucketTaggingOutput::default())
    }

    pub(super) async fn cors(
        &self,
        request: S3Request<GetBucketCorsInput>,
    ) -> Result<GetBucketCorsOutput> {
        let bucket = self.store.bucket(&request.input.bucket).await?;
        let rules: Rules = self.store.configuration(bucket).await?.ok_or(Unset::Cors)?;
        Ok(GetBucketCorsOutput {
            cors_rules: Some(rules.all().iter().cloned().map(shown).collect()),
        })
    }

    pub(super) async fn set_cors(
        &self,
        request: S3Request<PutBucketCorsInput>,
    ) -> Result<PutBucketCorsOutput> {
        let input = request.input;
        let given = input.cors_configuration.cors_rules.into_iter();
        let rules = Rules::new(given.map(taken).collect::<std::result::Result<_, _>>()?)?;
        let bucket = self.store.bucket(&input.bucket).await?;
        self.store.configure(bucket, &rules).await?;
        Ok(PutBucketCorsOutput::default())
    }

    pub(super) async fn remove_cors(
        &self,
        request: S3Request<DeleteBucketCorsInput>,
    ) -> Result<DeleteBucketCorsOutput> {
        let bucket = self.store.bucket(&request.input.bucket).await?;
        self.store.unconfigure(bucket, Kind::Cors).await?;
        Ok(DeleteBucketCorsOutput::default())
    }

    /// Removes what is kept of a bucket that is gone. What fails is swept later.
    pub(super) async fn unconfigure_all(&self, bucket: Ino) {
        for kind in Kind::ALL {
            if let Err(error) = self.store.unconfigure(bucket, kind).await {
                tracing::warn!(%error, bucket = bucket.0, "what was kept of a removed bucket is left");
            }
        }
    }
}

/// A rule of a request.
fn taken(rule: CORSRule) -> std::result::Result<Rule, Invalid> {
    let age = |seconds: i32| {
        u32::try_from(seconds).map_err(|_| Invalid::Xml("MaxAgeSeconds is not negative"))
    };
    Ok(Rule {
        id: rule.id,
        origins: rule.allowed_origins,
        methods: rule.allowed_methods,
        headers: rule.allowed_headers.unwrap_or_default(),
        exposed: rule.expose_headers.unwrap_or_default(),
        max_age_s: rule.max_age_seconds.map(age).transpose()?,
    })
}

/// A rule for an answer.
fn shown(rule: Rule) -> CORSRule {
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    CORSRule {
        allowed_headers: some(rule.headers),
        allowed_methods: rule.methods,
        allowed_origins: rule.origins,
        expose_headers: some(rule.exposed),
        id: rule.id,
        max_age_seconds: rule.max_age_s.and_then(|age| i32::try_from(age).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_comes_back_as_it_was_given() {
        let given = CORSRule {
            allowed_headers: Some(vec!["x-*".to_owned()]),
            allowed_methods: vec!["PUT".to_owned(), "GET".to_owned()],
            allowed_origins: vec!["*".to_owned()],
            expose_headers: None,
            id: Some("one".to_owned()),
            max_age_seconds: Some(5),
        };
        assert_eq!(shown(taken(given.clone()).expect("a rule")), given);
        let negative = CORSRule {
            max_age_seconds: Some(-1),
            ..given
        };
        assert!(taken(negative).is_err());
    }
}
