//! The installer, `deploy/setup.sh`, on trees of its own: typed at on a terminal, told by options, refused, cut short.
//! On machines that were started by systemd it is tried by the tests that have some.

mod answers;
mod helper;
mod setting;
mod sources;
mod trouble;

use std::process::Command;

use wolfdisk_tests::run;

#[test]
fn shellcheck_finds_nothing() {
    let outcome = run(Command::new("shellcheck").arg(setting::script()));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}
