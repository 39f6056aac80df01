//! Whether a form was signed by the holder of a key: the signature of version 4 over the policy as it stands in the form.

use hmac::{Hmac, KeyInit, Mac};
use s3s::dto::{Timestamp, TimestampFormat};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use super::error::FormError;
use super::fields::Fields;
use crate::etag::hex;
use crate::limits::{FORM_SIGNATURE_MAX_AGE, SKEW_MAX};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "s3";
const END: &str = "aws4_request";
/// Fields of a signature.
const SIGNED: [&str; 5] = [
    "policy",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-signature",
];
/// Fields of a signature of version 2.
const OLD: [&str; 2] = ["awsaccesskeyid", "signature"];

/// What a form says of its signature.
#[derive(Debug)]
pub struct Claim<'a> {
    /// Whose key signed it.
    pub access_key: &'a str,
    /// What was signed.
    pub policy: &'a str,
    signed_at: OffsetDateTime,
    date: &'a str,
    region: &'a str,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    /// Of the fields of a form; none if no field is of a signature.
    ///
    /// # Errors
    /// Some are missing, or cannot be read.
    pub fn of(fields: &'a Fields) -> Result<Option<Claim<'a>>, FormError> {
        if OLD.iter().any(|name| fields.get(name).is_some()) {
            return Err(FormError::Old);
        }
        if SIGNED.iter().all(|name| fields.get(name).is_none()) {
            return Ok(None);
        }
        let invalid = |name: &str| FormError::Field(name.to_owned());
        let [policy, algorithm, credential, time, signature] = SIGNED.map(|n| fields.required(n));
        let (policy, signature) = (policy?, signature?);
        if algorithm? != ALGORITHM {
            return Err(invalid("x-amz-algorithm"));
        }
        let time = time?;
        let signed_at = moment(time).ok_or_else(|| invalid("x-amz-date"))?;
        let credential = || {
            let mut parts = credential.as_ref().ok()?.rsplitn(5, '/');
            let (end, service) = (parts.next()?, parts.next()?);
            let (region, date) = (parts.next()?, parts.next()?);
            let access_key = parts.next()?;
            let good = end == END && service == SERVICE && !region.is_empty();
            // What is signed with a key is good for the day of the key.
            let good = good && time.starts_with(date) && date.len() == DATE_BYTES;
            good.then_some((access_key, date, region))
        };
        let (access_key, date, region) =
            credential().ok_or_else(|| match fields.get("x-amz-credential") {
                None => FormError::Missing("x-amz-credential"),
                Some(_) => invalid("x-amz-credential"),
            })?;
        Ok(Some(Claim {
            access_key,
            policy,
            signed_at,
            date,
            region,
            signature,
        }))
    }

    /// Whether it was signed with this secret, and not too long ago. The policy says for how long it is good; a
    /// signature, for a week at most.
    ///
    /// # Errors
    /// It was not.
    pub fn check(&self, secret: &str, now: OffsetDateTime) -> Result<(), FormError> {
        let good = sign(secret, self.date, self.region, self.policy);
        if !bool::from(good.as_bytes().ct_eq(self.signature.as_bytes())) {
            return Err(FormError::Signature);
        }
        let age = now - self.signed_at;
        match -age <= SKEW_MAX && age <= FORM_SIGNATURE_MAX_AGE {
            true => Ok(()),
            false => Err(FormError::Skewed),
        }
    }
}

/// Bytes of a date as 20300131.
const DATE_BYTES: usize = 8;

/// Reads a time as 20300131T235959Z.
fn moment(text: &str) -> Option<OffsetDateTime> {
    let time = text.strip_suffix('Z')?;
    let (date, time) = time.split_once('T')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if date.len() != DATE_BYTES || time.len() != 6 || !digits(date) || !digits(time) {
        return None;
    }
    let part = |text: &'_ str, from: usize, to: usize| text.get(from..to).map(str::to_owned);
    let shown = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(date, 0, 4)?,
        part(date, 4, 6)?,
        part(date, 6, 8)?,
        part(time, 0, 2)?,
        part(time, 2, 4)?,
        part(time, 4, 6)?,
    );
    let time = Timestamp::parse(TimestampFormat::DateTime, &shown).ok()?;
    Some(time.into())
}

/// The signature of a text, as hexadecimal digits.
fn sign(secret: &str, date: &str, region: &str, text: &str) -> String {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [date, region, SERVICE, END] {
        key = keyed(&key, part);
    }
    hex(&keyed(&key, text))
}

fn keyed(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length is taken.
    let mac = Hmac::<Sha256>::new_from_slice(key).map(|mut mac| {
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    });
    mac.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A form whose policy is just a word.
    const PAIRS: [(&str, &str); 5] = [
        ("policy", "policy"),
        ("x-amz-algorithm", ALGORITHM),
        (
            "x-amz-credential",
            "AKID/EXAMPLE/20151229/us-east-1/s3/aws4_request",
        ),
        ("x-amz-date", "20151229T000000Z"),
        ("x-amz-signature", ""),
    ];

    fn fields(change: impl Fn(&str, &str) -> Option<String>) -> Fields {
        let pairs = PAIRS.iter();
        let changed =
            pairs.filter_map(|(name, value)| Some(((*name).to_owned(), change(name, value)?)));
        Fields::new(changed, "").expect("fields")
    }

    fn with(name: &str, value: &str) -> Fields {
        fields(|known, kept| Some(if known == name { value } else { kept }.to_owned()))
    }

    fn at(text: &str) -> OffsetDateTime {
        moment(text).expect("a time")
    }

    #[test]
    fn a_known_signature_comes_out() {
        // The example of Amazon's documentation of forms.
        let policy = concat!(
            "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6",
            "ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFj",
            "bCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tl",
            "dC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5",
            "cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZl",
            "ci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoN",
            "CiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVx",
            "dWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAx",
            "NTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9",
        );
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        assert_eq!(
            sign(secret, "20151229", "us-east-1", policy),
            "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"
        );
    }

    #[test]
    fn only_the_key_that_is_named_signs() {
        let good = sign("secret", "20151229", "us-east-1", "policy");
        let now = at("20151229T000500Z");
        let signed = with("x-amz-signature", &good);
        let claim = Claim::of(&signed).expect("fields").expect("a signature");
        assert_eq!(claim.access_key, "AKID/EXAMPLE");
        assert!(claim.check("secret", now).is_ok());
        assert!(matches!(
            claim.check("other", now),
            Err(FormError::Signature)
        ));
        for wrong in ["", "00", &good.to_uppercase(), &good[1..]] {
            let fields = with("x-amz-signature", wrong);
            let claim = Claim::of(&fields).expect("fields").expect("a signature");
            assert!(matches!(
                claim.check("secret", now),
                Err(FormError::Signature)
            ));
        }
    }

    #[test]
    fn a_signature_is_good_for_a_week() {
        let good = sign("secret", "20151229", "us-east-1", "policy");
        let signed = with("x-amz-signature", &good);
        let claim = Claim::of(&signed).expect("fields").expect("a signature");
        for (now, is_good) in [
            ("20151228T234459Z", false),
            ("20151228T234500Z", true),
            ("20160105T000000Z", true),
            ("20160105T000001Z", false),
        ] {
            assert_eq!(claim.check("secret", at(now)).is_ok(), is_good, "{now}");
        }
    }

    #[test]
    fn all_fields_of_a_signature_are_there_or_none() {
        assert!(Claim::of(&Fields::default()).expect("fields").is_none());
        for missing in SIGNED {
            let fields = fields(|known, kept| (known != missing).then(|| kept.to_owned()));
            assert!(
                matches!(Claim::of(&fields), Err(FormError::Missing(name)) if name == missing),
                "{missing}"
            );
        }
        for old in OLD {
            let fields = Fields::new([(old.to_owned(), String::new())], "").expect("fields");
            assert!(matches!(Claim::of(&fields), Err(FormError::Old)));
        }
    }

    #[test]
    fn what_is_signed_for_something_else_is_refused() {
        for (name, value) in [
            ("x-amz-algorithm", "AWS4-HMAC-SHA1"),
            ("x-amz-date", "2015-12-29T00:00:00Z"),
            ("x-amz-date", "20151329T000000Z"),
            ("x-amz-date", "20151229T000000"),
            ("x-amz-credential", ""),
            ("x-amz-credential", "20151229/us-east-1/s3/aws4_request"),
            ("x-amz-credential", "A/20151228/us-east-1/s3/aws4_request"),
            ("x-amz-credential", "A//us-east-1/s3/aws4_request"),
            ("x-amz-credential", "A/20151229/us-east-1/iam/aws4_request"),
            ("x-amz-credential", "A/20151229//s3/aws4_request"),
            ("x-amz-credential", "A/20151229/us-east-1/s3/aws3_request"),
        ] {
            let fields = with(name, value);
            assert!(
                matches!(Claim::of(&fields), Err(FormError::Field(wrong)) if wrong == name),
                "{name}: {value}"
            );
        }
    }
}
