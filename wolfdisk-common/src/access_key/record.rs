//! What the index keeps of an access key: at [`place`] in the tree that no mount shows, its secret sealed.
//!
//! The secret is encrypted under the cluster's key with everything else of the record and the id as associated data: of
//! a record that was moved to another id, or whose rights were changed, nothing can be opened.

use std::collections::BTreeSet;
use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::rights::{BadRights, Rights};
use super::{AccessKey, is_id};
use crate::bucket::BucketName;
use crate::cluster_key::{ClusterKey, DERIVED_BYTES};
use crate::config::Secret;
use crate::limits::ACCESS_KEY_NAME_MAX_BYTES;
use crate::object_key::{KeyError, ObjectKey};

/// What the keys of all records begin with.
pub const PREFIX: &str = "s3/keys/";
/// The format, first of the bytes.
const VERSION: u8 = 1;
/// What the cluster's key is made into the sealing key for.
const PURPOSE: &str = "wolfdisk s3 access keys v1";
/// Bit 0 of the flags: it may not write.
const READ_ONLY: u8 = 1;
/// Bit 1: names of buckets follow.
const LIMITED: u8 = 2;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// A secret of ours has 40.
const SECRET_MAX_BYTES: usize = 255;

/// Where a key's record is, below the root of the system tree. None: no such id was ever made.
pub fn place(id: &str) -> Option<ObjectKey> {
    let key: Result<_, KeyError> = ObjectKey::parse(format!("{PREFIX}{id}").as_bytes());
    key.ok().filter(|_| is_id(id))
}

/// The id of a record at a key.
pub fn id_at(key: &[u8]) -> Option<&str> {
    let id = std::str::from_utf8(key.strip_prefix(PREFIX.as_bytes())?).ok()?;
    is_id(id).then_some(id)
}

/// What people call a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyName(String);

impl KeyName {
    /// At most 64 bytes, nothing that moves a terminal's cursor.
    pub fn parse(text: &str) -> Option<KeyName> {
        let good = text.len() <= ACCESS_KEY_NAME_MAX_BYTES && !text.chars().any(char::is_control);
        good.then(|| KeyName(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableKey {
    /// A newer release wrote it.
    #[error("a version that this release does not know")]
    Version,
    /// Bytes are missing, or there are more than belong to it.
    #[error("it is not as long as it says")]
    Length,
    /// A value that is none.
    #[error("it holds {0}")]
    Value(&'static str),
    /// The seal does not hold.
    #[error("it was not made under this cluster's key, or was changed since")]
    Seal,
}

impl From<BadRights> for UnreadableKey {
    fn from(_: BadRights) -> UnreadableKey {
        UnreadableKey::Value("buckets that no key is limited to")
    }
}

/// Why a record cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the secret of an access key cannot be sealed: {0}")]
pub struct SealError(&'static str);

/// What secrets are sealed with. `Debug` does not show it, its memory is wiped when it is dropped.
pub struct Seal(XChaCha20Poly1305);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

impl Seal {
    /// That of a cluster.
    pub fn new(key: &ClusterKey) -> Seal {
        Seal::from_bytes(&Seal::bytes(key))
    }

    /// What it is made of: for a gateway that does not hold the cluster's key.
    pub fn bytes(key: &ClusterKey) -> Zeroizing<[u8; DERIVED_BYTES]> {
        key.derive(PURPOSE)
    }

    /// That of the cluster that gave these [`Seal::bytes`].
    pub fn from_bytes(bytes: &[u8; DERIVED_BYTES]) -> Seal {
        let key: &Key = bytes.into();
        Seal(XChaCha20Poly1305::new(key))
    }
}

/// A record.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// What people call it.
    pub name: KeyName,
    /// When it was made, in seconds since 1970.
    pub created_s: u64,
    /// What it may do.
    pub rights: Rights,
    nonce: [u8; NONCE_BYTES],
    sealed: Vec<u8>,
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("name", &self.name)
            .field("created_s", &self.created_s)
            .field("rights", &self.rights)
            .finish_non_exhaustive()
    }
}

impl KeyRecord {
    /// The record of a key.
    ///
    /// # Errors
    /// The system has no randomness, or the secret is longer than any.
    pub fn new(
        key: &AccessKey,
        name: KeyName,
        created_s: u64,
        rights: Rights,
        seal: &Seal,
    ) -> Result<KeyRecord, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        let drawn = OsRng.try_fill_bytes(&mut nonce);
        drawn.map_err(|_| SealError("the system has no random bytes"))?;
        KeyRecord::with_nonce(key, name, created_s, rights, seal, nonce)
    }

    /// The same with a nonce that must be used for nothing else.
    fn with_nonce(
        key: &AccessKey,
        name: KeyName,
        created_s: u64,
        rights: Rights,
        seal: &Seal,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<KeyRecord, SealError> {
        let mut record = KeyRecord {
            name,
            created_s,
            rights,
            nonce,
            sealed: Vec::new(),
        };
        let secret = key.secret.reveal().as_bytes();
        if secret.len() > SECRET_MAX_BYTES {
            return Err(SealError("it is too long"));
        }
        let associated = record.associated(&key.id);
        let payload = Payload {
            msg: secret,
            aad: &associated,
        };
        let sealed = seal.0.encrypt(&XNonce::from(nonce), payload);
        record.sealed = sealed.map_err(|_| SealError("it is too long"))?;
        Ok(record)
    }

    /// The secret of the key `id`, whose record this is.
    ///
    /// # Errors
    /// [`UnreadableKey::Seal`].
    pub fn open(&self, id: &str, seal: &Seal) -> Result<Secret, UnreadableKey> {
        let associated = self.associated(id);
        let payload = Payload {
            msg: &self.sealed,
            aad: &associated,
        };
        let opened = seal.0.decrypt(&XNonce::from(self.nonce), payload);
        let opened = Zeroizing::new(opened.map_err(|_| UnreadableKey::Seal)?);
        let text = std::str::from_utf8(&opened);
        let text = text.map_err(|_| UnreadableKey::Value("a secret that is no text"))?;
        Ok(Secret::new(text.to_owned()))
    }

    /// What the seal binds the secret to.
    fn associated(&self, id: &str) -> Vec<u8> {
        let mut out = PURPOSE.as_bytes().to_vec();
        out.push(0);
        text(&mut out, id);
        self.head(&mut out);
        out
    }

    /// All but nonce and secret.
    fn head(&self, out: &mut Vec<u8>) {
        let buckets = self.rights.buckets();
        let read_only = u8::from(self.rights.is_read_only()) * READ_ONLY;
        let limited = u8::from(buckets.is_some()) * LIMITED;
        out.extend([VERSION, read_only | limited]);
        out.extend(self.created_s.to_le_bytes());
        text(out, self.name.as_str());
        if let Some(buckets) = buckets {
            // Rights are limited to fewer.
            out.push(u8::try_from(buckets.len()).unwrap_or(u8::MAX));
            for bucket in buckets {
                text(out, bucket.as_str());
            }
        }
    }

    /// What is kept.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.head(&mut out);
        out.extend(self.nonce);
        out.extend(&self.sealed);
        out
    }

    /// Reads what is kept. That the rights are those that the key was made with, only [`KeyRecord::open`] shows.
    ///
    /// # Errors
    /// It is not what [`KeyRecord::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<KeyRecord, UnreadableKey> {
        let mut rest = Reader(bytes);
        if rest.take()? != [VERSION] {
            return Err(UnreadableKey::Version);
        }
        let [flags] = rest.take()?;
        if flags & !(READ_ONLY | LIMITED) != 0 {
            return Err(UnreadableKey::Value("unknown flags"));
        }
        let created_s = u64::from_le_bytes(rest.take()?);
        let name = KeyName::parse(rest.text()?);
        let name = name.ok_or(UnreadableKey::Value("a name that is none"))?;
        let buckets = match flags & LIMITED {
            0 => None,
            _ => Some(rest.buckets()?),
        };
        let rights = Rights::new(flags & READ_ONLY != 0, buckets)?;
        let nonce = rest.take()?;
        let sealed = rest.0;
        let secret = sealed.len().checked_sub(TAG_BYTES);
        if secret.is_none_or(|length| length > SECRET_MAX_BYTES) {
            return Err(UnreadableKey::Length);
        }
        Ok(KeyRecord {
            name,
            created_s,
            rights,
            nonce,
            sealed: sealed.to_vec(),
        })
    }
}

/// A text of at most 255 bytes, its length before it.
fn text(out: &mut Vec<u8>, text: &str) {
    // All that is kept is shorter by its type.
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend(text.as_bytes());
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], UnreadableKey> {
        let split = self.0.split_at_checked(length);
        let (taken, rest) = split.ok_or(UnreadableKey::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], UnreadableKey> {
        let taken = self.slice(N)?;
        taken.try_into().map_err(|_| UnreadableKey::Length)
    }

    fn text(&mut self) -> Result<&'a str, UnreadableKey> {
        let [length] = self.take()?;
        let bytes = self.slice(usize::from(length))?;
        std::str::from_utf8(bytes).map_err(|_| UnreadableKey::Value("a text that is no UTF-8"))
    }

    /// In their order, each once.
    fn buckets(&mut self) -> Result<BTreeSet<BucketName>, UnreadableKey> {
        let [count] = self.take()?;
        let mut buckets = BTreeSet::new();
        for _ in 0..count {
            let name = BucketName::parse(self.text()?);
            let name = name.ok_or(UnreadableKey::Value("a bucket that cannot be"))?;
            if buckets.last().is_some_and(|last| *last >= name) {
                return Err(UnreadableKey::Value("buckets out of order"));
            }
            buckets.insert(name);
        }
        Ok(buckets)
    }
}

#[cfg(test)]
#[path = "record/tests.rs"]
mod tests;
