//! Whether this machine can mount: the device of FUSE, and what ordinary users need besides.

use std::fs::OpenOptions;
use std::path::Path;

use wolfdisk_common::mounts;

use super::ask::ask_well;
use super::finding::Finding;
use super::ground::{Ground, is_root};

const NAME: &str = "fuse";
const DEVICE: &str = "/dev/fuse";
/// Says whether ordinary users may let others in.
const HELPER_CONFIG: &str = "/etc/fuse.conf";
const HELPER_ALLOWS: &str = "user_allow_other";

/// What was found.
#[derive(Clone, Debug)]
struct Facts {
    /// Why the device does not open.
    device: Option<String>,
    /// The kind of container that this is.
    container: Option<String>,
    is_root: bool,
    has_helper: bool,
    /// Others than who mounts are to be let in ..
    wants_others: bool,
    /// .. and may be.
    allows_others: bool,
}

pub(super) fn check(ground: &Ground) -> Vec<Finding> {
    if !ground.plan().is_some_and(|plan| plan.mounts) {
        return vec![Finding::ok(NAME, "not needed: nothing is to be mounted")];
    }
    let opened = OpenOptions::new().read(true).write(true).open(DEVICE);
    let text = std::fs::read_to_string(HELPER_CONFIG).unwrap_or_default();
    judge(&Facts {
        device: opened.err().map(|error| error.to_string()),
        container: container(),
        is_root: is_root(),
        has_helper: mounts::has_helper(),
        wants_others: ground.config.mount.allow_other,
        allows_others: text.lines().any(|line| line.trim() == HELPER_ALLOWS),
    })
}

/// The kind of container that this is, as its manager says.
fn container() -> Option<String> {
    let told = std::fs::read_to_string("/run/systemd/container").ok();
    let told = told.map(|text| text.trim().to_owned());
    let by_file = || {
        let files = [("/run/.containerenv", "podman"), ("/.dockerenv", "docker")];
        let found = files.iter().find(|(file, _)| Path::new(file).exists());
        found.map(|(_, kind)| (*kind).to_owned())
    };
    let by_systemd = || ask_well("systemd-detect-virt", &["--container"]);
    told.or_else(by_file)
        .or_else(by_systemd)
        .filter(|kind| !kind.is_empty() && kind != "none")
}

fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    found.push(match (&facts.device, facts.container.as_deref()) {
        (None, None) => Finding::ok(NAME, format!("{DEVICE} opens")),
        (None, Some(kind)) => Finding::ok(NAME, format!("{DEVICE} opens in this container ({kind})")),
        (Some(why), Some("lxc")) => Finding::fail(
            NAME,
            format!("this container has no {DEVICE} that opens ({why})"),
            "in Proxmox tick Options, Features, FUSE (fuse=1) of the container and start it anew; or mount on the host and \
             bind-mount the directory into the container",
        ),
        (Some(why), Some(kind)) => Finding::fail(
            NAME,
            format!("this container ({kind}) has no {DEVICE} that opens ({why})"),
            format!("give it the device and the right to mount: --device {DEVICE} --cap-add SYS_ADMIN"),
        ),
        (Some(why), None) => Finding::fail(
            NAME,
            format!("there is no {DEVICE} that opens ({why})"),
            "run: modprobe fuse",
        ),
    });
    if !facts.is_root && !facts.has_helper {
        found.push(Finding::fail(
            NAME,
            "fusermount3 is missing, without which only root can mount",
            "run: apt install fuse3 (Fedora: dnf install fuse3)",
        ));
    }
    if !facts.is_root && facts.wants_others && !facts.allows_others {
        found.push(Finding::warn(
            NAME,
            format!("other users cannot enter a mount of this user: {HELPER_CONFIG} has no line `{HELPER_ALLOWS}`"),
            "add that line as root, or set mount.allow_other = false",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn well() -> Facts {
        Facts {
            device: None,
            container: None,
            is_root: true,
            has_helper: true,
            wants_others: true,
            allows_others: false,
        }
    }

    fn levels(facts: &Facts) -> Vec<Level> {
        judge(facts).into_iter().map(|found| found.level).collect()
    }

    #[test]
    fn root_needs_the_device_alone() {
        assert_eq!(levels(&well()), [Level::Ok]);
        let user = Facts {
            is_root: false,
            ..well()
        };
        assert_eq!(levels(&user), [Level::Ok, Level::Warn]);
        let alone = Facts {
            has_helper: false,
            wants_others: false,
            ..user
        };
        assert_eq!(levels(&alone), [Level::Ok, Level::Fail]);
    }

    #[test]
    fn a_container_of_proxmox_is_told_what_to_tick() {
        let without = |container: Option<&str>| Facts {
            device: Some("No such file or directory".to_owned()),
            container: container.map(str::to_owned),
            ..well()
        };
        let todo = |container| judge(&without(container))[0].todo.clone().expect("a fix");
        assert!(todo(Some("lxc")).contains("Options, Features, FUSE"));
        assert!(todo(Some("docker")).contains("--device /dev/fuse"));
        assert!(todo(None).contains("modprobe fuse"));
    }
}
