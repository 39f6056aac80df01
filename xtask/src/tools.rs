//! Test suites of others that come as crates, and S3 clients that come from PyPI: built and installed once into
//! `<target>/tools`, again when missing.

use std::path::Path;
use std::process::Command;

use crate::run::{Failure, cargo, output, succeeds, target_directory};

/// A crate with a program of the same name, and its version: what a suite checks must not change by
/// itself.
const SUITES: [(&str, &str); 2] = [("pjdfstest", "0.2.2"), ("fsx", "0.3.2")];

/// S3 clients: the newest, since that is what people will use. `crt` is where boto3 has some checksums from.
const CLIENTS: [&str; 1] = ["boto3[crt]"];

/// Builds and installs those that are missing.
///
/// # Errors
/// One cannot be built.
pub fn install() -> Result<(), Failure> {
    let root = target_directory()?.join("tools");
    for (name, version) in SUITES {
        if is_there(&root, name, version) {
            continue;
        }
        let mut install = cargo(&["install", "--locked", "--debug", "--force"]);
        install.arg(format!("{name}@={version}"));
        install.arg("--root").arg(&root);
        install.arg("--target-dir").arg(root.join("build"));
        if !succeeds(&mut install)? {
            return Err(Failure::new(format!("{name} {version} cannot be built")));
        }
    }
    Ok(())
}

/// Installs S3 clients in an environment of their own, if there is none.
///
/// # Errors
/// It cannot be made, or one cannot be had.
pub fn install_clients() -> Result<(), Failure> {
    let root = target_directory()?.join("tools/s3");
    let done = root.join("installed");
    let wanted = CLIENTS.join("\n");
    if std::fs::read_to_string(&done).is_ok_and(|said| said == wanted) {
        return Ok(());
    }
    let made = succeeds(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&root),
    )?;
    let mut install = Command::new(root.join("bin/python3"));
    install.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    let installed = made && succeeds(install.args(CLIENTS))?;
    let noted = installed && std::fs::write(&done, wanted).is_ok();
    match noted {
        true => Ok(()),
        false => Err(Failure::new(
            "the S3 clients of the tests cannot be installed",
        )),
    }
}

fn is_there(root: &Path, name: &str, version: &str) -> bool {
    let program = root.join("bin").join(name);
    let said = output(Command::new(program).arg("--version"));
    said.is_some_and(|said| said.trim() == format!("{name} {version}"))
}
