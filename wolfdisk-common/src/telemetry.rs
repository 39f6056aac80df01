//! Log lines on standard error, or as entries of the journal where that is systemd's; and what happens on a panic.

use std::any::Any;
use std::cell::Cell;
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::journal::{self, Journal};

/// What is worth a line, as it can be changed while the process runs.
static LIVE: OnceLock<Live> = OnceLock::new();

struct Live {
    filter: reload::Handle<EnvFilter, Registry>,
    silent: Option<String>,
}

/// Starts logging for this process: lines on standard error, or in the journal if that is where it goes, at `level` and
/// above, or as the environment variable `RUST_LOG` says. Colour only on a terminal. Later calls change nothing.
pub fn init(level: tracing::Level) {
    start(level, None);
}

/// The same without anything that the crate `silent` has to say, whatever is asked for: its lines hold what must not
/// be read by everybody who reads a log.
pub fn init_without(level: tracing::Level, silent: &str) {
    start(level, Some(silent.to_owned()));
}

/// From now on lines at `level` and above are written, unless `RUST_LOG` says which.
pub fn set_level(level: tracing::Level) {
    let Some(live) = LIVE.get() else {
        return;
    };
    // Fails only if there is nobody to log to.
    let _ = live.filter.reload(filter(level, live.silent.as_deref()));
}

/// From now on entries of the journal name the node that this process belongs to.
pub fn set_node(name: &str) {
    journal::set_node(name);
}

fn filter(level: tracing::Level, silent: Option<&str>) -> EnvFilter {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(level.as_str().to_ascii_lowercase()));
    match silent.map(|name| format!("{name}=off").parse()) {
        Some(Ok(directive)) => filter.add_directive(directive),
        _ => filter,
    }
}

fn start(level: tracing::Level, silent: Option<String>) {
    let (layer, handle) = reload::Layer::new(filter(level, silent.as_deref()));
    let journal = Journal::behind_stderr();
    let lines = journal.is_none().then(|| {
        fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
    });
    let subscriber = tracing_subscriber::registry()
        .with(layer)
        .with(lines)
        .with(journal);
    // Fails only if logging has already been started, by an earlier call or a test.
    if subscriber.try_init().is_ok() {
        let filter = handle;
        let _ = LIVE.set(Live { filter, silent });
    }
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
