//! The checksums that S3 clients send, ask for and get back: five algorithms, of whole objects or composed of
//! those of the parts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// How a checksum is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    /// CRC-32/ISO-HDLC.
    Crc32,
    /// CRC-32/ISCSI.
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// What a checksum of an object put in parts is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The content.
    Whole,
    /// The checksums of that many parts.
    Composite(u16),
}

/// A checksum and what it is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// How it was computed.
    pub algorithm: Algorithm,
    /// What of.
    pub scope: Scope,
    /// The bytes, as many as the algorithm gives.
    pub value: Vec<u8>,
}

impl Algorithm {
    /// All there are.
    pub const ALL: [Algorithm; 5] = [
        Algorithm::Crc32,
        Algorithm::Crc32c,
        Algorithm::Crc64Nvme,
        Algorithm::Sha1,
        Algorithm::Sha256,
    ];

    /// As S3 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    /// The algorithm with this name, in any case.
    pub fn parse(name: &str) -> Option<Algorithm> {
        let same = |known: &Algorithm| known.name().eq_ignore_ascii_case(name);
        Algorithm::ALL.into_iter().find(same)
    }

    /// The header or trailer that carries it.
    pub fn header(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Algorithm::Sha1 => "x-amz-checksum-sha1",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Bytes of a value.
    pub fn length(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    /// How the cyclic ones are called, which can be put together from those of the parts.
    fn cyclic(self) -> Option<CrcAlgorithm> {
        match self {
            Algorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Algorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Algorithm::Sha1 | Algorithm::Sha256 => None,
        }
    }

    /// Whether the checksum of a whole follows from those of its parts.
    pub fn is_cyclic(self) -> bool {
        self.cyclic().is_some()
    }

    /// The bytes that a header stands for, if they are as many as they must be.
    pub fn decode(self, text: &str) -> Option<Vec<u8>> {
        let value = STANDARD.decode(text).ok()?;
        (value.len() == self.length()).then_some(value)
    }
}

impl Checksum {
    /// As a header carries it: base64, and the number of parts after a dash.
    pub fn encode(&self) -> String {
        let text = STANDARD.encode(&self.value);
        match self.scope {
            Scope::Whole => text,
            Scope::Composite(count) => format!("{text}-{count}"),
        }
    }

    /// Of parts with these checksums, of one algorithm, and lengths, in their order: of the whole content if
    /// that follows from them and is wanted, else of their checksums. `None`: it is wanted and does not follow.
    pub fn of_parts(
        algorithm: Algorithm,
        parts: &[(Vec<u8>, u64)],
        whole: bool,
    ) -> Option<Checksum> {
        if !whole {
            let mut hasher = Hasher::new(algorithm);
            parts.iter().for_each(|(value, _)| hasher.update(value));
            let count = u16::try_from(parts.len()).ok()?;
            return Some(Checksum {
                algorithm,
                scope: Scope::Composite(count),
                value: hasher.finish(),
            });
        }
        let cyclic = algorithm.cyclic()?;
        let mut all = crc_fast::Digest::new(cyclic).finalize();
        for (value, length) in parts {
            all = crc_fast::checksum_combine(cyclic, all, number(value), *length);
        }
        Some(Checksum {
            algorithm,
            scope: Scope::Whole,
            value: low_bytes(all, algorithm.length()),
        })
    }
}

/// A checksum being computed.
pub enum Hasher {
    /// Cyclic.
    Crc(Algorithm, Box<crc_fast::Digest>),
    /// SHA-1.
    Sha1(Sha1),
    /// SHA-256.
    Sha256(Sha256),
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hasher").field(&self.algorithm()).finish()
    }
}

impl Hasher {
    /// Of no bytes yet.
    pub fn new(algorithm: Algorithm) -> Hasher {
        match (algorithm, algorithm.cyclic()) {
            (_, Some(cyclic)) => Hasher::Crc(algorithm, Box::new(crc_fast::Digest::new(cyclic))),
            (Algorithm::Sha1, None) => Hasher::Sha1(Sha1::new()),
            (_, None) => Hasher::Sha256(Sha256::new()),
        }
    }

    /// Which.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Hasher::Crc(algorithm, _) => *algorithm,
            Hasher::Sha1(_) => Algorithm::Sha1,
            Hasher::Sha256(_) => Algorithm::Sha256,
        }
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Crc(_, digest) => digest.update(bytes),
            Hasher::Sha1(hasher) => hasher.update(bytes),
            Hasher::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// The checksum of all that was taken.
    pub fn finish(self) -> Vec<u8> {
        match self {
            Hasher::Crc(algorithm, digest) => low_bytes(digest.finalize(), algorithm.length()),
            Hasher::Sha1(hasher) => hasher.finalize().to_vec(),
            Hasher::Sha256(hasher) => hasher.finalize().to_vec(),
        }
    }
}

/// The last `length` bytes of a number, most significant first.
fn low_bytes(number: u64, length: usize) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    bytes
        .get(bytes.len().saturating_sub(length)..)
        .unwrap_or_default()
        .to_vec()
}

/// The number that up to eight bytes stand for.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etag::hex;
    use proptest::prelude::*;

    fn of(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn the_check_values_of_the_catalogues_come_out() {
        let wanted = [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (
                Algorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
        ];
        for (algorithm, value) in wanted {
            let found = of(algorithm, b"123456789");
            assert_eq!(hex(&found), value, "{algorithm:?}");
            assert_eq!(found.len(), algorithm.length());
            assert_eq!(
                Algorithm::parse(&algorithm.name().to_lowercase()),
                Some(algorithm)
            );
            let whole = Checksum {
                algorithm,
                scope: Scope::Whole,
                value: found.clone(),
            };
            assert_eq!(algorithm.decode(&whole.encode()), Some(found));
            assert_eq!(algorithm.decode("AAAA"), None);
        }
        assert_eq!(Algorithm::parse("MD5"), None);
    }

    #[test]
    fn a_composite_is_of_the_checksums_of_the_parts() {
        let parts = [b"a", b"b"].map(|part| (of(Algorithm::Sha256, part), 1));
        let composite = Checksum::of_parts(Algorithm::Sha256, &parts, false).expect("a checksum");
        let wanted = of(
            Algorithm::Sha256,
            &[parts[0].0.clone(), parts[1].0.clone()].concat(),
        );
        assert_eq!(composite.value, wanted);
        assert!(composite.encode().ends_with("=-2"));
        assert_eq!(Checksum::of_parts(Algorithm::Sha256, &parts, true), None);
    }

    proptest! {
        #[test]
        fn that_of_the_whole_follows_from_the_parts(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8),
        ) {
            for algorithm in Algorithm::ALL.into_iter().filter(|known| known.is_cyclic()) {
                let sums: Vec<_> =
                    parts.iter().map(|part| (of(algorithm, part), part.len() as u64)).collect();
                let whole = Checksum::of_parts(algorithm, &sums, true).expect("a checksum");
                prop_assert_eq!(whole.value, of(algorithm, &parts.concat()));
            }
        }
    }
}
