//! Which web pages may use a bucket: rules by origin, method and headers, and what browsers are told of them.

use super::codec::{Reader, Writer};
use super::{Configuration, Invalid, Kind};
use crate::limits::{
    CORS_MAX_BYTES, CORS_NAMES_MAX, CORS_RULES_MAX, CORS_TEXT_MAX_BYTES, RULE_ID_MAX_CHARS,
};
use crate::stored::Unreadable;

/// Methods that a rule can allow, by their numbers in a record.
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// What its client calls it.
    pub id: Option<String>,
    /// Origins, each with at most one `*`.
    pub origins: Vec<String>,
    /// Methods, of those that there are.
    pub methods: Vec<String>,
    /// Headers of requests, each with at most one `*`.
    pub headers: Vec<String>,
    /// Headers of answers that the page may see.
    pub exposed: Vec<String>,
    /// How long a browser may keep what it was told.
    pub max_age_s: Option<u32>,
}

/// Rules that have been checked, of which the first that fits holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// What is asked for by a browser on behalf of a page.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Where the page is from.
    pub origin: &'a str,
    /// The method of the request, or of the one that is to follow.
    pub method: &'a str,
    /// Headers that are to be sent, separated by commas.
    pub headers: &'a str,
}

/// A rule that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// Whether it is for pages from anywhere.
    pub from_anywhere: bool,
}

impl Rules {
    /// Checks rules.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(rules: Vec<Rule>) -> Result<Rules, Invalid> {
        if rules.is_empty() {
            return Err(Invalid::Xml("a CORS configuration has at least one rule"));
        }
        if rules.len() > CORS_RULES_MAX {
            return Err(Invalid::Request(
                "a CORS configuration has at most 100 rules",
            ));
        }
        rules.iter().try_for_each(Rule::check)?;
        if rules.iter().map(Rule::weight).sum::<usize>() > CORS_MAX_BYTES {
            return Err(Invalid::Request("a CORS configuration has at most 64 KB"));
        }
        Ok(Rules(rules))
    }

    /// Them.
    pub fn all(&self) -> &[Rule] {
        &self.0
    }

    /// The first that fits.
    pub fn find(&self, asked: &Asked<'_>) -> Option<Fit<'_>> {
        self.0.iter().find_map(|rule| rule.fit(asked))
    }
}

impl Rule {
    /// What it takes in memory, about.
    fn weight(&self) -> usize {
        let lists = [&self.origins, &self.methods, &self.headers, &self.exposed];
        let texts = lists.into_iter().flatten();
        texts.map(|text| text.len() + size_of::<String>()).sum()
    }

    fn check(&self) -> Result<(), Invalid> {
        if self.origins.is_empty() || self.methods.is_empty() {
            return Err(Invalid::Xml(
                "a CORS rule has an AllowedOrigin and an AllowedMethod",
            ));
        }
        let lists = [&self.origins, &self.methods, &self.headers, &self.exposed];
        if lists.iter().any(|list| list.len() > CORS_NAMES_MAX) {
            return Err(Invalid::Request(
                "a CORS rule has at most 1000 items of a kind",
            ));
        }
        let mut texts = lists.into_iter().flatten();
        if texts.any(|text| text.len() > CORS_TEXT_MAX_BYTES) {
            return Err(Invalid::Request(
                "an origin or a header in a CORS rule has at most 1024 bytes",
            ));
        }
        let id = self.id.as_deref().unwrap_or_default();
        if id.chars().count() > RULE_ID_MAX_CHARS {
            return Err(Invalid::Argument(
                "the ID of a rule has at most 255 characters",
            ));
        }
        let unknown = |method: &String| !METHODS.contains(&method.as_str());
        if self.methods.iter().any(unknown) {
            return Err(Invalid::Request(
                "found an unsupported HTTP method: an AllowedMethod is GET, PUT, POST, DELETE or HEAD",
            ));
        }
        let is_origin = |text: &String| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !self
            .origins
            .iter()
            .all(|text| is_pattern(text) && is_origin(text))
        {
            return Err(Invalid::Request(
                "an AllowedOrigin is an origin with at most one `*`",
            ));
        }
        let is_name = |text: &String| text.bytes().all(is_token);
        if !self
            .headers
            .iter()
            .all(|text| is_pattern(text) && is_name(text))
        {
            return Err(Invalid::Request(
                "an AllowedHeader is the name of a header with at most one `*`",
            ));
        }
        // What is told to browsers goes into a header as it is.
        let is_exact = |text: &String| !text.is_empty() && !text.contains('*') && is_name(text);
        if !self.exposed.iter().all(is_exact) {
            return Err(Invalid::Request(
                "an ExposeHeader is the name of a header without a `*`",
            ));
        }
        Ok(())
    }

    fn fit(&self, asked: &Asked<'_>) -> Option<Fit<'_>> {
        let origin = self
            .origins
            .iter()
            .find(|origin| matches(origin, asked.origin))?;
        let allows = self.methods.iter().any(|method| method == asked.method);
        let wanted = asked
            .headers
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let allowed = |name: &str| {
            let name = name.to_ascii_lowercase();
            self.headers
                .iter()
                .any(|header| matches(&header.to_ascii_lowercase(), &name))
        };
        (allows && wanted.into_iter().all(allowed)).then_some(Fit {
            rule: self,
            from_anywhere: origin == "*",
        })
    }
}

/// It is not empty and has at most one `*`.
fn is_pattern(text: &str) -> bool {
    !text.is_empty() && text.bytes().filter(|byte| *byte == b'*').count() <= 1
}

/// A byte of the name of a header (RFC 9110, 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a text is that of a pattern, whose `*` stands for any.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
    }
}

impl Configuration for Rules {
    const KIND: Kind = Kind::Cors;

    fn write(&self, writer: &mut Writer) {
        writer.list(&self.0, |writer, rule| {
            writer.optional(rule.id.as_deref(), |writer, id| writer.text(id));
            writer.list(&rule.origins, |writer, text| writer.text(text));
            writer.list(&rule.methods, |writer, method| {
                let number = METHODS.iter().position(|known| known == method);
                writer.number([number
                    .and_then(|at| u8::try_from(at).ok())
                    .unwrap_or(u8::MAX)]);
            });
            writer.list(&rule.headers, |writer, text| writer.text(text));
            writer.list(&rule.exposed, |writer, text| writer.text(text));
            writer.optional(rule.max_age_s, |writer, age| {
                writer.number(age.to_le_bytes())
            });
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Rules, Unreadable> {
        let rules = reader.list(|reader| {
            Ok(Rule {
                id: reader.optional(Reader::text)?,
                origins: reader.list(Reader::text)?,
                methods: reader.list(|reader| {
                    let [number] = reader.number()?;
                    let method = METHODS.get(usize::from(number));
                    let method = method.ok_or(Unreadable("an unknown method"))?;
                    Ok((*method).to_owned())
                })?,
                headers: reader.list(Reader::text)?,
                exposed: reader.list(Reader::text)?,
                max_age_s: reader.optional(|reader| Ok(u32::from_le_bytes(reader.number()?)))?,
            })
        })?;
        Rules::new(rules).map_err(|_| Unreadable("CORS rules that break a rule"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> Rule {
        Rule {
            origins: texts(origins),
            methods: texts(methods),
            headers: texts(headers),
            ..Rule::default()
        }
    }

    fn asked<'a>(origin: &'a str, method: &'a str, headers: &'a str) -> Asked<'a> {
        Asked {
            origin,
            method,
            headers,
        }
    }

    #[test]
    fn the_first_rule_that_fits_holds() {
        let rules = Rules::new(vec![
            rule(
                &["https://a.example"],
                &["GET", "PUT"],
                &["x-amz-*", "Content-Type"],
            ),
            rule(&["https://*.example"], &["GET"], &[]),
            rule(&["*"], &["HEAD"], &["*"]),
        ]);
        let rules = rules.expect("rules");
        let found = |origin, method, headers| {
            let fit = rules.find(&asked(origin, method, headers))?;
            let at = rules.all().iter().position(|rule| rule == fit.rule);
            Some((at.expect("one of them"), fit.from_anywhere))
        };
        assert_eq!(found("https://a.example", "GET", ""), Some((0, false)));
        assert_eq!(found("https://b.example", "GET", ""), Some((1, false)));
        assert_eq!(
            found("https://a.example", "PUT", "X-Amz-Date, content-type"),
            Some((0, false))
        );
        assert_eq!(found("https://a.example", "PUT", "x-other"), None);
        assert_eq!(found("https://a.example", "DELETE", ""), None);
        assert_eq!(found("http://a.example", "GET", ""), None);
        assert_eq!(found("https://a.example.evil", "GET", ""), None);
        assert_eq!(found("null", "HEAD", "anything"), Some((2, true)));
    }

    #[test]
    fn the_rules_of_s3_are_kept() {
        let refused = |rule: Rule| Rules::new(vec![rule]).is_err();
        let good = rule(&["*"], &["GET"], &[]);
        assert!(!refused(good.clone()));
        assert_eq!(
            Rules::new(vec![]),
            Err(Invalid::Xml("a CORS configuration has at least one rule"))
        );
        assert!(Rules::new(vec![good.clone(); 100]).is_ok());
        assert!(Rules::new(vec![good.clone(); 101]).is_err());
        assert!(refused(rule(&[], &["GET"], &[])));
        assert!(refused(rule(&["*"], &[], &[])));
        assert!(refused(rule(&["*"], &["PATCH"], &[])));
        assert!(refused(rule(&["*"], &["get"], &[])));
        assert!(refused(rule(&["a*b*"], &["GET"], &[])));
        assert!(!refused(rule(&[&"a".repeat(1024)], &["GET"], &[])));
        assert!(refused(rule(&[&"a".repeat(1025)], &["GET"], &[])));
        assert!(refused(rule(&["a\r\nb: c"], &["GET"], &[])));
        assert!(refused(rule(&["*"], &["GET"], &["x*y*"])));
        for exposed in ["*", "", "a b", "a\r\nSet-Cookie: b", "a:b", "\u{e4}"] {
            let rule = Rule {
                exposed: texts(&[exposed]),
                ..good.clone()
            };
            assert!(refused(rule), "{exposed:?}");
        }
        let id = |length| Rule {
            id: Some("i".repeat(length)),
            ..good.clone()
        };
        assert!(!refused(id(255)) && refused(id(256)));
    }

    /// Tries every way to give bytes to the `*`.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| {
                let left = text.get(taken..);
                left.is_some_and(|left| naive(rest, left))
            }),
            Some((first, rest)) => text
                .split_first()
                .is_some_and(|(byte, left)| byte == first && naive(rest, left)),
        }
    }

    proptest! {
        #[test]
        fn a_star_stands_for_any_text(pattern in "[ab]{0,3}\\*?[ab]{0,3}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn rules_come_back(
            id in prop::option::of(".{0,20}"),
            methods in prop::collection::vec(prop::sample::select(METHODS.to_vec()), 1..6),
            headers in prop::collection::vec("[a-z-]{1,9}\\*?", 0..4),
            max_age_s in prop::option::of(any::<u32>()),
        ) {
            let rule = Rule {
                id,
                max_age_s,
                exposed: texts(&["etag", "x-amz-request-id"]),
                ..rule(&["https://*.example", "*"], &methods, &headers.iter().map(String::as_str).collect::<Vec<_>>())
            };
            let rules = Rules::new(vec![rule.clone(), rule]).expect("rules");
            let bytes = rules.encode().expect("small");
            prop_assert_eq!(Rules::decode(&bytes), Ok(rules));
        }
    }
}
