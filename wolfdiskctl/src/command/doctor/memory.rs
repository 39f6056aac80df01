//! Memory that is left, of the machine or of the container.

use super::finding::Finding;
use crate::output::bytes;

const NAME: &str = "memory";
/// A node with a mount takes about as much as this when it works.
const WANTED_BYTES: u64 = 256 << 20;

pub(super) fn check() -> Vec<Finding> {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let group = |file: &str| {
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    vec![judge(
        available(&told),
        left(group("memory.max"), group("memory.current")),
    )]
}

/// What a container that is limited may still take.
fn left(limit: Option<u64>, used: Option<u64>) -> Option<u64> {
    Some(limit?.saturating_sub(used?))
}

fn available(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let line = lines.find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn judge(machine: Option<u64>, container: Option<u64>) -> Finding {
    let least = machine.into_iter().chain(container).min();
    match least {
        None => Finding::warn(NAME, "what is left is not known", "mount /proc"),
        Some(left) if left < WANTED_BYTES => Finding::warn(
            NAME,
            format!(
                "{} left: a daemon may be killed for want of it",
                bytes(left)
            ),
            "end what is not needed, add memory, or set cache.size_bytes lower",
        ),
        Some(left) => Finding::ok(NAME, format!("{} left", bytes(left))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn the_smaller_of_machine_and_container_counts() {
        let text = "MemTotal:  16 kB\nMemAvailable:   2097152 kB\nCached: 3 kB\n";
        assert_eq!(available(text), Some(2 << 30));
        assert_eq!(available("MemTotal: 16 kB\n"), None);
        assert_eq!(left(Some(10), Some(3)), Some(7));
        assert_eq!(left(None, Some(3)), None);
        for (machine, container, expected) in [
            (Some(2 << 30), None, Level::Ok),
            (Some(2 << 30), Some(1 << 20), Level::Warn),
            (Some(1 << 20), None, Level::Warn),
            (None, None, Level::Warn),
        ] {
            assert_eq!(judge(machine, container).level, expected);
        }
    }
}
