//! A system call of a daemon fails, or is its last: at any write, sync, rename and unlink. Nothing that was
//! acknowledged is lost, nobody has to help, and `wolfdiskctl check` finds nothing.

use std::io;

use nix::sys::signal::Signal;
use wolfdisk_tests::{
    Daemon, Effect, Fault, History, Node, Random, Trace, Workers, descendants, is_long_run, signal,
    wait_until,
};

const WORKERS: usize = 3;
/// Steps of the workers after each fault.
const STEPS: usize = 30;

/// At which call of a thread a fault happens under load, at most.
const CALLS_MAX: u64 = 20;

const WRITES: &str = "pwrite64,pwritev,pwritev2,ftruncate,fallocate";
const SYNCS: &str = "fdatasync,fsync,msync,sync_file_range";
const NAMES: &str = "rename,renameat,renameat2,unlink,unlinkat";

/// Faults of each kind.
fn rounds() -> u64 {
    if is_long_run() { 60 } else { 3 }
}

fn histories(node: &Node) -> Vec<History> {
    (0..WORKERS)
        .map(|number| History::new(node.path(format!("worker{number}"))))
        .collect()
}

/// What a fault may cost.
#[derive(Clone, Copy, PartialEq)]
enum Cost {
    /// Nobody notices: the daemon ends, calls wait for the next.
    Nothing,
    /// The daemon may go on, and who wrote may be told that it failed.
    Writes,
}

/// Faults under load.
fn goes_on_after(calls: &'static str, effect: Effect, cost: impl Fn(Daemon) -> Cost) {
    let mut node = Node::start();
    let mut random = Random::new();
    let mut histories = histories(&node);
    for round in 0..2 * rounds() {
        let daemon = [Daemon::Meta, Daemon::Chunkd][usize::from(round % 2 == 1)];
        let at = 1 + random.below(CALLS_MAX);
        let fault = Fault { calls, effect, at };
        let pid = node.pid(daemon);
        let trace = Trace::with_fault(pid, fault, node.scratch());
        let workers = Workers::start(histories);
        wait_until("the fault happens", || {
            trace.has_happened() || workers.has_failed()
        });
        let cost = cost(daemon);
        if cost == Cost::Nothing {
            wait_until("the daemon ends and is started again", || {
                node.pid(daemon) != pid
            });
        }
        drop(trace);
        workers.wait_for_steps(STEPS);
        let (kept, failures) = workers.stop();
        histories = kept;
        let allowed = |error: &io::Error| {
            cost == Cost::Writes && matches!(error.raw_os_error(), Some(libc::EIO | libc::ENOSPC))
        };
        assert!(
            failures.iter().all(allowed),
            "{daemon:?} {fault:?}: {failures:?}"
        );
        histories.iter_mut().for_each(History::check);
    }
    node.must_be_whole();
    node.restart();
    histories.iter_mut().for_each(History::check);
}

#[test]
fn killed_at_a_write() {
    goes_on_after(WRITES, Effect::Kill, |_| Cost::Nothing);
}

#[test]
fn killed_at_a_sync() {
    goes_on_after(SYNCS, Effect::Kill, |_| Cost::Nothing);
}

#[test]
fn a_write_fails() {
    // A chunk that could not be written is refused, and the store is as it was.
    goes_on_after(WRITES, Effect::Error("EIO"), |daemon| match daemon {
        Daemon::Chunkd => Cost::Writes,
        Daemon::Meta | Daemon::Fuse => Cost::Nothing,
    });
}

#[test]
fn a_write_finds_no_room() {
    goes_on_after(WRITES, Effect::Error("ENOSPC"), |daemon| match daemon {
        Daemon::Chunkd => Cost::Writes,
        Daemon::Meta | Daemon::Fuse => Cost::Nothing,
    });
}

#[test]
fn a_sync_finds_no_room() {
    goes_on_after(SYNCS, Effect::Error("ENOSPC"), |_| Cost::Nothing);
}

#[test]
fn a_sync_fails() {
    goes_on_after(SYNCS, Effect::Error("EIO"), |_| Cost::Nothing);
}

/// Ends `wolfdiskctl up` in order, which another program runs.
fn ask_to_stop(node: &Node) {
    let below = descendants(node.up_pid());
    let up = below.iter().find(|(_, name)| name == "wolfdiskctl");
    signal(up.expect("it runs").0, Signal::SIGTERM);
}

/// Every call of a start and of a stop until there is none left, in the long form; else the first few of them.
fn starts_after(calls: &'static str, effect: Effect) {
    let mut node = Node::start();
    let mut histories = histories(&node);
    let recorded = node.scratch().path().join("recorded");
    for at in 1.. {
        let workers = Workers::start(histories);
        workers.wait_for_steps(STEPS);
        node.crash();
        (histories, _) = workers.stop();
        let fault = Fault { calls, effect, at };
        node.plan().prefix = fault.prefix(&recorded);
        node.launch();
        wait_until("it gets ready or the fault happens", || {
            node.is_ready() || Fault::has_happened(&recorded)
        });
        if !Fault::has_happened(&recorded) {
            ask_to_stop(&node);
            wait_until("it stops or the fault happens", || {
                Fault::has_happened(&recorded) || node.up_ended().is_some()
            });
        }
        let beyond = !Fault::has_happened(&recorded);
        if node.is_up() {
            node.crash();
        }
        node.plan().prefix.clear();
        node.up();
        histories.iter_mut().for_each(History::check);
        node.must_be_whole();
        if beyond || (at > rounds() && !is_long_run()) {
            return;
        }
    }
}

#[test]
fn killed_at_a_write_of_a_start() {
    starts_after(WRITES, Effect::Kill);
}

#[test]
fn killed_at_a_sync_of_a_start() {
    starts_after(SYNCS, Effect::Kill);
}

#[test]
fn killed_at_a_change_of_names_of_a_start() {
    starts_after(NAMES, Effect::Kill);
}

#[test]
fn a_write_of_a_start_fails() {
    starts_after(WRITES, Effect::Error("EIO"));
}

#[test]
fn a_sync_of_a_start_fails() {
    starts_after(SYNCS, Effect::Error("EIO"));
}
