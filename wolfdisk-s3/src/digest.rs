//! What is computed of the bytes of an upload while they are stored: MD5 and checksums, on the blocking threads,
//! as many at a time as there are cores.

use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest, Md5};
use tokio::sync::Semaphore;

use crate::checksum::{Algorithm, Hasher};

/// Lets as many hash at a time as there are cores: more would only take turns, and hold threads that others need.
#[derive(Clone, Debug)]
pub struct Hashing(Arc<Semaphore>);

impl Default for Hashing {
    fn default() -> Hashing {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Hashing(Arc::new(Semaphore::new(cores)))
    }
}

impl Hashing {
    /// Has `digests` take `bytes`, beside the reactor.
    ///
    /// # Errors
    /// The process is ending.
    pub async fn update(&self, mut digests: Digests, bytes: Bytes) -> Result<Digests, Ending> {
        let permit = Arc::clone(&self.0)
            .acquire_owned()
            .await
            .map_err(|_| Ending)?;
        let update = move || {
            digests.update(&bytes);
            drop(permit);
            digests
        };
        tokio::task::spawn_blocking(update)
            .await
            .map_err(|_| Ending)
    }
}

/// The runtime takes no more work.
#[derive(Debug, thiserror::Error)]
#[error("the process is ending")]
pub struct Ending;

/// See the module.
#[derive(Debug)]
pub struct Digests {
    md5: Md5,
    sums: Vec<Hasher>,
    length: u64,
}

impl Digests {
    /// MD5 and these, of no bytes yet.
    pub fn new(algorithms: impl IntoIterator<Item = Algorithm>) -> Digests {
        Digests {
            md5: Md5::new(),
            sums: algorithms.into_iter().map(Hasher::new).collect(),
            length: 0,
        }
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.md5.update(bytes);
        self.sums.iter_mut().for_each(|sum| sum.update(bytes));
    }

    /// What came out.
    pub fn finish(self) -> Summary {
        let sum = |hasher: Hasher| (hasher.algorithm(), hasher.finish());
        Summary {
            md5: self.md5.finalize().into(),
            sums: self.sums.into_iter().map(sum).collect(),
            length: self.length,
        }
    }
}

/// Of all bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Their MD5.
    pub md5: [u8; 16],
    /// Their checksums.
    pub sums: Vec<(Algorithm, Vec<u8>)>,
    /// How many they were.
    pub length: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::etag::EMPTY_MD5;

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let pieces = ["one", "", "two three"].map(|piece| Bytes::from_static(piece.as_bytes()));
        let summary = runtime.block_on(async {
            let hashing = Hashing::default();
            let mut digests = Digests::new(Algorithm::ALL);
            for piece in pieces.clone() {
                digests = hashing.update(digests, piece).await.expect("hashed");
            }
            digests.finish()
        });
        let mut whole = Digests::new(Algorithm::ALL);
        whole.update(&pieces.concat());
        assert_eq!(summary, whole.finish());
        assert_eq!(summary.length, 12);
        assert_eq!(Digests::new([]).finish().md5, EMPTY_MD5);
    }
}
