//! What S3 keeps of a bucket.

use wolfdisk_s3::configuration::Configuration;
use wolfdisk_s3::configuration::cors::{self, Rule as CorsRule};
use wolfdisk_s3::configuration::lifecycle::{self, Expiration, Filter, Form, Noncurrent, Rule};
use wolfdisk_s3::limits::CONFIGURATION_MAX_BYTES;
use wolfdisk_s3::tags::Tags;

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};

#[test]
fn what_s3_keeps_of_a_bucket_is_read_or_refused() {
    fuzz(&Target {
        name: "bucket",
        seeds,
        // There is no checksum of its own: chunks and the log have one.
        reseal: |_| {},
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check: |bytes| {
            check::<Tags>(bytes) | check::<cors::Rules>(bytes) | check::<lifecycle::Rules>(bytes)
        },
    });
}

fn check<C: Configuration + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> bool {
    let Ok(read) = C::decode(bytes) else {
        return false;
    };
    assert!(bytes.len() <= CONFIGURATION_MAX_BYTES);
    // There is one way to write it.
    assert_eq!(read.encode().as_deref(), Ok(bytes));
    true
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn seeds() -> Vec<Vec<u8>> {
    let tags = [("a", "1"), ("b c", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let tags = Tags::of_bucket(tags.to_vec()).expect("tags");
    let cors = cors::Rules::new(vec![
        CorsRule {
            id: Some("one".to_owned()),
            origins: texts(&["https://*.example", "null"]),
            methods: texts(&["PUT", "GET"]),
            headers: texts(&["x-amz-*"]),
            exposed: texts(&["ETag"]),
            max_age_s: Some(3600),
        },
        CorsRule {
            origins: texts(&["*"]),
            methods: texts(&["HEAD"]),
            ..CorsRule::default()
        },
    ]);
    let rule = |id: &str, form, expiration| Rule {
        id: id.to_owned(),
        enabled: true,
        form,
        filter: Filter::default(),
        expiration,
        abort_after_days: None,
        noncurrent: None,
    };
    let lifecycle = lifecycle::Rules::new(vec![
        Rule {
            filter: Filter {
                prefix: Some("logs/".to_owned()),
                tags: Tags::from_query("a=1&b=2").expect("tags"),
                greater: Some(5),
                less: Some(1 << 40),
            },
            ..rule("and", Form::And, Some(Expiration::Days(30)))
        },
        Rule {
            abort_after_days: Some(7),
            ..rule("date", Form::Filter, Some(Expiration::Date(2_177_452_800)))
        },
        Rule {
            enabled: false,
            noncurrent: Some(Noncurrent {
                days: Some(3),
                newer: Some(2),
            }),
            ..rule("none", Form::Prefix, Some(Expiration::Markers(true)))
        },
    ]);
    let (cors, lifecycle) = (cors.expect("rules"), lifecycle.expect("rules"));
    [tags.encode(), cors.encode(), lifecycle.encode()]
        .map(|bytes| bytes.expect("small"))
        .to_vec()
}
