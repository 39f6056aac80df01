//! The units of systemd: installed, started at boot, and none of them failed.

use std::path::Path;

use super::ask::{ask, ask_well};
use super::finding::Finding;
use super::ground::Ground;

const NAME: &str = "systemd";
const NODE: &str = "wolfdisk.service";

/// What systemd says.
#[derive(Clone, Debug, Default)]
struct Facts {
    /// `enabled`, `disabled`, ..; none: there is no such unit.
    node: Option<String>,
    /// Units that failed.
    failed: Vec<String>,
    /// It runs.
    is_active: bool,
    /// A daemon of this data directory runs, however it was started.
    daemons_run: bool,
}

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    if !Path::new("/run/systemd/system").is_dir() {
        return vec![Finding::ok(
            NAME,
            "not here: the node runs in the foreground (wolfdiskctl up)",
        )];
    }
    if !ground.is_system() {
        return vec![Finding::ok(
            NAME,
            format!(
                "not for {}: its node runs in the foreground (wolfdiskctl up)",
                ground.dir()
            ),
        )];
    }
    // It is said also where the code is not 0, as of a unit that is disabled.
    let enabled = ask("systemctl", &["is-enabled", NODE]).map(|said| said.text.trim().to_owned());
    let listed = ask_well(
        "systemctl",
        &[
            "list-units",
            "--all",
            "--plain",
            "--no-legend",
            "--state=failed",
            "wolfdisk*",
        ],
    );
    let active = ask_well("systemctl", &["is-active", NODE]);
    judge(&Facts {
        node: enabled.filter(|state| !state.is_empty() && state != "not-found"),
        failed: failed(&listed.unwrap_or_default()),
        is_active: active.is_some(),
        daemons_run: !ground.running.is_empty(),
    })
}

/// The first word of each line.
fn failed(listed: &str) -> Vec<String> {
    let words = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    words.map(str::to_owned).collect()
}

fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> = facts
        .failed
        .iter()
        .map(|unit| {
            Finding::fail(
                NAME,
                format!("{unit} failed"),
                format!("see why: journalctl -eu '{unit}'; then: systemctl restart wolfdisk"),
            )
        })
        .collect();
    match facts.node.as_deref() {
        None if facts.daemons_run => found.push(Finding::ok(NAME, "no units are installed; the node runs without")),
        None => found.push(Finding::warn(
            NAME,
            "no units are installed: the node does not start at boot",
            "install them by deploy/setup.sh or the package, or run the node in the foreground: wolfdiskctl up",
        )),
        Some("enabled") if facts.failed.is_empty() => {
            let now = if facts.is_active { "runs" } else { "does not run" };
            found.push(Finding::ok(NAME, format!("{NODE} is started at boot and {now}")));
        }
        Some("enabled") => {}
        Some(state) => found.push(Finding::warn(
            NAME,
            format!("{NODE} is {state}: it is not started at boot"),
            "run: systemctl enable wolfdisk",
        )),
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn levels(facts: &Facts) -> Vec<Level> {
        judge(facts).into_iter().map(|one| one.level).collect()
    }

    #[test]
    fn each_state_has_its_advice() {
        let enabled = Facts {
            node: Some("enabled".to_owned()),
            is_active: true,
            daemons_run: true,
            ..Facts::default()
        };
        assert_eq!(levels(&enabled), [Level::Ok]);
        let disabled = Facts {
            node: Some("disabled".to_owned()),
            ..enabled.clone()
        };
        assert_eq!(levels(&disabled), [Level::Warn]);
        assert_eq!(levels(&Facts::default()), [Level::Warn]);
        let foreground = Facts {
            daemons_run: true,
            ..Facts::default()
        };
        assert_eq!(levels(&foreground), [Level::Ok]);
        let broken = Facts {
            failed: failed("wolfdisk-meta.service loaded failed failed WolfDisk index daemon\n"),
            ..enabled
        };
        assert_eq!(levels(&broken), [Level::Fail]);
        assert_eq!(judge(&broken)[0].says, "wolfdisk-meta.service failed");
    }
}
