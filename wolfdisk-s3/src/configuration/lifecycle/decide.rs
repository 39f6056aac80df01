//! What rules decide of an object or an upload, and where there is anything to decide.

use super::{DAY_S, Expiration, Filter, Rule, Rules};

/// What is known of an object that counts for its life.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its key.
    pub key: &'a str,
    /// When it was modified, in seconds since 1970.
    pub modified: i64,
    /// Bytes of content.
    pub size: u64,
    /// Its tags.
    pub tags: &'a [(String, String)],
}

/// The first midnight after so many days after a second.
pub fn due(second: i64, days: u32) -> i64 {
    let midnight = second.div_euclid(DAY_S).saturating_add(i64::from(days) + 1);
    midnight.saturating_mul(DAY_S)
}

impl Rules {
    /// Whether the life of an object is over.
    pub fn is_expired(&self, known: &Known<'_>, now: i64) -> bool {
        self.enabled().any(|rule| {
            let over = match rule.expiration {
                Some(Expiration::Days(days)) => due(known.modified, days) <= now,
                Some(Expiration::Date(second)) => second <= now,
                Some(Expiration::Markers(_)) | None => false,
            };
            over && rule.filter.holds(known)
        })
    }

    /// Whether the life of an upload in progress is over.
    pub fn is_abandoned(&self, key: &str, begun: i64, now: i64) -> bool {
        self.enabled().any(|rule| {
            let over = rule
                .abort_after_days
                .is_some_and(|days| due(begun, days) <= now);
            over && rule.filter.begins(key)
        })
    }

    /// Whether uploads in progress end by any rule.
    pub fn abort_uploads(&self) -> bool {
        self.enabled().any(|rule| rule.abort_after_days.is_some())
    }

    /// Beginnings of keys that cover all objects whose life may end, none of them the beginning of another.
    pub fn places(&self) -> Vec<&str> {
        let expires = |rule: &&Rule| {
            matches!(
                rule.expiration,
                Some(Expiration::Days(_) | Expiration::Date(_))
            )
        };
        let prefixes = self.enabled().filter(expires);
        let mut prefixes: Vec<&str> = prefixes.map(|rule| rule.filter.beginning()).collect();
        prefixes.sort_unstable();
        prefixes.dedup_by(|next, one| next.starts_with(*one));
        prefixes
    }

    fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.all().iter().filter(|rule| rule.enabled)
    }
}

impl Filter {
    fn beginning(&self) -> &str {
        self.prefix.as_deref().unwrap_or_default()
    }

    fn begins(&self, key: &str) -> bool {
        key.starts_with(self.beginning())
    }

    fn holds(&self, known: &Known<'_>) -> bool {
        self.begins(known.key)
            && self.greater.is_none_or(|size| known.size > size)
            && self.less.is_none_or(|size| known.size < size)
            && self
                .tags
                .pairs()
                .iter()
                .all(|pair| known.tags.contains(pair))
    }
}
