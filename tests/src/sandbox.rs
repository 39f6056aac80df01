//! A machine that need not boot: namespaces on a host of a [`Lan`](crate::Lan) in which the default paths of a node are
//! private, so that what people type on a machine of their own can be run as it stands.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::command::run;
use crate::lan::Host;
use crate::processes::{descendants, end_of, kill_hard};
use crate::programs::{program, repository};
use crate::wait::DEADLINE;

/// Those of the other daemons; `wolfdiskctl` starts them from the folder that it is in itself.
const DAEMONS: [&str; 4] = [
    "wolfdisk-meta",
    "wolfdisk-chunkd",
    "wolfdisk-fuse",
    "wolfdisk-s3",
];
/// What it has for itself. `/etc` is another one: a copy.
const FOLDERS: [&str; 8] = [
    "mnt",
    "opt/wolfdisk",
    "root",
    "run",
    "srv",
    "tmp",
    "var/lib",
    "log",
];
/// Everybody may make files there.
const TMP_MODE: u32 = 0o1777;

/// See the module. All that runs in it ends with the value.
pub struct Sandbox {
    shell: Child,
}

impl Sandbox {
    /// A machine called `name` that knows the `hosts` by what `/etc/hosts` is to say. Its own folders are made in
    /// `folder`; `home` is `/root`, and may be that of others too.
    pub fn open(host: &Host, name: &str, hosts: &str, folder: &Path, home: &Path) -> Sandbox {
        for path in FOLDERS {
            fs::create_dir_all(folder.join(path)).expect("a directory");
        }
        fs::set_permissions(folder.join("tmp"), PermissionsExt::from_mode(TMP_MODE))
            .expect("permissions");
        let etc = folder.join("etc");
        let copied = run(Command::new("cp").args(["-a", "/etc"]).arg(&etc));
        assert_eq!(copied.code, Some(0), "{copied:?}");
        fs::write(etc.join("hosts"), hosts).expect("written");
        let control = program("wolfdiskctl");
        DAEMONS.iter().for_each(|name| drop(program(name)));
        let programs = control.parent().expect("a folder");
        let log = || File::create(folder.join("log/shell")).expect("a file");
        let shell = host
            .command(Path::new("unshare"))
            .args(["--mount", "--uts", "--pid", "--fork", "--kill-child"])
            .args(["--mount-proc", "bash"])
            .arg(repository().join("tests/src/sandbox.sh"))
            .arg(name)
            .args([folder, home, programs])
            .env_clear()
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .env("PATH", "/opt/wolfdisk:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log())
            .spawn();
        Sandbox {
            shell: shell.expect("nsenter can be started"),
        }
    }

    /// The shell on it, which runs what is written to it and ends at the first command that fails.
    pub fn shell(&mut self) -> &mut Child {
        &mut self.shell
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The first process takes all others of its namespace with it, and is waited for by its parent.
        let below = descendants(self.shell.id());
        below.iter().for_each(|(pid, _)| kill_hard(*pid));
        if end_of(&mut self.shell, DEADLINE).is_none() {
            eprintln!("a sandbox does not end");
            kill_hard(self.shell.id());
        }
    }
}
