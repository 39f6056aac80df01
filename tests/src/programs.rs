//! Where the programs under test and the repository are.

use std::path::{Path, PathBuf};

use crate::scratch::Scratch;

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

/// The S3 front-end built with HTTPS, which the others of the same build are without.
pub fn https_program() -> PathBuf {
    program("https/wolfdisk-s3")
}

/// A test suite of others, installed by `cargo xtask test` beside the profiles.
pub fn tool(name: &str) -> PathBuf {
    beside_profiles(&format!("tools/bin/{name}"))
}

/// An S3 client in a language of its own, installed there too.
pub fn client(path: &str) -> PathBuf {
    beside_profiles(&format!("tools/clients/{path}"))
}

/// What checks dashboards of Grafana, installed there too.
pub fn grafana(path: &str) -> PathBuf {
    beside_profiles(&format!("tools/grafana/{path}"))
}

/// The root of a Debian to be copied and booted, made there too.
pub fn debian_root() -> PathBuf {
    beside_profiles("tools/debian")
}

fn beside_profiles(path: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the test knows where it is");
    // <target>/<profile>/deps/<test>
    let target = own.ancestors().nth(3).expect("a test lies in <target>");
    let path = target.join(path);
    assert!(
        path.exists(),
        "{} is not installed; run `cargo xtask test` once",
        path.display()
    );
    path
}

/// A program of the machine by its path, also where ordinary users' `PATH` does not lead.
pub fn installed(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    // Debian keeps the programs of each version of PostgreSQL apart.
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    folders.extend(versions.flatten().map(|version| version.path().join("bin")));
    let mut found = folders.iter().map(|folder| folder.join(name));
    found
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is not installed; run `cargo xtask test` once"))
}

/// All programs in a directory that every user may enter, which the target directory may not be.
pub fn public_programs(scratch: &Scratch) -> PathBuf {
    let directory = scratch.directory("bin");
    for name in [
        "wolfdiskctl",
        "wolfdisk-meta",
        "wolfdisk-chunkd",
        "wolfdisk-fuse",
    ] {
        std::fs::copy(program(name), directory.join(name)).expect("copied");
    }
    directory
}

/// The repository's root.
pub fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent()
        .expect("the tests lie in the repository")
        .to_owned()
}
