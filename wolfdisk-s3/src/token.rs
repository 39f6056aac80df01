//! Where a listing goes on: tokens that clients hand back as they got them.
//!
//! A token holds the place itself, so any gateway can go on, and nothing is kept for it. A key says no more than
//! who may list sees anyway, so it is not hidden; base64 makes of any bytes something that survives a URL.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use wolfdisk_common::limits::OBJECT_KEY_MAX_BYTES;

/// What every token begins with: the version of its form.
const VERSION: u8 = 1;
/// Bytes that a place may have beyond the longest key.
const BEYOND_KEY_BYTES: usize = 8;

/// The token for a place.
pub fn encode(place: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode([&[VERSION], place].concat())
}

/// The place of a token; `None`: we did not make it.
pub fn decode(token: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (version, place) = bytes.split_first()?;
    let good = *version == VERSION && place.len() <= OBJECT_KEY_MAX_BYTES + BEYOND_KEY_BYTES;
    good.then(|| place.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_comes_back(place in prop::collection::vec(any::<u8>(), 0..1024)) {
            prop_assert_eq!(decode(&encode(&place)), Some(place));
        }

        #[test]
        fn anything_else_is_refused_without_a_panic(token in ".*") {
            let _ = decode(&token);
        }
    }

    #[test]
    fn tokens_of_others_are_refused() {
        for bad in [
            "",
            "!",
            "AA",
            &URL_SAFE_NO_PAD.encode([2, 1]),
            &encode(&[b'x'; 1033]),
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
