//! The policy in a form of a web page: JSON from anybody, read before its signature is known to be good for anything.

use wolfdisk_s3::form::policy::Policy;

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};

const POLICIES: [&str; 3] = [
    r#"{"expiration": "2030-01-01T12:00:00.000Z", "conditions": []}"#,
    r#"{"expiration": "2030-01-01T12:00:00Z", "conditions": [{"bucket": "b"}, ["eq", "$key", "k"]]}"#,
    r#"{"expiration": "2030-01-01T12:00:00+01:00", "conditions": [["starts-with", "$Content-Type", "image/"],
        ["content-length-range", 1, 10485760], ["content-length-range", "0", "18446744073709551615"]]}"#,
];

#[test]
fn policies_of_forms_are_read_or_refused() {
    fuzz(&Target {
        name: "policy",
        seeds: || POLICIES.map(|text| text.as_bytes().to_vec()).to_vec(),
        reseal: |_| {},
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check,
    });
}

fn check(bytes: &[u8]) -> bool {
    let Ok(policy) = Policy::from_json(bytes) else {
        return false;
    };
    // What is read twice says the same, and no length is beyond what can be stored.
    assert_eq!(Policy::from_json(bytes), Ok(policy.clone()));
    assert!(*policy.lengths().end() <= wolfdisk_s3::limits::PUT_MAX_BYTES);
    true
}
