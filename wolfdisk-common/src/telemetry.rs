//! Log lines on standard error, and what happens on a panic.

use std::any::Any;
use std::cell::Cell;
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing_subscriber::EnvFilter;

/// Starts logging for this process: lines on standard error at `level` and above, or as the
/// environment variable `RUST_LOG` says. Colour only on a terminal. Later calls change nothing.
pub fn init(level: tracing::Level) {
    start(filter(level));
}

/// The same without anything that the crate `silent` has to say, whatever is asked for: its lines hold what must not
/// be read by everybody who reads a log.
pub fn init_without(level: tracing::Level, silent: &str) {
    let filter = filter(level);
    start(match format!("{silent}=off").parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    });
}

fn filter(level: tracing::Level) -> EnvFilter {
    EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(level.as_str().to_ascii_lowercase()))
}

fn start(filter: EnvFilter) {
    // Fails only if logging has already been started, by an earlier call or a test.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
}

/// From now on a panic is logged, with its place, before the thread unwinds.
pub fn log_panics() {
    std::panic::set_hook(Box::new(log));
}

/// From now on a panic is logged and ends the process at once: a daemon that met its own bug has no
/// state that can be trusted, and starts again from what is on disk. What runs [`fenced`] only unwinds.
pub fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        log(panic);
        if !FENCED.get() {
            std::process::abort();
        }
    }));
}

thread_local! {
    static FENCED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call`; a panic in it becomes an error, its text, also after [`abort_on_panic`]. For libraries that
/// assert what they believe of a file. Whatever `call` changed is not to be used after that.
///
/// # Errors
/// It panicked.
pub fn fenced<V>(call: impl FnOnce() -> V) -> Result<V, String> {
    let before = FENCED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    FENCED.set(before);
    result.map_err(|panic| text(&*panic).to_owned())
}

fn text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

fn log(panic: &std::panic::PanicHookInfo<'_>) {
    let message = text(panic.payload());
    let place = panic
        .location()
        .map(ToString::to_string)
        .unwrap_or_default();
    let thread = std::thread::current()
        .name()
        .unwrap_or("unnamed")
        .to_owned();
    let backtrace = std::backtrace::Backtrace::capture();
    tracing::error!(%place, thread, "panic: {message}");
    if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
        tracing::error!("{backtrace}");
    }
}
