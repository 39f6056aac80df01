//! The S3 access key that a node makes for whoever starts it first: `s3.key` in the data directory, readable by its
//! owner only. Where the configuration names a key, that one counts instead. Any number of others, with [`rights`] of
//! their own, are in the index ([`record`]).

pub mod record;
pub mod rights;

use rand::rngs::OsRng;
use rand::{Rng, TryRngCore};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::config::Secret;
use crate::identity::{IdentityError, io_error, read_secret, write};
use crate::paths::Paths;

/// Characters of an id, as long as those of AWS: some clients check.
const ID_CHARACTERS: usize = 20;
/// Characters of a secret: 238 random bits.
const SECRET_CHARACTERS: usize = 40;
const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Nothing that a shell, a URL or a configuration file would have to quote.
const SECRET_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// What requests name it by.
    pub id: String,
    /// What they are signed with.
    pub secret: Secret,
}

/// `s3.key` as it is on disk.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    access_key: String,
    secret_key: String,
}

impl AccessKey {
    /// The key of a data directory, `None` if none was made.
    ///
    /// # Errors
    /// It is damaged, or others can read it.
    pub fn load(paths: &Paths) -> Result<Option<AccessKey>, IdentityError> {
        let path = paths.access_key();
        let text = match read_secret(&path) {
            Err(IdentityError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok(None);
            }
            text => text?,
        };
        let file: KeyFile = toml::from_str(&text).map_err(|_| IdentityError::Damaged {
            file: path,
            // What the parser says would show parts of the secret.
            what: "it does not hold an access_key and a secret_key".to_owned(),
        })?;
        Ok(Some(AccessKey {
            id: file.access_key,
            secret: Secret::new(file.secret_key),
        }))
    }

    /// The same; makes one, durably, if there is none.
    ///
    /// # Errors
    /// As [`AccessKey::load`], or what the system says.
    pub fn load_or_make(paths: &Paths) -> Result<AccessKey, IdentityError> {
        if let Some(key) = AccessKey::load(paths)? {
            return Ok(key);
        }
        let path = paths.access_key();
        let key =
            AccessKey::draw().map_err(|error| io_error("draw random bytes for", &path, error))?;
        let (id, secret) = (&key.id, key.secret.reveal());
        let text = Zeroizing::new(format!(
            "access_key = \"{id}\"\nsecret_key = \"{secret}\"\n"
        ));
        write(&path, &text, 0o600)?;
        Ok(key)
    }

    /// A new one that nobody knows.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn draw() -> std::io::Result<AccessKey> {
        let id = random_text(ID_CHARACTERS, ID_ALPHABET).map_err(std::io::Error::other)?;
        let secret = random_text(SECRET_CHARACTERS, SECRET_ALPHABET);
        Ok(AccessKey {
            id,
            secret: Secret::new(secret.map_err(std::io::Error::other)?),
        })
    }
}

/// Whether an id may have been drawn here.
fn is_id(text: &str) -> bool {
    text.len() == ID_CHARACTERS && text.bytes().all(|byte| ID_ALPHABET.contains(&byte))
}

fn random_text(length: usize, alphabet: &[u8]) -> Result<String, rand::rand_core::OsError> {
    let mut random = OsRng;
    // Fails here if the system has no randomness; what follows cannot.
    random.try_next_u64()?;
    let mut random = random.unwrap_err();
    let draw = |_| alphabet[random.random_range(0..alphabet.len())];
    Ok((0..length).map(draw).map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn fresh() -> (tempfile::TempDir, Paths) {
        let directory = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(directory.path().to_owned());
        (directory, paths)
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let (_keep, paths) = fresh();
        assert_eq!(AccessKey::load(&paths).expect("read"), None);
        let made = AccessKey::load_or_make(&paths).expect("made");
        assert_eq!(AccessKey::load_or_make(&paths).expect("read"), made);
        assert_eq!((made.id.len(), made.secret.reveal().len()), (20, 40));
        let metadata = std::fs::metadata(paths.access_key()).expect("a file");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let (_keep, other) = fresh();
        assert_ne!(AccessKey::load_or_make(&other).expect("made"), made);
    }

    #[test]
    fn one_that_others_can_read_or_that_is_damaged_is_refused_without_showing_it() {
        let (_keep, paths) = fresh();
        let secret = AccessKey::load_or_make(&paths).expect("made").secret;
        let path = paths.access_key();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).expect("chmod");
        let exposed = AccessKey::load(&paths).expect_err("refused");
        assert!(exposed.to_string().contains("chmod 600"), "{exposed}");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("chmod");
        let text = std::fs::read_to_string(&path).expect("text");
        std::fs::write(&path, text.replace("secret_key", "secret key")).expect("written");
        let damaged = AccessKey::load(&paths).expect_err("refused");
        assert!(!format!("{damaged:?} {damaged}").contains(secret.reveal()));
    }
}
