//! Cargo builds this repository in the mount: sources, target directory and the tests that it then runs.
//! A build after which nothing has changed does nothing; one after a change builds what it concerns.

use std::path::Path;
use std::time::Duration;

use wolfdisk_tests::{Node, is_long_run, repository, sh, sh_within};

/// A whole build from nothing on a busy machine.
const BUILD_DEADLINE: Duration = Duration::from_secs(60 * 60);

/// The sources as they are, and nothing else: no target directory of another build.
fn bring(node: &Node) {
    let script = format!(
        "mkdir source; cd '{}'
         git -c safe.directory='*' ls-files -z | tar --null -T - -cf - | tar -xf - -C '{}'",
        repository().display(),
        node.path("source").display()
    );
    sh(node.mount(), &script);
}

fn cargo(source: &Path, what: &str) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let script = format!("CARGO_TARGET_DIR=target '{cargo}' {what} 2>&1");
    sh_within(BUILD_DEADLINE, source, &script)
}

#[test]
fn a_build_is_whole_and_the_next_one_has_nothing_to_do() {
    // The one crate that needs no other is built in moments; it has no library.
    let (what, targets) = if is_long_run() {
        ("--workspace", "--lib --bins")
    } else {
        ("-p xtask", "--bins")
    };
    let mut node = Node::start();
    bring(&node);
    let source = node.path("source");
    let build = format!("build --offline --locked {what}");
    assert!(cargo(&source, &build).contains("Compiling xtask"));
    let tests = format!("test --offline --locked {what} {targets}");
    let said = cargo(&source, &tests);
    assert!(said.contains("test result: ok."), "{said}");
    let nothing = |said: String| {
        assert!(
            said.contains("Finished") && !said.contains("Compiling"),
            "{said}"
        );
    };
    nothing(cargo(&source, &build));
    node.restart();
    nothing(cargo(&source, &build));
    sh(&source, "echo '// changed' >> xtask/src/main.rs");
    let said = cargo(&source, &build);
    assert_eq!(said.matches("Compiling").count(), 1, "{said}");
    nothing(cargo(&source, &build));
}
