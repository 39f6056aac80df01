//! What whoever signed a form allows it to hold: a document of conditions, to which every field must be subject.

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use s3s::dto::{Timestamp, TimestampFormat};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::fields::Fields;
use crate::limits::PUT_MAX_BYTES;

/// Fields that need no condition: they cannot have one, or nothing comes of them.
const FREE: [&str; 2] = ["policy", "x-amz-signature"];
/// Fields whose names begin so are for others than S3.
const IGNORED: &str = "x-ignore-";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    expiration: OffsetDateTime,
    conditions: Vec<Condition>,
}

/// One condition; names of fields in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Equal(String, String),
    Begins(String, String),
    Lengths(RangeInclusive<u64>),
}

/// Why a policy cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not in base64.
    #[error("it is not in base64")]
    Encoding,
    /// No JSON, or not of this shape.
    #[error("it is no JSON with just an `expiration` and `conditions`")]
    Json,
    /// No time.
    #[error("its expiration is no time as 2030-01-01T12:00:00.000Z")]
    Expiration,
    /// No condition.
    #[error(
        "a condition is neither {{\"field\": \"value\"}} nor [\"eq\" or \"starts-with\", \"$field\", \"value\"] nor [\"content-length-range\", least, most]"
    )]
    Condition,
}

/// Why a policy does not let a form through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// Too late.
    #[error("policy expired")]
    Expired,
    /// A condition does not hold.
    #[error("policy condition failed: {0}")]
    Condition(String),
    /// A field without a condition.
    #[error("extra input fields: {}", .0.escape_debug())]
    Extra(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    expiration: String,
    conditions: Vec<Value>,
}

impl Policy {
    /// Reads the field of a form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_base64(text: &str) -> Result<Policy, PolicyError> {
        let bytes = STANDARD.decode(text).map_err(|_| PolicyError::Encoding)?;
        Policy::from_json(&bytes)
    }

    /// Reads the document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(bytes: &[u8]) -> Result<Policy, PolicyError> {
        let document: Document = serde_json::from_slice(bytes).map_err(|_| PolicyError::Json)?;
        let expiration = Timestamp::parse(TimestampFormat::DateTime, &document.expiration)
            .map_err(|_| PolicyError::Expiration)?;
        let conditions = document.conditions.iter().map(Condition::parse);
        Ok(Policy {
            expiration: expiration.into(),
            conditions: conditions
                .collect::<Option<_>>()
                .ok_or(PolicyError::Condition)?,
        })
    }

    /// How long the file may be: all conditions on it together.
    pub fn lengths(&self) -> RangeInclusive<u64> {
        let all = 0..=PUT_MAX_BYTES;
        self.conditions
            .iter()
            .fold(all, |within, condition| match condition {
                Condition::Lengths(range) => {
                    *within.start().max(range.start())..=*within.end().min(range.end())
                }
                Condition::Equal(..) | Condition::Begins(..) => within,
            })
    }

    /// Whether a form for a bucket may have these fields. The length of the file is for whoever takes it in.
    ///
    /// # Errors
    /// The first condition that does not hold.
    pub fn check(&self, fields: &Fields, bucket: &str, now: OffsetDateTime) -> Result<(), Denial> {
        if now >= self.expiration {
            return Err(Denial::Expired);
        }
        // The bucket that is asked is what counts, whatever a field says.
        let value = |name: &str| match name {
            "bucket" => Some(bucket),
            _ => fields.get(name),
        };
        if let Some(failed) = self.conditions.iter().find(|known| !known.holds(&value)) {
            return Err(Denial::Condition(failed.shown()));
        }
        let is_covered = |name: &str| {
            FREE.contains(&name)
                || name.starts_with(IGNORED)
                || self.conditions.iter().any(|known| known.is_about(name))
        };
        let mut names = fields.pairs().map(|(name, _)| name).chain(["bucket"]);
        match names.find(|name| !is_covered(name)) {
            Some(extra) => Err(Denial::Extra(extra.to_owned())),
            None => Ok(()),
        }
    }
}

impl Condition {
    fn parse(value: &Value) -> Option<Condition> {
        match value {
            Value::Object(pairs) => {
                let mut pairs = pairs.iter();
                let (name, value) = pairs.next()?;
                let one = pairs.next().is_none();
                one.then_some(())?;
                Some(Condition::Equal(
                    name.to_ascii_lowercase(),
                    value.as_str()?.to_owned(),
                ))
            }
            Value::Array(items) => {
                let [kind, first, second] = items.as_slice() else {
                    return None;
                };
                let kind = kind.as_str()?.to_ascii_lowercase();
                if kind == "content-length-range" {
                    return Some(Condition::Lengths(number(first)?..=number(second)?));
                }
                let name = first.as_str()?.strip_prefix('$')?.to_ascii_lowercase();
                let value = second.as_str()?.to_owned();
                match kind.as_str() {
                    "eq" => Some(Condition::Equal(name, value)),
                    "starts-with" => Some(Condition::Begins(name, value)),
                    _ => None,
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }

    fn holds<'a>(&self, value: &impl Fn(&str) -> Option<&'a str>) -> bool {
        match self {
            Condition::Equal(name, wanted) => value(name) == Some(wanted),
            Condition::Begins(name, beginning) => {
                let given = value(name).unwrap_or_default();
                match name.as_str() {
                    // Of several types each counts.
                    "content-type" => given
                        .split(',')
                        .all(|kind| kind.trim_start().starts_with(beginning)),
                    _ => given.starts_with(beginning),
                }
            }
            Condition::Lengths(_) => true,
        }
    }

    fn is_about(&self, field: &str) -> bool {
        match self {
            Condition::Equal(name, _) | Condition::Begins(name, _) => name == field,
            Condition::Lengths(_) => false,
        }
    }

    /// As a document has it.
    fn shown(&self) -> String {
        match self {
            Condition::Equal(name, value) => format!("[\"eq\", \"${name}\", {value:?}]"),
            Condition::Begins(name, value) => format!("[\"starts-with\", \"${name}\", {value:?}]"),
            Condition::Lengths(range) => {
                format!(
                    "[\"content-length-range\", {}, {}]",
                    range.start(),
                    range.end()
                )
            }
        }
    }
}

/// Some write numbers as texts.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
