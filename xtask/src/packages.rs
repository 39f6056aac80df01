//! The programs that tests use, and the packages of the system that bring them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::run::{Failure, output, succeeds};

/// A program, or a file below a library folder or by its path, and the package that holds it, in Debian and in Fedora.
#[derive(Debug)]
struct Need {
    program: &'static str,
    debian: &'static str,
    fedora: &'static str,
}

const fn need(program: &'static str, debian: &'static str, fedora: &'static str) -> Need {
    Need {
        program,
        debian,
        fedora,
    }
}

/// For all tests.
const NEEDS: &[Need] = &[
    need("cc", "gcc", "gcc"),
    need("fusermount3", "fuse3", "fuse3"),
    need("fio", "fio", "fio"),
    need("setfacl", "acl", "acl"),
    need("setfattr", "attr", "attr"),
    need("strace", "strace", "strace"),
    need("valgrind", "valgrind", "valgrind"),
    need("sqlite3", "sqlite3", "sqlite"),
    need("git", "git", "git"),
    need("openssl", "openssl", "openssl"),
    need("shellcheck", "shellcheck", "ShellCheck"),
    need("dpkg-deb", "dpkg", "dpkg"),
    need("python3", "python3", "python3"),
    need("setpriv", "util-linux", "util-linux"),
    need("qemu-img", "qemu-utils", "qemu-img"),
    need("rsync", "rsync", "rsync"),
    need("initdb", "postgresql", "postgresql-server"),
    need("pgbench", "postgresql", "postgresql-contrib"),
    need("ip", "iproute2", "iproute"),
    need("mkfs.ext4", "e2fsprogs", "e2fsprogs"),
    need("mkfs.xfs", "xfsprogs", "xfsprogs"),
    need("smbd", "samba", "samba"),
    need("smbclient", "smbclient", "samba-client"),
    need("samba/vfs/streams_xattr.so", "samba-vfs-modules", "samba"),
    need("rpcbind", "rpcbind", "rpcbind"),
    need("ganesha.nfsd", "nfs-ganesha", "nfs-ganesha"),
    need(
        "ganesha/libfsalvfs.so",
        "nfs-ganesha-vfs",
        "nfs-ganesha-vfs",
    ),
    need("nfs-cp", "libnfs-utils", "libnfs-utils"),
    need("promtool", "prometheus", "golang-github-prometheus"),
];

/// For the tests of a mounted node alone: file-system suites of others.
const SUITES: &[Need] = &[
    need("dbench", "dbench", "dbench"),
    need("stress-ng", "stress-ng", "stress-ng"),
];

/// For the tests of the S3 endpoint alone: clients that people use.
const CLIENTS: &[Need] = &[
    // Another may come first in the search path, which is not the one of the system.
    need("/usr/bin/aws", "awscli", "awscli2"),
    need("curl", "curl", "curl"),
    need("ensurepip", "python3-venv", "python3"),
    need("npm", "npm", "npm"),
    need("rclone", "rclone", "rclone"),
    need("restic", "restic", "restic"),
    need("s3cmd", "s3cmd", "s3cmd"),
    need("s3fs", "s3fs", "s3fs-fuse"),
];

/// For the tests of packages and documents alone: systems that boot, and what checks dashboards.
const SYSTEMS: &[Need] = &[
    need("debootstrap", "debootstrap", "debootstrap"),
    need("systemd-nspawn", "systemd-container", "systemd-container"),
    need("dpkg-shlibdeps", "dpkg-dev", "dpkg-dev"),
    need("npm", "npm", "npm"),
    // What the documents have people type.
    need("/usr/bin/aws", "awscli", "awscli2"),
    need("hostname", "hostname", "hostname"),
    need("groff", "groff-base", "groff-base"),
    need("lexgrog", "man-db", "man-db"),
    need("zsh", "zsh", "zsh"),
    need("rpm", "rpm", "rpm"),
    need("strip", "binutils", "binutils"),
    need("fish", "fish", "fish"),
];

/// What the chosen groups of tests need beside what all do.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// File-system suites of others.
    pub suites: bool,
    /// S3 clients.
    pub clients: bool,
    /// Systems that boot, and what checks dashboards.
    pub systems: bool,
}

/// Installs what is missing, of the system and of the Rust toolchain.
///
/// # Errors
/// It is missing still; the message says how to install it.
pub fn install(wanted: Wanted) -> Result<(), Failure> {
    install_components()?;
    let suites = if wanted.suites { SUITES } else { &[] };
    let clients = if wanted.clients { CLIENTS } else { &[] };
    let systems = if wanted.systems { SYSTEMS } else { &[] };
    let missing: Vec<&Need> = NEEDS
        .iter()
        .chain(suites)
        .chain(clients)
        .chain(systems)
        .filter(|need| !is_there(need.program))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let debian: Vec<&str> = missing.iter().map(|need| need.debian).collect();
    let fedora: Vec<&str> = missing.iter().map(|need| need.fedora).collect();
    let installed = if is_there("apt-get") {
        let update = succeeds(as_root("apt-get")?.args(["update", "-q"]))?;
        let flags = ["install", "-y", "-q", "--no-install-recommends"];
        update && succeeds(as_root("apt-get")?.args(flags).args(debian))?
    } else if is_there("dnf") {
        succeeds(as_root("dnf")?.args(["install", "-y"]).args(fedora))?
    } else {
        false
    };
    let still: Vec<&str> = missing
        .iter()
        .map(|need| need.program)
        .filter(|name| !is_there(name))
        .collect();
    match installed && still.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "the tests need programs that are missing and could not be installed: {}",
            still.join(", ")
        ))),
    }
}

/// rustfmt and clippy, which a minimal toolchain lacks.
fn install_components() -> Result<(), Failure> {
    let has = |name: &str| output(Command::new("cargo").args([name, "--version"])).is_some();
    let lacks: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(command, _)| !has(command))
        .map(|(_, component)| component)
        .collect();
    if lacks.is_empty() {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    match is_there("rustup") && succeeds(add.args(["component", "add"]).args(&lacks))? {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "the tests need {} of the Rust toolchain; install them with rustup or your distribution",
            lacks.join(" and ")
        ))),
    }
}

/// The program as root.
///
/// # Errors
/// There is no way to be root.
pub fn as_root(program: &str) -> Result<Command, Failure> {
    let is_root = output(Command::new("id").arg("-u")).is_some_and(|text| text.trim() == "0");
    let mut command = match (is_root, is_there("sudo")) {
        (true, _) => Command::new(program),
        (false, true) => {
            let mut sudo = Command::new("sudo");
            sudo.arg(program);
            sudo
        }
        (false, false) => {
            return Err(Failure::new(format!(
                "{program} must run as root, and there is no sudo; run `cargo xtask test` as root once"
            )));
        }
    };
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    Ok(command)
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Ordinary users often lack the first two, where some of the programs are.
    let usual = ["/usr/sbin", "/sbin", "/usr/lib64"].map(PathBuf::from);
    // Debian: libraries by architecture, PostgreSQL by version; the libraries of Python by version everywhere.
    let libraries = folders_in("/usr/lib").chain(folders_in("/usr/lib64"));
    let versions = folders_in("/usr/lib/postgresql").map(|version| version.join("bin"));
    std::env::split_paths(&path)
        .chain(usual)
        .chain(libraries)
        .chain(versions)
        .any(|folder| folder.join(program).exists())
}

/// What is in a folder; nothing if there is no such folder.
fn folders_in(folder: &str) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}
