//! The clock: whether it is kept right, and whether it can be right.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::ask::ask_well;
use super::finding::Finding;
use super::ground::Ground;
use crate::command::standing::Standing;

const NAME: &str = "clock";
/// systemd-timesyncd touches it when it has set the clock.
const TIMESYNC: &str = "/run/systemd/timesync/synchronized";

pub(super) fn check(ground: Option<&Ground>) -> Vec<Finding> {
    let told = ask_well("timedatectl", &["show", "-p", "NTPSynchronized", "--value"]);
    let synchronised = match told.as_deref() {
        Some("yes") => Some(true),
        _ if Path::new(TIMESYNC).exists() => Some(true),
        Some("no") => Some(false),
        _ => None,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = now.map_or(0, |since| since.as_secs());
    let made_s = ground.and_then(|ground| match &ground.standing {
        Ok(Standing::Node(own)) => Some(own.created_s),
        Ok(Standing::Member(_)) | Err(_) => None,
    });
    vec![judge(synchronised, now_s, made_s)]
}

fn judge(synchronised: Option<bool>, now_s: u64, made_s: Option<u64>) -> Finding {
    let todo = "run: timedatectl set-ntp true (or install chrony)";
    if made_s.is_some_and(|made_s| made_s > now_s) {
        return Finding::fail(
            NAME,
            "it is behind the time at which this node was made: it is wrong",
            todo,
        );
    }
    match synchronised {
        Some(true) => Finding::ok(NAME, "synchronised"),
        Some(false) => Finding::warn(
            NAME,
            "it is not synchronised; times of files will differ between machines",
            todo,
        ),
        None => Finding::warn(NAME, "whether it is synchronised cannot be told here", todo),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_clock_behind_the_data_is_wrong() {
        for (synchronised, now_s, made_s, expected) in [
            (Some(true), 10, None, Level::Ok),
            (Some(true), 10, Some(10), Level::Ok),
            (Some(true), 10, Some(11), Level::Fail),
            (Some(false), 10, Some(9), Level::Warn),
            (None, 10, None, Level::Warn),
        ] {
            assert_eq!(judge(synchronised, now_s, made_s).level, expected);
        }
    }
}
