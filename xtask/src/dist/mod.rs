//! `cargo xtask dist`: the packages.

mod archive;
mod container;
mod debian;
mod manual;
mod next;
mod portable;
mod rpm;
mod stripped;
mod tarball;

use std::path::{Path, PathBuf};

use crate::run::{Failure, NODE, build_programs, target_directory};

/// Of all programs.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds the programs as they are released and puts them into packages.
pub fn dist(arguments: &[String]) -> Result<(), Failure> {
    if let Some(word) = arguments.first() {
        return Err(Failure::usage(format!(
            "dist takes no arguments; got `{word}`"
        )));
    }
    // Before what takes minutes.
    debian::must_know_libraries()?;
    let built = build_programs("release", &NODE)?;
    let share = manual::write("release")?;
    let target = target_directory()?;
    let folder = target.join("dist");
    let image = format!("wolfdisk-{VERSION}-oci.tar");
    debian::package(&target, "release", None, &folder.join("wolfdisk.deb"))?;
    let programs = stripped::copy(&built)?;
    rpm::package(&target, "release", None, &folder.join("wolfdisk.rpm"))?;
    container::make(&programs, VERSION, &folder.join(&image))?;
    let tree = format!("wolfdisk-{VERSION}-{}", std::env::consts::ARCH);
    let portable = stripped::copy(&portable::build()?)?;
    tarball::make(&portable, &share, &folder, &tree)?;
    let tarball = format!("{tree}.tar.gz");
    checksums(&folder, &["wolfdisk.deb", "wolfdisk.rpm", &tarball, &image])
}

/// Two packages of each kind of what was built with `profile`, the second of the release after this one for an upgrade from
/// the first, the tarball and the image; gives their folder.
pub fn for_tests(profile: &str) -> Result<PathBuf, Failure> {
    let share = manual::write(profile)?;
    let target = target_directory()?;
    let built = target.join(profile);
    let folder = built.join("dist");
    let later = next::build(profile, &share)?;
    stripped::copy(&later.join(profile))?;
    let programs = stripped::copy(&built)?;
    for (target, version, name) in [
        (&target, None, "wolfdisk"),
        (&later, Some(next::VERSION), "wolfdisk-next"),
    ] {
        debian::package(
            target,
            profile,
            version,
            &folder.join(format!("{name}.deb")),
        )?;
        rpm::package(
            target,
            profile,
            version,
            &folder.join(format!("{name}.rpm")),
        )?;
    }
    container::make(&programs, VERSION, &folder.join("wolfdisk-oci.tar"))?;
    // Of programs with libraries, which takes no second build.
    tarball::make(&programs, &share, &folder, "wolfdisk")?;
    checksums(&folder, &["wolfdisk.tar.gz"])?;
    Ok(folder)
}

/// Writes `SHA256SUMS`, and a file beside each for `setup.sh`; says what there is.
fn checksums(folder: &Path, files: &[&str]) -> Result<(), Failure> {
    let mut all = String::new();
    for file in files {
        let path = folder.join(file);
        let line = format!("{}  {file}\n", archive::sha256(&path)?);
        archive::write(&folder.join(format!("{file}.sha256")), &line)?;
        all += &line;
        println!("{}", path.display());
    }
    archive::write(&folder.join("SHA256SUMS"), &all)
}
