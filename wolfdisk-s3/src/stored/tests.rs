//! What is kept comes back, and nothing else is read.

use proptest::prelude::*;

use super::*;
use crate::checksum::{Algorithm, Scope};

fn header() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[ -~]{0,60}")
}

fn headers() -> impl Strategy<Value = Headers> {
    (
        header(),
        header(),
        header(),
        header(),
        header(),
        header(),
        header(),
    )
        .prop_map(|all| Headers {
            content_type: all.0,
            cache_control: all.1,
            content_disposition: all.2,
            content_encoding: all.3,
            content_language: all.4,
            expires: all.5,
            website_redirect_location: all.6,
        })
}

fn tags() -> impl Strategy<Value = Tags> {
    prop::collection::btree_map("\\PC{1,20}", "\\PC{0,20}", 0..10)
        .prop_map(|pairs| Tags::new(pairs.into_iter().collect()).expect("tags"))
}

fn etag() -> impl Strategy<Value = Option<ETag>> {
    prop::option::of(prop_oneof![
        any::<[u8; 16]>().prop_map(ETag::Md5),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(|(md5, count)| ETag::Parts { md5, count }),
    ])
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(&Algorithm::ALL[..])
}

fn checksum() -> impl Strategy<Value = Option<Checksum>> {
    let value = prop::collection::vec(any::<u8>(), 32);
    prop::option::of(
        (algorithm(), any::<u16>(), value).prop_map(|(algorithm, count, value)| Checksum {
            algorithm,
            scope: match count {
                0 => Scope::Whole,
                count => Scope::Composite(count),
            },
            value: value[..algorithm.length()].to_vec(),
        }),
    )
}

fn upload() -> impl Strategy<Value = Option<UploadOf>> {
    let checksum = prop::option::of((algorithm(), any::<bool>()));
    prop::option::of(
        ("\\PC{1,40}", checksum).prop_map(|(key, checksum)| UploadOf { key, checksum }),
    )
}

fn stored() -> impl Strategy<Value = Stored> {
    let metadata = prop::collection::btree_map("[a-z-]{1,20}", "\\PC{0,30}", 0..10);
    let parts = prop::collection::vec(0_u64..4, 0..50).prop_map(PartSizes::new);
    (
        headers(),
        metadata,
        tags(),
        etag(),
        checksum(),
        parts,
        upload(),
    )
        .prop_map(
            |(headers, metadata, tags, etag, checksum, parts, upload)| Stored {
                headers,
                metadata,
                tags,
                etag,
                checksum,
                parts,
                upload,
            },
        )
}

proptest! {
    #[test]
    fn what_is_kept_comes_back(stored in stored()) {
        let bytes = stored.encode().expect("small enough");
        prop_assert_eq!(Stored::decode(&bytes), Ok(stored));
    }

    #[test]
    fn damage_is_refused_or_harmless(
        stored in stored(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = stored.encode().expect("small enough");
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let _ = Stored::decode(&bytes);
        bytes.truncate(length.index(bytes.len()));
        let _ = Stored::decode(&bytes);
    }

    #[test]
    fn random_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Stored::decode(&bytes);
    }

    #[test]
    fn parts_are_found(sizes in prop::collection::vec(0_u64..4, 1..60)) {
        let parts = PartSizes::new(sizes.iter().copied());
        prop_assert_eq!(parts.count() as usize, sizes.len());
        let mut start = 0;
        for (number, size) in (1..).zip(&sizes) {
            prop_assert_eq!(parts.place(number), Some((start, *size)));
            start += size;
        }
        prop_assert_eq!(parts.place(0), None);
        prop_assert_eq!(parts.place(parts.count() + 1), None);
    }
}

#[test]
fn a_value_of_this_version_is_read_for_ever() {
    let stored = Stored {
        headers: Headers {
            content_type: Some("text/plain".to_owned()),
            ..Headers::default()
        },
        metadata: [("a".to_owned(), "b".to_owned())].into(),
        etag: Some(ETag::Md5([7; 16])),
        ..Stored::default()
    };
    let mut bytes =
        b"\x01\x01\x0a\0\0\0text/plain\x08\x06\0\0\0\x01\0a\x01\0b\x0a\x10\0\0\0".to_vec();
    bytes.extend([7; 16]);
    assert_eq!(stored.encode(), Ok(bytes.clone()));
    assert_eq!(Stored::decode(&bytes), Ok(stored));
}

#[test]
fn too_much_is_refused_and_only_lengths_of_parts_are_given_up() {
    let metadata = |size: usize| Stored {
        metadata: [("k".to_owned(), "v".repeat(size))].into(),
        ..Stored::default()
    };
    assert!(metadata(METADATA_MAX_BYTES - 1).encode().is_ok());
    let refused = Err(TooLarge::Metadata(METADATA_MAX_BYTES + 1));
    assert_eq!(metadata(METADATA_MAX_BYTES).encode(), refused);
    let mut large = Stored::default();
    large.headers.cache_control = Some("x".repeat(STORED_MAX_BYTES));
    assert!(matches!(large.encode(), Err(TooLarge::All(_))));
    let uneven = Stored {
        etag: Some(ETag::Parts {
            md5: [1; 16],
            count: 10_000,
        }),
        parts: PartSizes::new(0..10_000),
        ..Stored::default()
    };
    let kept = Stored::decode(&uneven.encode().expect("small enough")).expect("readable");
    assert_eq!((kept.etag, kept.parts.count()), (uneven.etag, 0));
}

#[test]
fn a_change_of_content_leaves_what_people_said_of_it() {
    let stored = Stored {
        headers: Headers {
            content_type: Some("text/plain".to_owned()),
            ..Headers::default()
        },
        etag: Some(ETag::Md5([7; 16])),
        parts: PartSizes::new([1, 2]),
        ..Stored::default()
    };
    let left = stored.clone().without_content();
    assert_eq!(
        left,
        Stored {
            headers: stored.headers,
            ..Stored::default()
        }
    );
}
