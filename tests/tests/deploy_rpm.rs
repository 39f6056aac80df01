//! The package for Fedora and its like, by `rpm` into an empty root: what it holds, and what it has done when it is installed,
//! upgraded and erased. On a system of that kind it was not tried.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use wolfdisk_tests::{Outcome, Scratch, program, run, sh};

/// Says how it was called.
const STUB: &str = "#!/bin/sh\necho \"${0##*/} $*\" >>/called\n";
/// What the scripts of the package call.
const CALLED: [&str; 3] = ["systemctl", "systemd-sysusers", "systemd-tmpfiles"];

/// A root that holds no more than the scripts need.
struct Root {
    scratch: Scratch,
}

impl Root {
    fn new() -> Root {
        let scratch = Scratch::new();
        let root = scratch.directory("root");
        sh(
            &root,
            "mkdir -p usr/sbin run/systemd/system
             for program in /bin/sh /bin/ln /bin/rm; do
                 cp --parents --dereference $program $(ldd $program | grep -o '/[^ ]*') .
             done",
        );
        for name in CALLED {
            let stub = root.join("usr/sbin").join(name);
            fs::write(&stub, STUB).expect("written");
            fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).expect("a program");
        }
        Root { scratch }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.scratch.path().join("root").join(path)
    }

    /// What `rpm` says; it succeeds.
    fn rpm(&self, arguments: &[&str]) -> Outcome {
        let mut rpm = Command::new("rpm");
        rpm.arg("--root").arg(self.path(""));
        if arguments != ["-q", "wolfdisk"] {
            // Nothing else is a package in this root.
            rpm.arg("--nodeps");
        }
        let outcome = run(rpm.args(arguments));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome
    }

    /// What was called since this was asked last.
    fn called(&self) -> Vec<String> {
        let log = self.path("called");
        let text = fs::read_to_string(&log).expect("something was called");
        fs::remove_file(&log).expect("removed");
        text.lines().map(str::to_owned).collect()
    }
}

fn package(name: &str) -> String {
    program(&format!("dist/{name}")).display().to_string()
}

/// Mode and owner of each file by its path, from lines of mode, owner and path.
fn files(lines: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for line in lines.lines().filter(|line| !line.starts_with('d')) {
        let (attributes, path) = line.rsplit_once(' ').expect("a path");
        files.insert(
            path.trim_start_matches('.').to_owned(),
            attributes.to_owned(),
        );
    }
    files
}

#[test]
fn it_holds_what_the_other_package_holds() {
    let form = "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\\n]";
    let rpm =
        run(Command::new("rpm").args(["-qp", "--queryformat", form, &package("wolfdisk.rpm")]));
    assert_eq!(rpm.code, Some(0), "{rpm:?}");
    let held = files(&rpm.stdout);
    let deb = sh(
        Path::new("/"),
        &format!(
            "dpkg-deb -c {} | awk '{{ sub(\"^0/0$\", \"root/root\", $2); print $1, $2, $6 }}'",
            package("wolfdisk.deb")
        ),
    );
    let mut expected = files(&deb);
    // A script makes it, for want of a way to say that a file is a link.
    assert!(expected.remove("/usr/bin/wolfdisk").is_some());
    for (debian, fedora) in [
        (
            "/usr/share/zsh/vendor-completions/_wolfdiskctl",
            "/usr/share/zsh/site-functions/_wolfdiskctl",
        ),
        (
            "/usr/share/doc/wolfdisk/copyright",
            "/usr/share/licenses/wolfdisk/LICENSE",
        ),
    ] {
        let attributes = expected.remove(debian).expect("what has another place");
        expected.insert(fedora.to_owned(), attributes);
    }
    assert_eq!(held, expected);
    let config = run(Command::new("rpm").args(["-qpc", &package("wolfdisk.rpm")]));
    assert_eq!(config.stdout, "/etc/wolfdisk/config.toml\n", "{config:?}");
}

#[test]
fn it_is_installed_upgraded_and_erased() {
    let root = Root::new();
    root.rpm(&["-i", &package("wolfdisk.rpm")]);
    let users = [
        "systemd-sysusers wolfdisk.conf",
        "systemd-tmpfiles --create wolfdisk.conf",
    ];
    let reload = ["systemctl daemon-reload"];
    assert_eq!(root.called(), [&users[..], &reload].concat());
    let link = root.path("usr/bin/wolfdisk");
    assert_eq!(
        fs::read_link(&link).expect("a link"),
        Path::new("wolfdiskctl")
    );
    let libraries = "cp --parents --dereference $(ldd usr/bin/wolfdiskctl | grep -o '/[^ ]*') .";
    sh(&root.path(""), libraries);
    let version = run(Command::new("chroot")
        .arg(root.path(""))
        .args(["/usr/bin/wolfdisk", "--version"]));
    assert_eq!(version.code, Some(0), "{version:?}");

    // What an administrator wrote and what is stored stay.
    let config = root.path("etc/wolfdisk/config.toml");
    fs::write(&config, "[node]\nid = \"alpha\"\n").expect("written");
    let format = root.path("var/lib/wolfdisk/format");
    fs::create_dir_all(format.with_file_name("")).expect("a folder");
    fs::write(&format, "1\n").expect("written");
    root.rpm(&["-U", &package("wolfdisk-next.rpm")]);
    let restart = [
        "systemctl is-active --quiet wolfdisk.service",
        "systemctl restart wolfdisk.service",
    ];
    assert_eq!(
        root.called(),
        [&users[..], &reload, &restart, &reload].concat()
    );
    assert_eq!(
        fs::read_to_string(&config).expect("read"),
        "[node]\nid = \"alpha\"\n"
    );
    assert!(
        root.rpm(&["-q", "wolfdisk"])
            .stdout
            .starts_with("wolfdisk-9999.0.0-")
    );
    assert!(link.is_symlink());

    let said = root.rpm(&["-e", "wolfdisk"]);
    assert_eq!(
        root.called(),
        [
            "systemctl disable --now --quiet wolfdisk.service",
            reload[0]
        ]
    );
    assert!(said.stderr.contains("the data stays"), "{said:?}");
    assert!(!root.path("usr/bin/wolfdiskctl").exists() && !link.is_symlink());
    assert!(config.with_extension("toml.rpmsave").exists());
    assert!(format.exists());
}
