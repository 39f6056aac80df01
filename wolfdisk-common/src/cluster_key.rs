//! The key that the nodes of a cluster share, and what is made of it: for each purpose a key of its own, so that none of
//! them tells anything of another.

use std::fmt;
use std::path::Path;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::identity::{IdentityError, KEY_BYTES, read_key, write};
use crate::paths::Paths;

/// Bytes of a key that is made.
pub const DERIVED_BYTES: usize = 32;

/// See the module. `Debug` does not show it, its memory is wiped when it is dropped.
pub struct ClusterKey(Zeroizing<[u8; KEY_BYTES]>);

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterKey(..)")
    }
}

impl ClusterKey {
    /// That of a data directory.
    ///
    /// # Errors
    /// It is damaged, others can read it, or this user cannot.
    pub fn load(paths: &Paths) -> Result<ClusterKey, IdentityError> {
        let text = Zeroizing::new(read_key(&paths.cluster_key())?);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let mut digits = text
            .bytes()
            .filter_map(|byte| char::from(byte).to_digit(16));
        for byte in key.iter_mut() {
            // It has been checked that there are as many.
            let (high, low) = (digits.next(), digits.next());
            *byte = (high.unwrap_or_default() << 4 | low.unwrap_or_default()) as u8;
        }
        Ok(ClusterKey(key))
    }

    /// Keeps the key of a cluster that this machine joins, durably and for its owner alone.
    ///
    /// # Errors
    /// What the system says.
    pub fn keep(key: &[u8; KEY_BYTES], paths: &Paths) -> Result<(), IdentityError> {
        let digits: Zeroizing<String> =
            Zeroizing::new(key.iter().map(|byte| format!("{byte:02x}")).collect());
        let text = Zeroizing::new(format!("{}\n", *digits));
        write(&paths.cluster_key(), &text, 0o600)
    }

    /// Keeps a copy of the key in `file`, as [`ClusterKey::keep`].
    ///
    /// # Errors
    /// It holds no key, others can read it, or the system refuses.
    pub fn copy(file: &Path, paths: &Paths) -> Result<(), IdentityError> {
        let text = Zeroizing::new(read_key(file)?);
        write(&paths.cluster_key(), &text, 0o600)
    }

    /// The key itself, for a node that joins.
    pub fn reveal(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The key for a purpose: HKDF-SHA256 (RFC 5869) without salt. The purpose names a version.
    pub fn derive(&self, purpose: &str) -> Zeroizing<[u8; DERIVED_BYTES]> {
        let mut derived = Zeroizing::new([0; DERIVED_BYTES]);
        let hkdf = Hkdf::<Sha256>::new(None, &*self.0);
        if hkdf.expand(purpose.as_bytes(), &mut *derived).is_err() {
            unreachable!("{DERIVED_BYTES} bytes are one block of SHA-256");
        }
        derived
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::node_id::NodeId;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own() {
        let key = ClusterKey(Zeroizing::new([7; KEY_BYTES]));
        assert_eq!(key.derive("a v1"), key.derive("a v1"));
        assert_ne!(key.derive("a v1"), key.derive("a v2"));
        let other = ClusterKey(Zeroizing::new([8; KEY_BYTES]));
        assert_ne!(key.derive("a v1"), other.derive("a v1"));
        assert_eq!(format!("{key:?}"), "ClusterKey(..)");
    }

    #[test]
    fn a_kept_key_and_its_copy_are_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir(&path).expect("a directory");
            Paths::new(path)
        };
        let (kept, copied) = (at("a"), at("b"));
        ClusterKey::keep(&[7; KEY_BYTES], &kept).expect("kept");
        ClusterKey::copy(&kept.cluster_key(), &copied).expect("copied");
        let loaded = ClusterKey::load(&copied).expect("a key");
        let same = ClusterKey(Zeroizing::new([7; KEY_BYTES]));
        assert_eq!(loaded.derive("a v1"), same.derive("a v1"));
        std::fs::write(directory.path().join("none"), "abc").expect("written");
        assert!(ClusterKey::copy(&directory.path().join("none"), &copied).is_err());
    }

    #[test]
    fn it_is_what_the_file_says() {
        let directory = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(directory.path().join("data"));
        Identity::init(&paths, NodeId::parse("alpha").expect("an id")).expect("initialised");
        let text = std::fs::read_to_string(paths.cluster_key()).expect("a file");
        let key = ClusterKey::load(&paths).expect("a key");
        assert_eq!(hex(&*key.0), text.trim_end());
        std::fs::write(paths.cluster_key(), "abc").expect("written");
        assert!(ClusterKey::load(&paths).is_err());
    }
}
