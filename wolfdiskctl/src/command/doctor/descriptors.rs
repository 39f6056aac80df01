//! How many files a daemon may have open.

use nix::sys::resource::{Resource, getrlimit};

use super::finding::Finding;
use super::ground::Ground;

const NAME: &str = "open files";
/// One for each segment of 256 MiB, and one for each connection: enough for 4 TiB.
const WANTED: u64 = 16 * 1024;

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    let limits = ground.running.iter().filter_map(|one| {
        let text = std::fs::read_to_string(format!("/proc/{}/limits", one.pid)).ok()?;
        Some((one.text(), soft_limit(&text)?))
    });
    let mut limits: Vec<(String, u64)> = limits.collect();
    if limits.is_empty() {
        // A daemon raises its own to the hard one.
        let own = getrlimit(Resource::RLIMIT_NOFILE).map(|(_, hard)| hard);
        limits.extend(own.map(|hard| ("a daemon that is started here".to_owned(), hard)));
    }
    vec![judge(&limits)]
}

fn soft_limit(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let first = line.split_whitespace().next()?;
    match first {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn judge(limits: &[(String, u64)]) -> Finding {
    match limits.iter().min_by_key(|(_, limit)| *limit) {
        Some((who, limit)) if *limit < WANTED => Finding::warn(
            NAME,
            format!("{who} may have {limit} files open: with a large volume that ends"),
            "raise the hard limit: LimitNOFILE=524288 in its unit, or in /etc/security/limits.conf",
        ),
        Some((_, limit)) => Finding::ok(NAME, format!("up to {limit}")),
        None => Finding::ok(NAME, "not limited"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn the_lowest_limit_counts() {
        let text = "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files     \n";
        assert_eq!(soft_limit(text), Some(1024));
        assert_eq!(
            soft_limit("Max open files  unlimited unlimited files"),
            Some(u64::MAX)
        );
        assert_eq!(soft_limit(""), None);
        let of = |name: &str, limit| (name.to_owned(), limit);
        let found = judge(&[of("a", 524_288), of("b", 1024)]);
        assert_eq!(found.level, Level::Warn);
        assert!(found.says.starts_with("b may have 1024"), "{found:?}");
        assert_eq!(judge(&[of("a", 524_288)]).level, Level::Ok);
    }
}
