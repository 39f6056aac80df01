//! How long objects and uploads live: rules, and what they decide.
//!
//! A day of S3 ends at midnight UTC: what is to live N days ends at the first midnight after N times 24 hours, so never
//! early. There are no versions, so what rules say of other than current ones is kept and says nothing.

mod decide;

use super::codec::{Reader, Writer};
use super::{Configuration, Invalid, Kind};
use crate::limits::{LIFECYCLE_RULES_MAX, RULE_ID_MAX_CHARS};
use crate::stored::Unreadable;
use crate::tags::Tags;
use wolfdisk_common::limits::OBJECT_KEY_MAX_BYTES;

pub use decide::{Known, due};

/// Seconds of a day.
pub const DAY_S: i64 = 24 * 60 * 60;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it is called.
    pub id: String,
    /// Whether it holds.
    pub enabled: bool,
    /// How its client wrote what it is for.
    pub form: Form,
    /// What it is for.
    pub filter: Filter,
    /// When objects end.
    pub expiration: Option<Expiration>,
    /// Days after which uploads in progress end.
    pub abort_after_days: Option<u32>,
    /// Of versions that are not current, which there are not.
    pub noncurrent: Option<Noncurrent>,
}

/// See [`Rule::form`]. All mean the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A prefix of the rule itself, S3's first form.
    Prefix,
    /// A filter of at most one condition.
    Filter,
    /// A filter of several.
    And,
}

/// What has to be true of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Its key begins with this.
    pub prefix: Option<String>,
    /// It has these.
    pub tags: Tags,
    /// It has more bytes.
    pub greater: Option<u64>,
    /// It has fewer bytes.
    pub less: Option<u64>,
}

/// See [`Rule::expiration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiration {
    /// So many days after it was modified.
    Days(u32),
    /// From this second on, which is a midnight.
    Date(i64),
    /// Marks of removed versions, which there are not.
    Markers(bool),
}

/// See [`Rule::noncurrent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noncurrent {
    /// Days after which they end.
    pub days: Option<u32>,
    /// How many stay.
    pub newer: Option<u32>,
}

/// Rules that have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// Checks rules.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(rules: Vec<Rule>) -> Result<Rules, Invalid> {
        if rules.is_empty() || rules.len() > LIFECYCLE_RULES_MAX {
            return Err(Invalid::Xml(
                "a lifecycle configuration has 1 to 1000 rules",
            ));
        }
        rules.iter().try_for_each(Rule::check)?;
        let mut ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
        ids.sort_unstable();
        if ids.is_sorted_by(|one, next| one < next) {
            return Ok(Rules(rules));
        }
        Err(Invalid::Argument(
            "rule ID must be unique: found the same ID for more than one rule",
        ))
    }

    /// Them.
    pub fn all(&self) -> &[Rule] {
        &self.0
    }
}

impl Rule {
    fn check(&self) -> Result<(), Invalid> {
        if self.id.is_empty() || self.id.chars().count() > RULE_ID_MAX_CHARS {
            return Err(Invalid::Argument(
                "the ID of a rule has at most 255 characters",
            ));
        }
        self.filter.check()?;
        let acts = self.expiration.is_some()
            || self.abort_after_days.is_some()
            || self.noncurrent.is_some();
        if !acts {
            return Err(Invalid::Request(
                "at least one action needs to be specified in a rule",
            ));
        }
        match self.expiration {
            Some(Expiration::Days(0)) => {
                return Err(Invalid::Argument(
                    "'Days' for Expiration action must be a positive integer",
                ));
            }
            Some(Expiration::Date(second)) if second.rem_euclid(DAY_S) != 0 => {
                return Err(Invalid::Argument("'Date' must be at midnight GMT"));
            }
            Some(Expiration::Markers(_)) if !self.filter.tags.is_empty() => {
                return Err(Invalid::Request(
                    "ExpiredObjectDeleteMarker cannot be specified with tags",
                ));
            }
            Some(Expiration::Days(_) | Expiration::Date(_) | Expiration::Markers(_)) | None => {}
        }
        if self.abort_after_days == Some(0) {
            return Err(Invalid::Argument(
                "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer",
            ));
        }
        // Uploads have neither.
        if self.abort_after_days.is_some() && !self.filter.is_prefix() {
            return Err(Invalid::Request(
                "AbortIncompleteMultipartUpload cannot be specified with tags or sizes",
            ));
        }
        match self.noncurrent {
            Some(Noncurrent {
                days: None | Some(0),
                ..
            }) => Err(Invalid::Argument(
                "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
            )),
            Some(Noncurrent { newer: Some(0), .. }) => Err(Invalid::Argument(
                "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be a positive integer",
            )),
            Some(Noncurrent { .. }) | None => Ok(()),
        }
    }
}

impl Filter {
    fn check(&self) -> Result<(), Invalid> {
        let prefix = self.prefix.as_deref().unwrap_or_default();
        if prefix.len() > OBJECT_KEY_MAX_BYTES {
            return Err(Invalid::Request("the maximum size of a prefix is 1024"));
        }
        match (self.greater, self.less) {
            (Some(greater), Some(less)) if less <= greater => Err(Invalid::Request(
                "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'",
            )),
            (_, Some(0)) => Err(Invalid::Request(
                "'ObjectSizeLessThan' has to be a positive value",
            )),
            (_, _) => Ok(()),
        }
    }

    /// Nothing but the key counts.
    fn is_prefix(&self) -> bool {
        self.tags.is_empty() && self.greater.is_none() && self.less.is_none()
    }

    /// How many conditions it has.
    pub fn conditions(&self) -> usize {
        usize::from(self.prefix.is_some())
            + self.tags.pairs().len()
            + usize::from(self.greater.is_some())
            + usize::from(self.less.is_some())
    }
}

impl Configuration for Rules {
    const KIND: Kind = Kind::Lifecycle;

    fn write(&self, writer: &mut Writer) {
        let number = |writer: &mut Writer, number: u32| writer.number(number.to_le_bytes());
        let size = |writer: &mut Writer, size: u64| writer.number(size.to_le_bytes());
        writer.list(&self.0, |writer, rule| {
            writer.text(&rule.id);
            writer.number([u8::from(rule.enabled)]);
            writer.number([match rule.form {
                Form::Prefix => 0,
                Form::Filter => 1,
                Form::And => 2,
            }]);
            let filter = &rule.filter;
            writer.optional(filter.prefix.as_deref(), |writer, text| writer.text(text));
            writer.list(filter.tags.pairs(), |writer, (key, value)| {
                writer.text(key);
                writer.text(value);
            });
            writer.optional(filter.greater, size);
            writer.optional(filter.less, size);
            match rule.expiration {
                None => writer.number([0]),
                Some(Expiration::Days(days)) => {
                    writer.number([1]);
                    writer.number(days.to_le_bytes());
                }
                Some(Expiration::Date(second)) => {
                    writer.number([2]);
                    writer.number(second.to_le_bytes());
                }
                Some(Expiration::Markers(yes)) => writer.number([3, u8::from(yes)]),
            }
            writer.optional(rule.abort_after_days, number);
            writer.optional(rule.noncurrent, |writer, noncurrent| {
                writer.optional(noncurrent.days, number);
                writer.optional(noncurrent.newer, number);
            });
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Rules, Unreadable> {
        let rules = reader.list(read_rule)?;
        Rules::new(rules).map_err(|_| Unreadable("lifecycle rules that break a rule"))
    }
}

fn read_rule(reader: &mut Reader<'_>) -> Result<Rule, Unreadable> {
    let number = |reader: &mut Reader<'_>| Ok(u32::from_le_bytes(reader.number()?));
    let size = |reader: &mut Reader<'_>| Ok(u64::from_le_bytes(reader.number()?));
    Ok(Rule {
        id: reader.text()?,
        enabled: reader.flag()?,
        form: match reader.number()? {
            [0] => Form::Prefix,
            [1] => Form::Filter,
            [2] => Form::And,
            [_] => return Err(Unreadable("an unknown form of a filter")),
        },
        filter: Filter {
            prefix: reader.optional(Reader::text)?,
            tags: {
                let pairs = reader.list(|reader| Ok((reader.text()?, reader.text()?)))?;
                Tags::new(pairs).map_err(|_| Unreadable("tags that break a rule"))?
            },
            greater: reader.optional(size)?,
            less: reader.optional(size)?,
        },
        expiration: match reader.number()? {
            [0] => None,
            [1] => Some(Expiration::Days(u32::from_le_bytes(reader.number()?))),
            [2] => Some(Expiration::Date(i64::from_le_bytes(reader.number()?))),
            [3] => Some(Expiration::Markers(reader.flag()?)),
            [_] => return Err(Unreadable("an unknown expiration")),
        },
        abort_after_days: reader.optional(number)?,
        noncurrent: reader.optional(|reader| {
            Ok(Noncurrent {
                days: reader.optional(number)?,
                newer: reader.optional(number)?,
            })
        })?,
    })
}

#[cfg(test)]
#[path = "lifecycle/tests.rs"]
mod tests;
