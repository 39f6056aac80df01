//! Panics while a decoder works are not printed, since a fence may take them: the last one is told if it gets out.
//! One that happens while another unwinds takes the process along, whatever the fence: it is told at once.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What the panic says after which the process aborts.
const ENDS_THE_PROCESS: [&str; 2] = [
    "panic in a destructor",
    "panic in a function that cannot unwind",
];

/// Says something that is seen although the test's output is captured, and the process ends before it is shown.
pub fn tell(text: &str) {
    // There is nowhere else to say it.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Runs `work`. An error is the panic that came out of it, with its place.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| match QUIET.get() {
            true => {
                let last = LAST.replace(panic.to_string());
                if ENDS_THE_PROCESS
                    .iter()
                    .any(|end| LAST.with_borrow(|text| text.contains(end)))
                {
                    tell(&format!("{last}; then {panic}"));
                }
            }
            false => usual(panic),
        }));
    });
    QUIET.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    result.map_err(|_| LAST.take())
}
