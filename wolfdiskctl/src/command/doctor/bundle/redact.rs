//! Takes out of a text what nobody else may see: the secrets of this machine wherever they stand, whatever looks like one,
//! and names that users gave.
//!
//! It rather takes out too much: a line that speaks of a password ends there.

use wolfdisk_common::access_key::AccessKey;
use wolfdisk_common::config::Config;
use zeroize::Zeroizing;

/// Digits of a key as it is written into a file, and of the name of a chunk, which tells what somebody stores.
const KEY_DIGITS: usize = 64;
/// How a join token begins.
const TOKEN: &str = "wdj";
/// What comes before a secret or a name that a user gave, followed by `=` or `:`; the rest of the line is left out.
const BEFORE: [&str; 9] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "credential",
    "authorization",
    "bucket",
    "key",
];
/// What follows the name of a file in a line of `status`.
const AFTER_FILE: &str = " cannot be read whole";
/// The shortest secret that is looked for: a shorter one would be found in words.
const SECRET_MIN_BYTES: usize = 8;
const LEFT_OUT: &str = "(left out)";

/// See the module. Its memory is wiped when it is dropped.
pub(super) struct Redactor {
    secrets: Vec<Zeroizing<String>>,
}

impl Redactor {
    /// Knows the secrets of this machine that this user may read; the others it only recognises by what they look like.
    pub(super) fn of(config: Option<&Config>) -> Redactor {
        let mut secrets = Vec::new();
        let Some(config) = config else {
            return Redactor { secrets };
        };
        let paths = config.paths();
        for file in [paths.cluster_key(), paths.node_key(), paths.member()] {
            let text = Zeroizing::new(std::fs::read_to_string(file).unwrap_or_default());
            secrets.extend(quoted(&text).map(|word| Zeroizing::new(word.to_owned())));
        }
        let made = AccessKey::load(&paths).ok().flatten();
        secrets.extend(made.map(|key| Zeroizing::new(key.secret.reveal().to_owned())));
        let configured = config.s3.keys.as_ref();
        secrets.extend(configured.map(|(_, secret)| Zeroizing::new(secret.reveal().to_owned())));
        Redactor::knowing(secrets)
    }

    fn knowing(mut secrets: Vec<Zeroizing<String>>) -> Redactor {
        secrets.retain(|secret| secret.len() >= SECRET_MIN_BYTES);
        Redactor { secrets }
    }

    /// The text, line by line, without them.
    pub(super) fn text(&self, text: &str) -> String {
        let lines = text.split('\n').map(|line| self.line(line));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The value, with every text in it.
    pub(super) fn json(&self, value: serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match value {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Array(all) => all.into_iter().map(|one| self.json(one)).collect(),
            Value::Object(all) => {
                let all = all.into_iter();
                Value::Object(all.map(|(name, value)| (name, self.json(value))).collect())
            }
            other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
        }
    }

    fn line(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for secret in &self.secrets {
            line = line.replace(secret.as_str(), LEFT_OUT);
        }
        line = without_words(&line);
        if let Some(end) = line.find(AFTER_FILE) {
            line.replace_range(..end, "(a file)");
        }
        if let Some(end) = named_value(&line) {
            line.truncate(end);
            line.push_str(LEFT_OUT);
        }
        line
    }
}

/// The words of a file of keys that are as long as keys: those between quotes, or a whole line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(['"', '\n', ' ', '=', ',']);
    words.filter(|word| word.len() >= KEY_DIGITS)
}

/// Without words that are a token, or a key in hexadecimal digits.
fn without_words(line: &str) -> String {
    let is_inner = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let mut shown = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|letter| !is_inner(letter)).unwrap_or(rest.len());
        let length = end.max(first.len_utf8());
        let (word, after) = rest.split_at(length);
        let is_word = end > 0 && (has_key(word) || word.contains(TOKEN) && word.contains('_'));
        shown.push_str(if is_word { LEFT_OUT } else { word });
        rest = after;
    }
    shown
}

/// Whether so many hexadecimal digits follow each other as a key has.
fn has_key(word: &str) -> bool {
    let mut runs = word.split(|letter: char| !letter.is_ascii_hexdigit());
    runs.any(|run| run.len() >= KEY_DIGITS)
}

/// Where the value begins that follows a word of [`BEFORE`] and `=` or `:`.
fn named_value(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    let starts = BEFORE.iter().flat_map(|word| {
        let found = lower.match_indices(word);
        found.filter_map(|(at, word)| value_after(&lower, at + word.len()))
    });
    starts.min()
}

/// Where a value begins, if nothing but the rest of a name and quotes are before a `=` or `:`.
fn value_after(line: &str, at: usize) -> Option<usize> {
    let rest = line.get(at..)?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_-.\"' ".contains(letter);
    let sign = rest.find(|letter| !is_name(letter))?;
    // A name of several words is a sentence.
    let name = rest.get(..sign)?;
    let is_close = name.split_whitespace().count() <= 1;
    let is_sign = rest.get(sign..)?.starts_with(['=', ':']);
    (is_close && is_sign).then_some(at + sign + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn redacted(line: &str) -> String {
        let secret = Zeroizing::new("TopSecretText".to_owned());
        Redactor::knowing(vec![secret]).text(line)
    }

    #[test]
    fn secrets_are_left_out_wherever_they_stand() {
        for (line, shown) in [
            ("xTopSecretTexty", "x(left out)y"),
            (&format!("key file {KEY} read"), "key file (left out) read"),
            (&format!("chunk{{id=x{KEY}}}"), "chunk{id=(left out)}"),
            (
                "init --join wdj1_abc-DEF_9 done",
                "init --join (left out) done",
            ),
            (
                "export AWS_SECRET_ACCESS_KEY=abcdef",
                "export AWS_SECRET_ACCESS_KEY=(left out)",
            ),
            ("password = \"hunter2\" # x", "password =(left out)"),
            ("{\"secret_key\": \"a b\"}", "{\"secret_key\":(left out)"),
            (
                "WARN not known bucket=photos error=x",
                "WARN not known bucket=(left out)",
            ),
            (
                "WARN swept bucket=\"my-photos\"",
                "WARN swept bucket=(left out)",
            ),
            (
                "a/b c.txt cannot be read whole",
                "(a file) cannot be read whole",
            ),
        ] {
            assert_eq!(redacted(line), shown, "{line}");
        }
    }

    #[test]
    fn what_is_none_stays() {
        for line in [
            "",
            "2026-11-29T09:00:00Z  INFO wolfdisk-meta is ready socket=/run/wolfdisk/meta.sock",
            "a token was made and used",
            "the key of a cluster is in a file",
            "deadbeef 0123456789",
            "grün: ä ö",
        ] {
            assert_eq!(redacted(line), line);
        }
    }

    #[test]
    fn every_text_of_a_value_is_looked_at() {
        let value = serde_json::json!({"a": [1, "TopSecretText", {"b": KEY}], "c": null});
        let shown = Redactor::knowing(vec![Zeroizing::new("TopSecretText".to_owned())]).json(value);
        assert_eq!(
            shown,
            serde_json::json!({"a": [1, LEFT_OUT, {"b": LEFT_OUT}], "c": null})
        );
    }
}
