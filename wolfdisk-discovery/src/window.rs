//! Which of a sender's numbered datagrams have been seen, as RFC 4303 does it: some may overtake others, none counts
//! twice.

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    highest: u64,
    /// Bit n: `highest - n` was seen.
    seen: u64,
}

impl Window {
    /// Notes one; false: it was seen before, or is too old to tell.
    pub fn accept(&mut self, number: u64) -> bool {
        if self.seen == 0 || number > self.highest {
            let ahead = number.saturating_sub(self.highest);
            self.seen = match u32::try_from(ahead) {
                Ok(ahead) => self.seen.checked_shl(ahead).unwrap_or(0) | 1,
                Err(_) => 1,
            };
            self.highest = number;
            return true;
        }
        let behind = u32::try_from(self.highest - number).unwrap_or(u32::MAX);
        let bit = 1_u64.checked_shl(behind).unwrap_or(0);
        let fresh = bit != 0 && self.seen & bit == 0;
        self.seen |= bit;
        fresh
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn none_counts_twice() {
        let mut window = Window::default();
        assert!(window.accept(0) && !window.accept(0));
        assert!(window.accept(2) && window.accept(1) && !window.accept(1));
        assert!(window.accept(u64::MAX) && !window.accept(2));
        assert!(!window.accept(u64::MAX - 64) && window.accept(u64::MAX - 63));
    }

    proptest! {
        #[test]
        fn it_forgets_nothing_recent(numbers in prop::collection::vec(0_u64..100, 1..200)) {
            let (mut window, mut seen) = (Window::default(), std::collections::BTreeSet::new());
            for number in numbers {
                let highest = seen.last().copied().unwrap_or(number);
                let recent = number + 64 > highest;
                let fresh = seen.insert(number) && recent;
                prop_assert_eq!(window.accept(number), fresh);
            }
        }
    }
}
