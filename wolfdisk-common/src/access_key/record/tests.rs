//! Records of access keys come back, and no bit of one can be another.

use super::*;
use crate::identity::Identity;
use crate::node_id::NodeId;
use crate::paths::Paths;

const SECRET: &str = "the-secret-that-nobody-may-find";

fn seal() -> Seal {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = Paths::new(directory.path().join("data"));
    Identity::init(&paths, NodeId::parse("alpha").expect("an id")).expect("initialised");
    Seal::new(&ClusterKey::load(&paths).expect("a key"))
}

fn key(id: &str) -> AccessKey {
    AccessKey {
        id: id.to_owned(),
        secret: Secret::new(SECRET.to_owned()),
    }
}

fn limited() -> Rights {
    let names = ["photos", "music"].map(|name| BucketName::parse(name).expect("a name"));
    Rights::new(true, Some(names.into())).expect("rights")
}

fn record(id: &str, rights: Rights, seal: &Seal) -> KeyRecord {
    let name = KeyName::parse("backup").expect("a name");
    KeyRecord::new(&key(id), name, 1_760_000_000, rights, seal).expect("sealed")
}

#[test]
fn a_secret_comes_back_under_its_id_and_its_key_alone() {
    let seal = seal();
    let made = record("ID", limited(), &seal);
    let bytes = made.encode();
    let read = KeyRecord::decode(&bytes).expect("a record");
    assert_eq!(read, made);
    assert_eq!(read.open("ID", &seal).expect("the secret").reveal(), SECRET);
    assert_eq!(read.open("OTHER", &seal), Err(UnreadableKey::Seal));
    assert_eq!(read.open("ID", &self::seal()), Err(UnreadableKey::Seal));
    // No two records share a nonce.
    assert_ne!(record("ID", limited(), &seal).encode(), bytes);
}

#[test]
fn no_byte_of_it_can_be_another() {
    let seal = seal();
    for rights in [Rights::FULL, limited()] {
        let bytes = record("ID", rights, &seal).encode();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let opened = KeyRecord::decode(&changed).and_then(|read| read.open("ID", &seal));
                assert!(opened.is_err(), "byte {at}, bit {bit}");
            }
            let cut = KeyRecord::decode(&bytes[..at]).and_then(|read| read.open("ID", &seal));
            assert!(cut.is_err(), "cut at {at}");
        }
    }
}

#[test]
fn neither_the_bytes_nor_what_is_printed_show_the_secret() {
    let seal = seal();
    let made = record("ID", Rights::FULL, &seal);
    let bytes = made.encode();
    let shows = |bytes: &[u8]| {
        bytes
            .windows(8)
            .any(|part| SECRET.as_bytes().windows(8).any(|own| own == part))
    };
    assert!(!shows(&bytes));
    let opened = made.open("ID", &seal).expect("the secret");
    assert!(!shows(
        format!("{made:?} {seal:?} {opened:?} {:?}", key("ID")).as_bytes()
    ));
}

/// The bytes that this release writes, against a change of the format by mistake.
#[test]
fn the_format_is_what_it_was() {
    let seal = Seal(XChaCha20Poly1305::new(&Key::from([9; 32])));
    let name = KeyName::parse("n").expect("a name");
    let made = KeyRecord::with_nonce(&key("ID"), name, 258, limited(), &seal, [5; NONCE_BYTES]);
    let bytes = made.expect("sealed").encode();
    let head = b"\x01\x03\x02\x01\0\0\0\0\0\0\x01n\x02\x05music\x06photos";
    assert_eq!(&bytes[..head.len()], head);
    assert_eq!(&bytes[head.len()..][..NONCE_BYTES], [5; NONCE_BYTES]);
    assert_eq!(
        bytes.len(),
        head.len() + NONCE_BYTES + SECRET.len() + TAG_BYTES
    );
}

#[test]
fn ids_are_those_that_were_made() {
    let id = "ABCDEFGHIJKLMNOP2345";
    let place = place(id).expect("a key").to_bytes();
    assert_eq!(place, b"s3/keys/ABCDEFGHIJKLMNOP2345");
    assert_eq!(id_at(&place), Some(id));
    for bad in [
        "",
        "..",
        "short",
        "abcdefghijklmnop2345",
        "ABCDEFGHIJKLMNOP234/",
        "ABCDEFGHIJKLMNOP23456",
    ] {
        assert_eq!(super::place(bad), None, "{bad}");
    }
    assert_eq!(id_at(b"s3/keys/x"), None);
}

#[test]
fn names_are_short_and_harmless() {
    assert!(KeyName::parse("").is_some() && KeyName::parse("b\u{fc}ro 1").is_some());
    for bad in ["a\nb", "\u{1b}[2J", &"x".repeat(65)] {
        assert_eq!(KeyName::parse(bad), None);
    }
}
