//! The root of a Debian that tests copy and boot: made once into `<target>/tools`, again when it is missing.

use crate::packages::as_root;
use crate::run::{Failure, succeeds, target_directory};

/// The stable release, from wherever the mirrors are nearest.
const SUITE: &str = "trixie";
const MIRROR: &str = "http://deb.debian.org/debian";
/// Beside the least there is: what boots, what the package depends on, what the tests call.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,fuse3,iproute2";

/// Makes it unless it is there.
///
/// # Errors
/// It cannot be made.
pub fn install() -> Result<(), Failure> {
    let root = target_directory()?.join("tools/debian");
    if root.exists() {
        return Ok(());
    }
    // What was cut short does not count as a root.
    let begun = root.with_extension("begun");
    let failed = || {
        Failure::new(format!(
            "a Debian root cannot be made in {}",
            begun.display()
        ))
    };
    if !succeeds(as_root("rm")?.arg("-rf").arg(&begun))? {
        return Err(failed());
    }
    let mut make = as_root("debootstrap")?;
    make.args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE]);
    let made =
        succeeds(make.arg(&begun).arg(MIRROR))? && succeeds(as_root("mv")?.arg(&begun).arg(&root))?;
    match made {
        true => Ok(()),
        false => Err(failed()),
    }
}
