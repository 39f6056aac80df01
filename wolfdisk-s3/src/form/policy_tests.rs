//! What a policy promises whoever signs it.

use super::*;

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).expect("a time")
}

fn policy(conditions: &str) -> Result<Policy, PolicyError> {
    let text =
        format!("{{\"expiration\": \"2100-01-01T00:00:00.000Z\", \"conditions\": [{conditions}]}}");
    Policy::from_json(text.as_bytes())
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let owned = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Fields::new(owned, "").expect("fields")
}

fn check(conditions: &str, pairs: &[(&str, &str)]) -> Result<(), Denial> {
    policy(conditions)
        .expect("a policy")
        .check(&fields(pairs), "bucket", now())
}

const BASE: &str = "{\"bucket\": \"bucket\"}, [\"starts-with\", \"$key\", \"user/\"]";

#[test]
fn what_the_conditions_say_gets_through() {
    let key = ("key", "user/a");
    assert_eq!(check(BASE, &[key]), Ok(()));
    let free = [
        key,
        ("policy", "x"),
        ("x-amz-signature", "x"),
        ("X-Ignore-Me", "x"),
    ];
    assert_eq!(check(BASE, &free), Ok(()));
    let more = format!("{BASE}, [\"EQ\", \"$Acl\", \"private\"], {{\"X-Amz-Meta-A\": \"b\"}}");
    assert_eq!(
        check(&more, &[key, ("acl", "private"), ("x-amz-meta-a", "b")]),
        Ok(())
    );
    let any = format!("{BASE}, [\"starts-with\", \"$x-amz-meta-a\", \"\"]");
    assert_eq!(check(&any, &[key, ("x-amz-meta-a", "anything")]), Ok(()));
    assert_eq!(check(&any, &[key]), Ok(()));
}

#[test]
fn what_they_do_not_say_does_not() {
    let failed = |conditions: &str, pairs: &[(&str, &str)]| {
        matches!(check(conditions, pairs), Err(Denial::Condition(_)))
    };
    assert!(failed(BASE, &[("key", "other/a")]));
    assert!(failed(BASE, &[]));
    assert!(failed(
        "{\"bucket\": \"other\"}, [\"starts-with\", \"$key\", \"\"]",
        &[("key", "a")]
    ));
    // A field cannot say that the bucket is another.
    assert!(failed(
        "{\"bucket\": \"other\"}, {\"key\": \"a\"}",
        &[("key", "a"), ("bucket", "other")]
    ));
    let acl = format!("{BASE}, {{\"acl\": \"private\"}}");
    assert!(failed(&acl, &[("key", "user/a")]));
    assert!(failed(&acl, &[("key", "user/a"), ("acl", "Private")]));
}

#[test]
fn every_field_needs_a_condition() {
    let extra = |name: &str| Err(Denial::Extra(name.to_owned()));
    assert_eq!(
        check(BASE, &[("key", "user/a"), ("x-amz-meta-a", "b")]),
        extra("x-amz-meta-a")
    );
    assert_eq!(
        check("{\"bucket\": \"bucket\"}", &[("key", "a")]),
        extra("key")
    );
    assert_eq!(check("{\"key\": \"a\"}", &[("key", "a")]), extra("bucket"));
    assert_eq!(
        check(
            &format!("{BASE}, [\"content-length-range\", 0, 9]"),
            &[("key", "user/a"), ("content-length-range", "1")]
        ),
        extra("content-length-range")
    );
}

#[test]
fn of_several_types_each_must_begin_so() {
    let images = format!("{BASE}, [\"starts-with\", \"$Content-Type\", \"image/\"]");
    let of = |kind| check(&images, &[("key", "user/a"), ("content-type", kind)]);
    assert_eq!(of("image/png"), Ok(()));
    assert_eq!(of("image/png, image/gif"), Ok(()));
    assert!(of("image/png,text/html").is_err());
}

#[test]
fn a_policy_expires() {
    let text = "{\"expiration\": \"2027-01-15T08:00:00Z\", \"conditions\": []}";
    let expired = Policy::from_json(text.as_bytes()).expect("a policy");
    // That very second.
    assert_eq!(
        expired.check(&Fields::default(), "bucket", now()),
        Err(Denial::Expired)
    );
    let before = now() - time::Duration::seconds(1);
    assert_eq!(
        expired.check(&Fields::default(), "bucket", before),
        Err(Denial::Extra("bucket".to_owned()))
    );
}

#[test]
fn lengths_are_those_that_all_conditions_allow() {
    let lengths = |text: &str| policy(text).expect("a policy").lengths();
    assert_eq!(lengths(""), 0..=PUT_MAX_BYTES);
    assert_eq!(lengths("[\"content-length-range\", 1, 10]"), 1..=10);
    assert_eq!(
        lengths("[\"content-length-range\", \"1\", \"10\"], [\"content-length-range\", 5, 99]"),
        5..=10
    );
    assert_eq!(
        lengths("[\"content-length-range\", 0, 18446744073709551615]"),
        0..=PUT_MAX_BYTES
    );
}

#[test]
fn what_is_no_policy_is_refused() {
    for (text, wanted) in [
        ("", PolicyError::Json),
        ("[]", PolicyError::Json),
        ("{\"conditions\": []}", PolicyError::Json),
        (
            "{\"expiration\": \"2100-01-01T00:00:00Z\"}",
            PolicyError::Json,
        ),
        (
            "{\"expiration\": \"2100-01-01T00:00:00Z\", \"CONDITIONS\": []}",
            PolicyError::Json,
        ),
        (
            "{\"expiration\": \"2100-01-01T00:00:00Z\", \"conditions\": [], \"x\": 1}",
            PolicyError::Json,
        ),
        (
            "{\"expiration\": \"tomorrow\", \"conditions\": []}",
            PolicyError::Expiration,
        ),
    ] {
        assert_eq!(Policy::from_json(text.as_bytes()), Err(wanted), "{text}");
    }
    for condition in [
        "1",
        "null",
        "\"eq\"",
        "[]",
        "{}",
        "{\"a\": \"b\", \"c\": \"d\"}",
        "{\"a\": 1}",
        "[\"eq\", \"$a\"]",
        "[\"eq\", \"a\", \"b\"]",
        "[\"ends-with\", \"$a\", \"b\"]",
        "[\"content-length-range\", -1, 5]",
        "[\"content-length-range\", 1]",
        "[\"content-length-range\", 1.5, 5]",
    ] {
        assert_eq!(
            policy(condition),
            Err(PolicyError::Condition),
            "{condition}"
        );
    }
    assert_eq!(
        policy(&"[".repeat(10_000)),
        Err(PolicyError::Json),
        "it goes too deep"
    );
    assert_eq!(Policy::from_base64("{}"), Err(PolicyError::Encoding));
    assert_eq!(Policy::from_base64("e30="), Err(PolicyError::Json));
}
