//! Keys in listings whose client asked for them in the form in which a URL has them.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but what S3 leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'/')
    .remove(b'*');

/// Encodes a text.
pub fn encode(text: &str) -> String {
    Cow::from(utf8_percent_encode(text, ENCODED)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_could_misread_is_encoded() {
        assert_eq!(encode("a/b-c_d.e*"), "a/b-c_d.e*");
        assert_eq!(
            encode("a b+c&d=%\u{1}\u{e4}"),
            "a%20b%2Bc%26d%3D%25%01%C3%A4"
        );
    }
}
