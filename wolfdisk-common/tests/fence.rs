//! A panic ends a daemon, but not behind a fence. A process of its own: the hook is one for all of it.

use wolfdisk_common::telemetry::{abort_on_panic, fenced};

#[test]
fn a_panic_behind_a_fence_becomes_its_text() {
    abort_on_panic();
    let inner = || fenced(|| -> u8 { panic!("of {}", "two words") });
    assert_eq!(inner(), Err("of two words".to_owned()));
    // A fence within another one leaves that in place.
    let outer = fenced(|| -> u8 {
        assert!(inner().is_err());
        panic!("after it")
    });
    assert_eq!(outer, Err("after it".to_owned()));
    assert_eq!(fenced(|| 7), Ok(7));
}
