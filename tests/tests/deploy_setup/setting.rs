//! A tree to set up, a folder of programs to do it with, and ways to run the script.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wolfdisk_tests::{Outcome, Scratch, program, repository, run};

const PROGRAMS: [&str; 5] = [
    "wolfdiskctl",
    "wolfdisk-meta",
    "wolfdisk-chunkd",
    "wolfdisk-fuse",
    "wolfdisk-s3",
];
/// As packages have it: it names the programs where packages put them.
const UNIT: &str = "[Service]\nType=oneshot\nExecStart=/usr/bin/wolfdiskctl --version\n\n[Install]\nWantedBy=multi-user.target\n";
/// Where it is written when a tree is set up.
pub const CONFIG: &str = "etc/wolfdisk/config.toml";
/// What a tree has when a node was founded in it.
pub const IDENTITY: &str = "var/lib/wolfdisk/identity.toml";

/// The script under test.
pub fn script() -> PathBuf {
    repository().join("deploy/setup.sh")
}

/// Held while the script runs on this machine itself, where it lets no second one run.
pub fn this_machine() -> MutexGuard<'static, ()> {
    static THIS_MACHINE: Mutex<()> = Mutex::new(());
    THIS_MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See the module.
pub struct Setting {
    scratch: Scratch,
}

impl Setting {
    pub fn new() -> Setting {
        let scratch = Scratch::new();
        scratch.directory("root/etc");
        let units = scratch.directory("programs/systemd");
        fs::write(units.join("wolfdisk.service"), UNIT).expect("written");
        let helper = scratch.path().join("programs/mount.wolfdisk");
        fs::copy(repository().join("deploy/mount.wolfdisk"), helper).expect("copied");
        for name in PROGRAMS {
            symlink(program(name), scratch.path().join("programs").join(name)).expect("linked");
        }
        Setting { scratch }
    }

    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// The tree that is set up.
    pub fn root(&self) -> PathBuf {
        self.path().join("root")
    }

    /// The folder of programs.
    pub fn programs(&self) -> PathBuf {
        self.path().join("programs")
    }

    /// The options that name both.
    pub fn options(&self) -> String {
        format!(
            "--root {} --from {}",
            self.root().display(),
            self.programs().display()
        )
    }

    /// The script on the tree, without a terminal.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("setsid");
        command
            .arg("--wait")
            .arg(script())
            .arg("--root")
            .arg(self.root())
            .args(arguments);
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        run(&mut self.command(arguments))
    }

    /// The same with the folder of programs and defaults, which must succeed.
    pub fn set_up(&self, arguments: &[&str]) -> Outcome {
        let programs = self.programs();
        let from = ["--yes", "--from", programs.to_str().expect("a plain path")];
        let outcome = self.run(&[&from, arguments].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome
    }

    /// The same, which must be refused with a line that holds `fragments` and leave the tree as it was.
    pub fn refused(&self, arguments: &[&str], fragments: &[&str]) {
        let programs = self.programs();
        let from = ["--yes", "--from", programs.to_str().expect("a plain path")];
        let before = self.files();
        let outcome = self.run(&[&from, arguments].concat());
        assert_says(&outcome, fragments);
        assert_eq!(self.files(), before, "{outcome:?}");
    }

    /// What is configured: the lines that are not comments.
    pub fn configured(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root().join(CONFIG)).expect("a configuration");
        text.lines()
            .filter(|line| !line.starts_with('#') && line.contains('='))
            .map(str::to_owned)
            .collect()
    }

    /// All files of the tree with their time of change, and its folders.
    pub fn files(&self) -> Vec<String> {
        let outcome = run(Command::new("find").arg(self.root()).args([
            "-type",
            "d",
            "-printf",
            "%P\n",
            "-o",
            "-printf",
            "%P %T@ %m\n",
        ]));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let mut files: Vec<String> = outcome.stdout.lines().map(str::to_owned).collect();
        files.sort();
        files
    }
}

/// It was refused, in a line that holds all `fragments`.
pub fn assert_says(outcome: &Outcome, fragments: &[&str]) {
    assert!(outcome.code.is_some_and(|code| code != 0), "{outcome:?}");
    let mut lines = outcome.stderr.lines();
    assert!(
        lines.any(|line| fragments.iter().all(|fragment| line.contains(fragment))),
        "no line with {fragments:?}: {outcome:#?}"
    );
}

/// Runs a shell command on a terminal and types answers at its prompts. All that was seen is in `stdout`.
pub fn typed(command: &str, conversation: &[(&str, &str)]) -> Outcome {
    let words = conversation
        .iter()
        .flat_map(|(prompt, typed)| [OsStr::new(prompt), OsStr::new(typed)]);
    run(Command::new("python3")
        .args(["-c", include_str!("terminal.py"), command])
        .args(words))
}
