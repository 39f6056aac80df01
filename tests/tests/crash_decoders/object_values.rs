//! What S3 keeps of an object, which index and client carry without looking inside.

use wolfdisk_s3::checksum::{Algorithm, Checksum, Scope};
use wolfdisk_s3::etag::ETag;
use wolfdisk_s3::limits::STORED_MAX_BYTES;
use wolfdisk_s3::stored::{Headers, OfContent, PartSizes, Stored, UploadOf};
use wolfdisk_s3::tags::Tags;

use super::engine::{MEMORY_BYTES, Target, as_it_is, fuzz};

#[test]
fn what_s3_keeps_is_read_or_refused() {
    fuzz(&Target {
        name: "object",
        seeds,
        // There is no checksum of its own: the index's record has one.
        reseal: |_| {},
        expand: as_it_is,
        memory_bytes: MEMORY_BYTES,
        check,
    });
}

fn check(bytes: &[u8]) -> bool {
    let content = OfContent::decode(bytes);
    let Ok(stored) = Stored::decode(bytes) else {
        return false;
    };
    let content = content.expect("less of it can be read as well");
    assert_eq!(
        (content.etag, &content.checksum),
        (stored.etag, &stored.checksum)
    );
    assert!(bytes.len() <= STORED_MAX_BYTES);
    // More metadata than S3 allows can be read and not written.
    if let Ok(again) = stored.encode() {
        assert_eq!(Stored::decode(&again), Ok(stored));
    }
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let put = Stored {
        headers: Headers {
            content_type: Some("text/plain".to_owned()),
            cache_control: Some("no-store".to_owned()),
            ..Headers::default()
        },
        metadata: [("colour".to_owned(), "blue".to_owned())].into(),
        tags: Tags::from_query("a=1&b=2").expect("tags"),
        etag: Some(ETag::Md5([7; 16])),
        checksum: Some(Checksum {
            algorithm: Algorithm::Crc64Nvme,
            scope: Scope::Whole,
            value: vec![1, 2, 3, 4, 5, 6, 7, 8],
        }),
        ..Stored::default()
    };
    let parts = Stored {
        etag: Some(ETag::Parts {
            md5: [9; 16],
            count: 3,
        }),
        checksum: Some(Checksum {
            algorithm: Algorithm::Sha256,
            scope: Scope::Composite(3),
            value: vec![3; 32],
        }),
        parts: PartSizes::new([5 << 20, 5 << 20, 77]),
        ..Stored::default()
    };
    let upload = Stored {
        upload: Some(UploadOf {
            key: "a/key".to_owned(),
            checksum: Some((Algorithm::Crc32, true)),
        }),
        ..Stored::default()
    };
    let all = [put, parts, upload, Stored::default()];
    all.iter()
        .map(|stored| stored.encode().expect("small"))
        .collect()
}
