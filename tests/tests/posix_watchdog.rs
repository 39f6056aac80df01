//! The watchdog of the suites itself: what hangs, in a call to the mount or elsewhere, is shown and ended.

use std::panic::catch_unwind;
use std::process::Command;
use std::time::Duration;

use wolfdisk_tests::{Daemon, Node, Stopped, run_within};

/// For what never ends.
const SHORT: Duration = Duration::from_millis(500);

/// What the watchdog says of a command that hangs.
fn said_of(command: &mut Command) -> String {
    let hangs = catch_unwind(std::panic::AssertUnwindSafe(|| run_within(SHORT, command)));
    let said = hangs.expect_err("it hangs");
    said.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn what_ends_in_time_is_told() {
    let outcome = run_within(
        Duration::from_secs(60),
        Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]),
    );
    assert_eq!(outcome.code, Some(3));
    assert_eq!((&*outcome.stdout, &*outcome.stderr), ("out\n", "err\n"));
}

#[test]
fn what_hangs_is_shown_and_killed() {
    let said = said_of(Command::new("sh").args(["-c", "echo before; sleep 600; echo after"]));
    assert!(
        said.contains(" sleep:") && said.contains("before"),
        "{said}"
    );
    assert!(said.contains("it was killed"), "{said}");
}

#[test]
fn a_call_that_is_not_answered_is_shown() {
    let node = Node::start();
    std::fs::write(node.path("file"), "content").expect("written");
    let stopped = Stopped::stop(node.pid(Daemon::Fuse));
    let said = said_of(Command::new("cat").arg(node.path("other")));
    drop(stopped);
    assert!(said.contains(" cat:") && said.contains("fuse"), "{said}");
    // The kernel had not handed the request on yet, so that the signal could end it.
    assert!(said.contains("it was killed"), "{said}");
}
