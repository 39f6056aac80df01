//! How the ranges of one commit travel: in the mutation, or packed into chunks.

use wolfdisk_common::limits::LOG_DATA_MAX_BYTES;

/// Where one range goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Inside the mutation.
    Inline,
    /// Into the pack with this number, from this offset on.
    Pack { pack: usize, offset: u32 },
}

/// Decides for ranges of these lengths, in order. None is longer than `chunk_size`. What is left for a
/// last pack of at most 64 KiB rides in the log instead.
pub(crate) fn plan(lengths: &[usize], chunk_size: usize) -> Vec<Way> {
    let mut ways = Vec::with_capacity(lengths.len());
    let mut rest: usize = lengths.iter().sum();
    let (mut pack, mut used) = (0, 0);
    for &length in lengths {
        if used == 0 && rest <= LOG_DATA_MAX_BYTES {
            ways.push(Way::Inline);
        } else {
            if used + length > chunk_size {
                pack += 1;
                used = 0;
            }
            // The last few bytes begin no chunk of their own.
            if used == 0 && rest <= LOG_DATA_MAX_BYTES {
                ways.push(Way::Inline);
            } else {
                ways.push(Way::Pack {
                    pack,
                    offset: used as u32,
                });
                used += length;
            }
        }
        rest -= length;
    }
    ways
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHUNK: usize = 256 * 1024;

    proptest! {
        #[test]
        fn packs_fit_and_the_log_stays_small(lengths in prop::collection::vec(1..=CHUNK, 0..40)) {
            let ways = plan(&lengths, CHUNK);
            prop_assert_eq!(ways.len(), lengths.len());
            let mut inline = 0;
            let mut ends = std::collections::BTreeMap::new();
            for (way, length) in ways.iter().zip(&lengths) {
                match way {
                    Way::Inline => inline += length,
                    Way::Pack { pack, offset } => {
                        let end = ends.entry(*pack).or_insert(0);
                        prop_assert_eq!(*end, *offset as usize);
                        *end += length;
                        prop_assert!(*end <= CHUNK);
                    }
                }
            }
            prop_assert!(inline <= LOG_DATA_MAX_BYTES);
            prop_assert!(ends.keys().copied().eq(0..ends.len()));
        }
    }

    #[test]
    fn a_page_rides_in_the_log() {
        assert_eq!(plan(&[4096], CHUNK), [Way::Inline]);
    }
}
