//! Randomness that can be repeated: the seed is printed, and taken from `WOLFDISK_SEED` if that is set.

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// A generator whose seed the test's output names.
pub struct Random(StdRng);

impl Random {
    pub fn new() -> Random {
        let seed = seed();
        println!("WOLFDISK_SEED={seed}");
        Random::from_seed(seed)
    }

    pub fn from_seed(seed: u64) -> Random {
        Random(StdRng::seed_from_u64(seed))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

/// The seed that was given, or one that nobody knew before.
pub fn seed() -> u64 {
    match std::env::var("WOLFDISK_SEED") {
        Ok(text) => text.parse().expect("WOLFDISK_SEED is a number"),
        Err(_) => u64::from(std::process::id()) ^ StdRng::from_os_rng().next_u64(),
    }
}

impl Default for Random {
    fn default() -> Random {
        Random::new()
    }
}

/// Whether the long versions of tests were asked for (`WOLFDISK_LONG=1`).
pub fn is_long_run() -> bool {
    std::env::var_os("WOLFDISK_LONG").is_some_and(|value| value == "1")
}
