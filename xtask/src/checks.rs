//! Checks of the code itself: format, lints, and that nothing in the default build compiles C.

use crate::run::{Failure, cargo, output, succeeds};
use crate::tally::Tally;

/// Crates that compile or bind C, or stand for those that do. A default build holds none of them, so
/// that it needs no other compiler on any architecture. `deny.toml` holds the same list for those who
/// have cargo-deny.
const BANNED: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "bindgen",
    "cc",
    "cmake",
    "libz-sys",
    "lz4-sys",
    "nasm-rs",
    "openssl-sys",
    "ring",
    "zstd-sys",
];

/// What WolfDisk runs on, by processor. What a crate needs elsewhere is not built, and may compile C.
const TARGETS: &[&str] = &[
    "aarch64-unknown-linux-gnu",
    "armv7-unknown-linux-gnueabihf",
    "powerpc64le-unknown-linux-gnu",
    "riscv64gc-unknown-linux-gnu",
    "s390x-unknown-linux-gnu",
    "x86_64-unknown-linux-gnu",
];

/// HTTPS compiles C, so it is in no default build and in no other check.
const HTTPS: [(&str, &[&str]); 2] = [
    (
        "lints of HTTPS",
        &[
            "clippy",
            "--locked",
            "--profile",
            "checked",
            "--package",
            "wolfdisk-s3",
            "--features",
            "tls",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    ),
    (
        "tests of HTTPS",
        &[
            "test",
            "--locked",
            "--profile",
            "checked",
            "--package",
            "wolfdisk-s3",
            "--features",
            "tls",
            "--lib",
            "tls",
        ],
    ),
];

/// Runs them all.
pub fn run(tally: &mut Tally) -> Result<(), Failure> {
    let formatted = succeeds(&mut cargo(&["fmt", "--all", "--check"]))?;
    tally.check("formatting", formatted);
    let clippy = [
        "clippy",
        "--locked",
        "--profile",
        "checked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    tally.check("lints", succeeds(&mut cargo(&clippy))?);
    for (name, arguments) in HTTPS {
        tally.check(name, succeeds(&mut cargo(arguments))?);
    }
    let found = banned()?;
    if !found.is_empty() {
        println!(
            "the default build holds crates that compile C: {}",
            found.join(", ")
        );
    }
    tally.check("no C in the default build", found.is_empty());
    Ok(())
}

fn banned() -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for target in TARGETS {
        let arguments = [
            "tree",
            "--locked",
            "--workspace",
            "--target",
            target,
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ];
        let text = output(&mut cargo(&arguments));
        let text = text.ok_or_else(|| Failure::new("cargo tree failed"))?;
        let banned = names(&text).filter(|name| BANNED.contains(name));
        found.extend(banned.map(str::to_owned));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The names of the crates in what `cargo tree --prefix none` prints.
fn names(tree: &str) -> impl Iterator<Item = &str> {
    tree.lines().filter_map(|line| line.split(' ').next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_cargo_deny_is_the_same() {
        let text =
            std::fs::read_to_string(crate::run::root().join("deny.toml")).expect("deny.toml");
        for name in BANNED {
            assert!(
                text.contains(&format!("{{ crate = \"{name}\" }}")),
                "{name}"
            );
        }
        for target in TARGETS {
            assert!(text.contains(&format!("    \"{target}\",\n")), "{target}");
        }
    }

    #[test]
    fn names_are_the_first_words() {
        let tree = "bytes v1.0.0\ncc v1.2.3 (*)\n";
        assert_eq!(names(tree).collect::<Vec<_>>(), ["bytes", "cc"]);
    }
}
