//! What is put: slices of random bytes, so that no two objects are the same, nothing compresses, and comparing costs
//! little.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// Largest object.
const LARGEST_BYTES: usize = 8 << 20;
/// Places at which one can begin.
const PLACES: usize = 8 << 20;
/// Distance of the places of neighbours: prime to [`PLACES`], so that each object has its own.
const STEP: usize = 7919;

/// See the module.
#[derive(Clone, Debug)]
pub struct Contents(Bytes);

impl Contents {
    /// Other bytes in every run: what an earlier one stored is not to be found again.
    pub fn new() -> Contents {
        let mut bytes = vec![0; LARGEST_BYTES + PLACES];
        StdRng::from_os_rng().fill_bytes(&mut bytes);
        Contents(bytes.into())
    }

    /// Content of object `number`.
    pub fn of(&self, number: u64, size: usize) -> Bytes {
        let place = (number as usize).wrapping_mul(STEP) % PLACES;
        self.0.slice(place..place + size.min(LARGEST_BYTES))
    }
}
