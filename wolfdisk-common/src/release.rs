//! The release that the running program is of: the version of the package that its `main` is built in.
//!
//! Libraries ask here instead of for their own version, so that a program says one release wherever it names it: on its
//! command line, to other machines and in what it reports.

use std::sync::OnceLock;

static RELEASE: OnceLock<&str> = OnceLock::new();

/// Says it, as the first thing in `main`. The first counts.
pub fn set(version: &'static str) {
    let _ = RELEASE.set(version);
}

/// The release; of a program that did not say it, as tests and tools, the version of this library.
#[must_use]
pub fn release() -> &'static str {
    RELEASE.get().copied().unwrap_or(env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_first_counts() {
        assert_eq!(release(), env!("CARGO_PKG_VERSION"));
        set("9.9.9");
        set("9.9.8");
        assert_eq!(release(), "9.9.9");
    }
}
