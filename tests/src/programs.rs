//! Where the programs under test and the repository are.

use std::path::{Path, PathBuf};

/// A program of the same build as the running test.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the test knows where it is");
    // <target>/<profile>/deps/<test>
    let profile = own
        .parent()
        .and_then(Path::parent)
        .expect("a test lies in <profile>/deps");
    let path = profile.join(name);
    assert!(
        path.exists(),
        "{} is not built; run `cargo xtask test`, or build the workspace with the tests' profile",
        path.display()
    );
    path
}

/// The repository's root.
pub fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent()
        .expect("the tests lie in the repository")
        .to_owned()
}
