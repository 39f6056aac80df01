//! Lifecycle rules as S3 writes them, and back.

use s3s::S3Error;

use super::*;

fn rule() -> LifecycleRule {
    LifecycleRule {
        abort_incomplete_multipart_upload: None,
        expiration: Some(LifecycleExpiration {
            days: Some(3),
            ..LifecycleExpiration::default()
        }),
        filter: Some(LifecycleRuleFilter::default()),
        id: Some("one".to_owned()),
        noncurrent_version_expiration: None,
        noncurrent_version_transitions: None,
        prefix: None,
        status: ExpirationStatus::from_static(ExpirationStatus::ENABLED),
        transitions: None,
    }
}

fn tag(key: &str) -> Tag {
    Tag {
        key: Some(key.to_owned()),
        value: Some("v".to_owned()),
    }
}

fn code(rule: LifecycleRule) -> String {
    let refused = taken(rule)
        .and_then(|rule| Ok(Rules::new(vec![rule])?))
        .expect_err("refused");
    S3Error::from(refused).code().as_str().to_owned()
}

#[test]
fn a_rule_comes_back_in_the_form_in_which_it_came() {
    let with_filter = |filter| LifecycleRule {
        filter: Some(filter),
        ..rule()
    };
    let old = LifecycleRule {
        prefix: Some("logs/".to_owned()),
        filter: None,
        ..rule()
    };
    let one = with_filter(LifecycleRuleFilter {
        tag: Some(tag("a")),
        ..LifecycleRuleFilter::default()
    });
    let several = with_filter(LifecycleRuleFilter {
        and: Some(LifecycleRuleAndOperator {
            prefix: Some("a".to_owned()),
            tags: Some(vec![tag("a"), tag("b")]),
            object_size_greater_than: Some(0),
            object_size_less_than: Some(i64::MAX),
        }),
        ..LifecycleRuleFilter::default()
    });
    let abort = LifecycleRule {
        abort_incomplete_multipart_upload: Some(AbortIncompleteMultipartUpload {
            days_after_initiation: Some(7),
        }),
        expiration: None,
        status: ExpirationStatus::from_static(ExpirationStatus::DISABLED),
        ..rule()
    };
    let date = LifecycleRule {
        expiration: Some(LifecycleExpiration {
            date: Some(Timestamp::from(OffsetDateTime::UNIX_EPOCH)),
            ..LifecycleExpiration::default()
        }),
        ..rule()
    };
    let vacuous = LifecycleRule {
        expiration: Some(LifecycleExpiration {
            expired_object_delete_marker: Some(true),
            ..LifecycleExpiration::default()
        }),
        noncurrent_version_expiration: Some(NoncurrentVersionExpiration {
            newer_noncurrent_versions: Some(2),
            noncurrent_days: Some(1),
        }),
        ..rule()
    };
    for given in [rule(), old, one, several, abort, date, vacuous] {
        assert_eq!(shown(taken(given.clone()).expect("a rule")), given);
    }
    let unnamed = LifecycleRule { id: None, ..rule() };
    let named = shown(taken(unnamed).expect("a rule")).id;
    assert!(named.is_some_and(|id| !id.is_empty()));
}

#[test]
fn what_could_end_more_than_was_meant_is_refused() {
    let none = LifecycleRule {
        filter: None,
        ..rule()
    };
    assert_eq!(code(none), "MalformedXML");
    let both = LifecycleRule {
        prefix: Some(String::new()),
        ..rule()
    };
    assert_eq!(code(both), "MalformedXML");
    let with_filter = |filter| LifecycleRule {
        filter: Some(filter),
        ..rule()
    };
    let two = with_filter(LifecycleRuleFilter {
        prefix: Some("a".to_owned()),
        tag: Some(tag("a")),
        ..LifecycleRuleFilter::default()
    });
    assert_eq!(code(two), "MalformedXML");
    let empty = with_filter(LifecycleRuleFilter {
        and: Some(LifecycleRuleAndOperator::default()),
        ..LifecycleRuleFilter::default()
    });
    assert_eq!(code(empty), "MalformedXML");
    let nameless = with_filter(LifecycleRuleFilter {
        tag: Some(Tag::default()),
        ..LifecycleRuleFilter::default()
    });
    assert_eq!(code(nameless), "InvalidTag");
    let expiration = |given| LifecycleRule {
        expiration: Some(given),
        ..rule()
    };
    assert_eq!(
        code(expiration(LifecycleExpiration::default())),
        "MalformedXML"
    );
    for days in [0, -1, i32::MIN] {
        let days = LifecycleExpiration {
            days: Some(days),
            ..LifecycleExpiration::default()
        };
        assert_eq!(code(expiration(days)), "InvalidArgument");
    }
    let status = LifecycleRule {
        status: ExpirationStatus::from_static("enabled"),
        ..rule()
    };
    assert_eq!(code(status), "MalformedXML");
}

#[test]
fn nothing_is_moved_to_another_class() {
    let transition = LifecycleRule {
        transitions: Some(vec![Transition::default()]),
        ..rule()
    };
    assert_eq!(code(transition), "NotImplemented");
}
