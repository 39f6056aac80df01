//! Where the programs come from, and that they are those that were meant.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wolfdisk_tests::{Background, Outcome, free_port, program, run, sh, wait_until};

use crate::setting::{Setting, assert_says, script, this_machine};

/// A package of the programs, as a tarball with its checksum beside it and as a `.deb`; without what debuggers need, which is
/// most of them.
fn packed(setting: &Setting) -> PathBuf {
    let folder = setting.scratch().directory("packed");
    sh(
        &folder,
        "mkdir -p wolfdisk/bin deb/usr/bin deb/usr/sbin deb/usr/lib/systemd/system deb/DEBIAN
         for program in ../programs/wolfdisk*; do strip -o wolfdisk/bin/${program##*/} $program; done
         cp -r ../programs/systemd ../programs/mount.wolfdisk wolfdisk/
         cp wolfdisk/bin/* deb/usr/bin/
         cp wolfdisk/mount.wolfdisk deb/usr/sbin/
         cp wolfdisk/systemd/* deb/usr/lib/systemd/system/
         printf 'Package: wolfdisk\\nVersion: 0.0.1\\nArchitecture: all\\nMaintainer: none\\nDescription: for a test\\n' >deb/DEBIAN/control
         tar -cf wolfdisk.tar wolfdisk
         dpkg-deb --build -Znone deb wolfdisk.deb
         for file in wolfdisk.tar wolfdisk.deb; do sha256sum $file >$file.sha256; done",
    );
    folder
}

/// The script with this source alone.
fn from(setting: &Setting, source: &str, arguments: &[&str]) -> Outcome {
    setting.run(&[&["--yes", "--from", source], arguments].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn a_file_is_installed_when_it_is_the_one_that_was_meant() {
    let setting = Setting::new();
    let folder = packed(&setting);
    let (tarball, sum) = (
        folder.join("wolfdisk.tar"),
        folder.join("wolfdisk.tar.sha256"),
    );
    let good = fs::read_to_string(&sum).expect("a checksum");
    let before = setting.files();
    for (written, says) in [
        (good.replacen(|_: char| true, "x", 1), "is no SHA-256"),
        (format!("{:064}\n", 0), "is not the file that was meant"),
        (String::new(), "is no SHA-256"),
    ] {
        fs::write(&sum, written).expect("written");
        assert_says(&from(&setting, text(&tarball), &[]), &[says]);
    }
    fs::remove_file(&sum).expect("removed");
    assert_says(
        &from(&setting, text(&tarball), &[]),
        &["wolfdisk.tar.sha256", "--sha256"],
    );
    assert_eq!(setting.files(), before);

    let port = free_port();
    let mut server = Command::new("python3");
    server
        .args([
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            &port.to_string(),
        ])
        .current_dir(&folder);
    let _server = Background::start(&mut server, "server", setting.scratch());
    wait_until("it serves", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let url = format!("http://127.0.0.1:{port}/wolfdisk.tar");
    assert_says(&from(&setting, &url, &[]), &["over http", "--sha256"]);
    let missing = format!("http://127.0.0.1:{port}/none.tar");
    assert_says(
        &from(&setting, &missing, &["--sha256", &good[..64]]),
        &["cannot fetch", "404"],
    );
    assert_eq!(setting.files(), before);
    let outcome = from(&setting, &url, &["--sha256", &good[..64]]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let installed = setting.root().join("usr/local/bin/wolfdiskctl");
    let version = run(Command::new(installed).arg("--version"));
    assert_eq!(version.code, Some(0), "{version:?}");
    // The same from the file it was made of changes nothing.
    let outcome = from(&setting, text(&tarball), &["--sha256", &good[..64]]);
    assert!(outcome.stdout.contains("nothing to change"), "{outcome:?}");

    // A package is for the system itself, which this does not touch.
    let package = folder.join("wolfdisk.deb");
    assert_says(&from(&setting, text(&package), &[]), &["not for --root"]);
    let alone = this_machine();
    let plan = run(Command::new(script()).args(["--yes", "--dry-run", "--from", text(&package)]));
    drop(alone);
    assert!(
        plan.stdout
            .contains(&format!("would install {}", text(&package))),
        "{plan:?}"
    );
    assert!(!plan.stdout.contains("would write /usr"), "{plan:?}");
}

#[test]
fn the_tarball_of_a_release_is_one_of_them() {
    let setting = Setting::new();
    let tarball = program("dist/wolfdisk.tar.gz");
    let outcome = from(&setting, text(&tarball), &[]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for path in [
        "usr/local/bin/wolfdisk-fuse",
        "usr/local/share/man/man1/wolfdiskctl.1.gz",
        "usr/local/share/fish/vendor_completions.d/wolfdiskctl.fish",
        "usr/local/share/bash-completion/completions/wolfdisk",
        "usr/local/share/zsh/site-functions/_wolfdiskctl",
        "etc/systemd/system/wolfdisk.service",
        "sbin/mount.wolfdisk",
    ] {
        assert!(setting.root().join(path).exists(), "{path}");
    }
    let again = from(&setting, text(&tarball), &[]);
    assert!(again.stdout.contains("nothing to change"), "{again:?}");
    let gone = setting.run(&["--yes", "--uninstall"]);
    assert_eq!(gone.code, Some(0), "{gone:?}");
    // Only the configuration and the data stay.
    let left = run(Command::new("find").current_dir(setting.root()).args([
        "sbin",
        "usr",
        "etc/systemd",
        "-name",
        "*wolfdisk*",
        "!",
        "-type",
        "d",
    ]));
    assert_eq!((left.code, left.stdout.as_str()), (Some(0), ""));
}

#[test]
fn what_holds_no_programs_is_refused() {
    let setting = Setting::new();
    let empty = setting.scratch().directory("empty");
    let empty = text(&empty);
    let before = setting.files();
    assert_says(&from(&setting, "/nowhere", &[]), &["there is no /nowhere"]);
    assert_says(
        &from(&setting, "installed", &[]),
        &["is not installed here"],
    );
    assert_says(
        &from(&setting, empty, &[]),
        &["no wolfdiskctl", "cargo build"],
    );
    fs::write(format!("{empty}/notes.txt"), "x").expect("written");
    let notes = format!("{empty}/notes.txt");
    let sum = sh(
        Path::new(empty),
        "sha256sum notes.txt | tee notes.txt.sha256",
    );
    assert_says(&from(&setting, &notes, &[]), &["no .tar.gz and no .deb"]);
    let broken = format!("{empty}/broken.tar.gz");
    fs::copy(&notes, &broken).expect("copied");
    assert_says(
        &from(&setting, &broken, &["--sha256", &sum[..64]]),
        &["cannot unpack"],
    );
    // Of another machine, or damaged.
    sh(
        Path::new(empty),
        "cp -r ../programs other; rm other/wolfdiskctl; head -c 5000 ../programs/wolfdiskctl >other/wolfdiskctl; chmod 755 other/wolfdiskctl",
    );
    assert_says(
        &from(&setting, &format!("{empty}/other"), &[]),
        &["does not run on this machine"],
    );
    fs::remove_file(setting.programs().join("mount.wolfdisk")).expect("removed");
    setting.refused(&[], &["has no mount.wolfdisk"]);
    fs::remove_file(setting.programs().join("systemd/wolfdisk.service")).expect("removed");
    setting.refused(&[], &["no systemd/wolfdisk.service"]);
    fs::remove_file(setting.programs().join("wolfdisk-s3")).expect("removed");
    assert_eq!(setting.files(), before);
}
