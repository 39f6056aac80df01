//! The default build compiles no C, on x86_64 and on ppc64le, and `unsafe` stays in the few files that
//! map memory, share it or receive descriptors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use wolfdisk_tests::{repository, run};

/// Crates that compile C, or look for compiled C.
const C_BUILDERS: [&str; 9] = [
    "cc",
    "cmake",
    "bindgen",
    "pkg-config",
    "vcpkg",
    "autotools",
    "nasm-rs",
    "openssl-sys",
    "ring",
];

/// Files that may hold `unsafe`, by the end of their paths, each with its reason.
const MAY_BE_UNSAFE: [(&str, &str); 6] = [
    (
        "wolfdisk-common/src/memory.rs",
        "tells the allocator to hold little",
    ),
    (
        "wolfdisk-common/src/socket.rs",
        "takes ownership of received descriptors",
    ),
    (
        "wolfdisk-chunkd/src/area.rs",
        "maps the area that a front-end shares",
    ),
    (
        "wolfdisk-client/src/chunks/mapping.rs",
        "maps segments and shares the area",
    ),
    (
        "tests/src/mapping.rs",
        "maps files of the mounts under test",
    ),
    (
        "tests/tests/crash_decoders/allocations.rs",
        "stands before the allocator and counts, which only an unsafe trait can",
    ),
];

/// Crates that only look for a C library, and which crates may do so without using the answer.
///
/// fuser asks pkg-config for libfuse only with its `libfuse` feature, which is off; the crate itself is
/// plain Rust.
const HARMLESS: [(&str, &str); 1] = [("pkg-config", "fuser")];

#[test]
fn no_crate_that_compiles_c() {
    for target in ["x86_64-unknown-linux-gnu", "powerpc64le-unknown-linux-gnu"] {
        let outcome = run(Command::new(env!("CARGO"))
            .args([
                "tree",
                "--workspace",
                "--locked",
                "--prefix",
                "none",
                "--format",
                "{p}",
            ])
            .args(["--edges", "normal,build", "--target", target])
            .current_dir(repository()));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let names: BTreeSet<&str> = outcome
            .stdout
            .lines()
            .filter_map(|line| line.split(' ').next())
            .collect();
        assert!(names.contains("tokio"), "the tree is read");
        let found: Vec<_> = C_BUILDERS
            .iter()
            .filter(|name| names.contains(**name) && !is_harmless(name, target))
            .collect();
        assert!(found.is_empty(), "{target}: {found:?}");
    }
}

/// Whether nothing but the crate named in [`HARMLESS`] wants `name`.
fn is_harmless(name: &str, target: &str) -> bool {
    let Some((_, only)) = HARMLESS.iter().find(|(known, _)| *known == name) else {
        return false;
    };
    let outcome = run(Command::new(env!("CARGO"))
        .args([
            "tree",
            "--workspace",
            "--locked",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args([
            "--edges",
            "normal,build",
            "--target",
            target,
            "--depth",
            "1",
            "--invert",
            name,
        ])
        .current_dir(repository()));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let wanting = outcome
        .stdout
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next());
    wanting
        .filter(|parent| !parent.is_empty() && !parent.starts_with('['))
        .all(|parent| parent == *only)
}

#[test]
fn unsafe_only_where_it_is_allowed() {
    let mut files = Vec::new();
    collect(&repository(), &mut files);
    assert!(files.len() > 50, "the sources are found");
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source");
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
        let holds = text
            .lines()
            .filter(is_code)
            .any(|line| words.iter().any(|w| line.contains(w)));
        let own = file.ends_with("tests/tests/builds_without_c.rs");
        if holds
            && !own
            && !MAY_BE_UNSAFE
                .iter()
                .any(|(allowed, _)| file.ends_with(allowed))
        {
            wrong.push(file);
        }
    }
    assert!(wrong.is_empty(), "unsafe code in {wrong:#?}");
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("readable") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && name != "target" && !path.join("CACHEDIR.TAG").exists() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
