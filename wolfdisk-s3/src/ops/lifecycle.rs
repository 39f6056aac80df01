//! Rules for the life of objects: set, shown and removed. [`worker`] goes by them.

mod worker;

use s3s::S3Request;
use s3s::dto::*;
use time::OffsetDateTime;
use uuid::Uuid;

use super::Gateway;
use crate::configuration::lifecycle::{Expiration, Filter, Form, Noncurrent, Rule, Rules};
use crate::configuration::unset::Unset;
use crate::configuration::{Invalid, Kind};
use crate::error::{Failure, Result};
use crate::tags::Tags;

pub use worker::expire;

impl Gateway {
    pub(super) async fn lifecycle(
        &self,
        request: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> Result<GetBucketLifecycleConfigurationOutput> {
        let bucket = self.store.bucket(&request.input.bucket).await?;
        let rules: Rules = self
            .store
            .configuration(bucket)
            .await?
            .ok_or(Unset::Lifecycle)?;
        Ok(GetBucketLifecycleConfigurationOutput {
            rules: Some(rules.all().iter().cloned().map(shown).collect()),
            ..GetBucketLifecycleConfigurationOutput::default()
        })
    }

    pub(super) async fn set_lifecycle(
        &self,
        request: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> Result<PutBucketLifecycleConfigurationOutput> {
        let input = request.input;
        let given = input.lifecycle_configuration.ok_or(Failure::Xml(
            "a lifecycle configuration has 1 to 1000 rules",
        ))?;
        let rules = given.rules.into_iter().map(taken).collect::<Result<_>>()?;
        let rules = Rules::new(rules)?;
        let bucket = self.store.bucket(&input.bucket).await?;
        self.store.configure(bucket, &rules).await?;
        Ok(PutBucketLifecycleConfigurationOutput::default())
    }

    pub(super) async fn remove_lifecycle(
        &self,
        request: S3Request<DeleteBucketLifecycleInput>,
    ) -> Result<DeleteBucketLifecycleOutput> {
        let bucket = self.store.bucket(&request.input.bucket).await?;
        self.store.unconfigure(bucket, Kind::Lifecycle).await?;
        Ok(DeleteBucketLifecycleOutput::default())
    }
}

/// A rule of a request.
fn taken(rule: LifecycleRule) -> Result<Rule> {
    if rule.transitions.is_some() || rule.noncurrent_version_transitions.is_some() {
        return Err(Failure::NotImplemented(
            "moving to another class of storage",
        ));
    }
    let (form, filter) = match (rule.prefix, rule.filter) {
        (Some(prefix), None) => {
            let filter = Filter {
                prefix: Some(prefix),
                ..Filter::default()
            };
            (Form::Prefix, filter)
        }
        (None, Some(filter)) => taken_filter(filter)?,
        // A rule for nothing in particular says so by an empty prefix: it ends everything.
        (Some(_), Some(_)) | (None, None) => {
            return Err(Failure::Xml(
                "a rule has a Filter, or a Prefix in its place",
            ));
        }
    };
    let abort = rule.abort_incomplete_multipart_upload.map(|abort| {
        let days = abort.days_after_initiation;
        days.ok_or(Failure::Xml(
            "AbortIncompleteMultipartUpload has DaysAfterInitiation",
        ))
    });
    let expiration = match rule.expiration {
        None => None,
        Some(given) => Some(taken_expiration(&given)?),
    };
    let noncurrent = rule.noncurrent_version_expiration.map(|given| {
        let days = given.noncurrent_days.map(whole).transpose()?;
        let newer = given.newer_noncurrent_versions.map(whole).transpose()?;
        Ok::<_, Invalid>(Noncurrent { days, newer })
    });
    let named = rule.id.filter(|id| !id.is_empty());
    Ok(Rule {
        id: named.unwrap_or_else(|| Uuid::new_v4().to_string()),
        enabled: match rule.status.as_str() {
            ExpirationStatus::ENABLED => true,
            ExpirationStatus::DISABLED => false,
            _ => return Err(Failure::Xml("the Status of a rule is Enabled or Disabled")),
        },
        form,
        filter,
        expiration,
        abort_after_days: abort.transpose()?.map(whole).transpose()?,
        noncurrent: noncurrent.transpose()?,
    })
}

/// A number of days or versions; what is no such number becomes none that a rule may have.
fn whole(number: i32) -> std::result::Result<u32, Invalid> {
    u32::try_from(number).map_err(|_| Invalid::Argument("a number of days or versions is positive"))
}

fn taken_expiration(given: &LifecycleExpiration) -> Result<Expiration> {
    let markers = given.expired_object_delete_marker;
    match (given.days, &given.date, markers) {
        (Some(days), None, None) => Ok(Expiration::Days(whole(days)?)),
        (None, Some(date), None) => {
            let date = OffsetDateTime::from(date.clone());
            match date.nanosecond() {
                0 => Ok(Expiration::Date(date.unix_timestamp())),
                _ => Err(Failure::Argument("'Date' must be at midnight GMT")),
            }
        }
        (None, None, Some(yes)) => Ok(Expiration::Markers(yes)),
        (_, _, _) => Err(Failure::Xml(
            "an Expiration has one of Days, Date and ExpiredObjectDeleteMarker",
        )),
    }
}

fn taken_filter(given: LifecycleRuleFilter) -> Result<(Form, Filter)> {
    let and = given.and;
    let alone = Filter {
        prefix: given.prefix,
        tags: pairs(given.tag.into_iter().collect())?,
        greater: given.object_size_greater_than.map(size).transpose()?,
        less: given.object_size_less_than.map(size).transpose()?,
    };
    match (alone.conditions(), and) {
        (0 | 1, None) => Ok((Form::Filter, alone)),
        (0, Some(and)) => {
            let filter = Filter {
                prefix: and.prefix,
                tags: pairs(and.tags.unwrap_or_default())?,
                greater: and.object_size_greater_than.map(size).transpose()?,
                less: and.object_size_less_than.map(size).transpose()?,
            };
            match filter.conditions() {
                0 => Err(Failure::Xml("an And holds conditions")),
                _ => Ok((Form::And, filter)),
            }
        }
        (_, _) => Err(Failure::Xml(
            "a Filter has one condition; put several into an And",
        )),
    }
}

fn size(bytes: i64) -> std::result::Result<u64, Invalid> {
    u64::try_from(bytes).map_err(|_| Invalid::Request("sizes of objects are not negative"))
}

fn pairs(tags: Vec<Tag>) -> Result<Tags> {
    let pair = |tag: Tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
    Ok(Tags::new(tags.into_iter().map(pair).collect())?)
}

/// A rule for an answer, in the form in which it came.
fn shown(rule: Rule) -> LifecycleRule {
    let days = |days: u32| i32::try_from(days).ok();
    let bytes = |bytes: u64| i64::try_from(bytes).ok();
    let filter = rule.filter;
    let tags = filter.tags.pairs().iter().map(|(key, value)| Tag {
        key: Some(key.clone()),
        value: Some(value.clone()),
    });
    let tags: Vec<Tag> = tags.collect();
    let (greater, less) = (filter.greater.and_then(bytes), filter.less.and_then(bytes));
    let (prefix, filter) = match rule.form {
        Form::Prefix => (filter.prefix, None),
        Form::Filter => {
            let filter = LifecycleRuleFilter {
                prefix: filter.prefix,
                tag: tags.into_iter().next(),
                object_size_greater_than: greater,
                object_size_less_than: less,
                ..LifecycleRuleFilter::default()
            };
            (None, Some(filter))
        }
        Form::And => {
            let and = LifecycleRuleAndOperator {
                prefix: filter.prefix,
                tags: (!tags.is_empty()).then_some(tags),
                object_size_greater_than: greater,
                object_size_less_than: less,
            };
            let filter = LifecycleRuleFilter {
                and: Some(and),
                ..LifecycleRuleFilter::default()
            };
            (None, Some(filter))
        }
    };
    let expiration = rule.expiration.map(|expiration| match expiration {
        Expiration::Days(count) => LifecycleExpiration {
            days: days(count),
            ..LifecycleExpiration::default()
        },
        Expiration::Date(second) => LifecycleExpiration {
            date: OffsetDateTime::from_unix_timestamp(second)
                .ok()
                .map(Timestamp::from),
            ..LifecycleExpiration::default()
        },
        Expiration::Markers(yes) => LifecycleExpiration {
            expired_object_delete_marker: Some(yes),
            ..LifecycleExpiration::default()
        },
    });
    LifecycleRule {
        abort_incomplete_multipart_upload: rule.abort_after_days.map(|count| {
            AbortIncompleteMultipartUpload {
                days_after_initiation: days(count),
            }
        }),
        expiration,
        filter,
        id: Some(rule.id),
        noncurrent_version_expiration: rule.noncurrent.map(|noncurrent| {
            NoncurrentVersionExpiration {
                newer_noncurrent_versions: noncurrent.newer.and_then(days),
                noncurrent_days: noncurrent.days.and_then(days),
            }
        }),
        noncurrent_version_transitions: None,
        prefix,
        status: ExpirationStatus::from_static(match rule.enabled {
            true => ExpirationStatus::ENABLED,
            false => ExpirationStatus::DISABLED,
        }),
        transitions: None,
    }
}

#[cfg(test)]
#[path = "lifecycle/tests.rs"]
mod tests;
