//! Counts what each thread has allocated: the one place of these tests with `unsafe`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    /// Bytes of this thread that are in use, and the most that were since the last [`peak_of`]. Below zero if it
    /// frees what others allocated.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends has no counters any more.
    let live = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        live.get()
    });
    if let Ok(live) = live {
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live)));
    }
}

// SAFETY: everything is passed on to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller keeps the conditions, which are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

/// The most bytes that were in use at once while `work` ran, beyond those in use before.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = work();
    (result, usize::try_from(PEAK.get() - before).unwrap_or(0))
}

#[test]
fn the_peak_is_what_was_in_use_at_once() {
    let ((), twice) = peak_of(|| {
        for _ in 0..2 {
            drop(std::hint::black_box(vec![1_u8; 100_000]));
        }
    });
    let ((), both) = peak_of(|| {
        drop(std::hint::black_box([
            [1_u8; 100_000].to_vec(),
            vec![0; 100_000],
        ]))
    });
    assert!((100_000..101_000).contains(&twice), "{twice}");
    assert!((200_000..201_000).contains(&both), "{both}");
}
