//! A daemon stands still under load, as when a debugger or a paused machine holds it, and goes on: programs
//! see a delay, or an error if it lasts. Afterwards nothing is wrong, lost or stuck.

mod work;

use std::path::Path;
use std::time::{Duration, Instant};

use wolfdisk_tests::{Daemon, Node, Stopped, Threads, is_long_run, wait_within, where_it_waits};
use work::Work;

/// For every worker to come on by some steps. One that waits may do so for two calls in a row.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(180);
/// Calls to a daemon are given up after this: a stop that is shorter is a delay and nothing else.
const CALL_DEADLINE: Duration = Duration::from_secs(60);

/// How long the daemon stands: longer than leases hold, in long runs longer than calls wait.
fn standstill() -> Duration {
    Duration::from_secs(if is_long_run() { 80 } else { 6 })
}

/// Waits until every worker has come on, or one call hangs.
fn wait_for_progress(work: &Work, what: &str) {
    let (target, mut threads) = (work.steps_ahead(3), Threads::default());
    let own = [std::process::id()];
    let mut looked = Instant::now();
    wait_within(PROGRESS_DEADLINE, what, || {
        if looked.elapsed() > Duration::from_secs(2) {
            looked = Instant::now();
            let stuck = threads.look(&own);
            assert_eq!(stuck, None, "{}", where_it_waits(&own));
        }
        work.has_come_to(&target)
    });
}

fn stands_still(daemon: Daemon) {
    let mut node = Node::start();
    let second = node.second_mount();
    let work = Work::start(&[node.mount(), second.mount()]);
    wait_for_progress(&work, "work begins");

    let stopped = Stopped::stop(node.pid(daemon));
    // Nothing is waited for here: that time passes is the fault.
    std::thread::sleep(standstill());
    drop(stopped);

    wait_for_progress(&work, "work goes on");
    let done = work.stop(PROGRESS_DEADLINE);
    if standstill() < CALL_DEADLINE {
        assert_eq!(done.errors(), 0, "a delay is no error");
    }
    let check = |root: &Path| done.check(root);
    check(node.mount());
    check(second.mount());
    drop(second);
    node.restart();
    check(node.mount());
}

#[test]
fn the_index() {
    stands_still(Daemon::Meta);
}

#[test]
fn the_chunk_store() {
    stands_still(Daemon::Chunkd);
}

#[test]
fn the_mount() {
    stands_still(Daemon::Fuse);
}
