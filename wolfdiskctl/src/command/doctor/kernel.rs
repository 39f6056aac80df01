//! The kernel's version.

use super::finding::Finding;

const NAME: &str = "kernel";
/// Since this one the kernel sends again what a mount had read and not answered when its process died.
const KEEPS_MOUNTS: (u32, u32) = (6, 9);

pub(super) fn check() -> Vec<Finding> {
    let told = nix::sys::utsname::uname();
    let release = told.map(|told| told.release().to_string_lossy().into_owned());
    vec![judge(&release.unwrap_or_default())]
}

fn judge(release: &str) -> Finding {
    match version(release) {
        None => Finding::warn(
            NAME,
            format!("its version is not known ({release:?})"),
            "WolfDisk is made for Linux",
        ),
        Some(version) if version < KEEPS_MOUNTS => Finding::warn(
            NAME,
            format!(
                "Linux {release}: a mount ends with its process, and with it what programs have open there"
            ),
            "with Linux 6.9 or newer a mount outlives restarts and crashes of wolfdisk-fuse",
        ),
        Some(_) => Finding::ok(NAME, format!("Linux {release}")),
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|letter: char| !letter.is_ascii_digit());
    let mut number = || parts.next()?.parse().ok();
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn mounts_outlive_their_process_since_6_9() {
        for (release, expected) in [
            ("6.12.48+deb13-amd64", Level::Ok),
            ("6.9.0", Level::Ok),
            ("7.0-rc1", Level::Ok),
            ("6.8.12-4-pve", Level::Warn),
            ("5.15.0", Level::Warn),
            ("", Level::Warn),
            ("plan9", Level::Warn),
        ] {
            assert_eq!(judge(release).level, expected, "{release}");
        }
    }
}
