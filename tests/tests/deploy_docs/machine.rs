//! A machine that blocks are run on: a shell that lasts as long as the document, so that what one block sets, the next
//! has, and the files in which the blocks and what they print are.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use wolfdisk_tests::{Host, Sandbox, System, program, repository, run};

use super::document::Block;

/// Where the files of the blocks are on every machine.
const BLOCKS: &str = "/var/lib/blocks";
/// What a source tree holds that was built, on a machine that is booted.
const TREE: &str = "root/wolfdisk";
const PROGRAMS: [&str; 5] = [
    "wolfdiskctl",
    "wolfdisk-meta",
    "wolfdisk-chunkd",
    "wolfdisk-fuse",
    "wolfdisk-s3",
];

/// See the module. Ends with everything that runs on it.
pub struct Machine {
    kind: Kind,
    /// The folder of the blocks, from outside.
    blocks: PathBuf,
}

enum Kind {
    Sandbox(Sandbox),
    Booted { _system: System, shell: Child },
}

/// How far a block is.
pub enum Progress {
    Goes,
    Done,
    /// With what it says about that.
    Ended(String),
}

/// A block that was begun.
pub struct Begun {
    path: PathBuf,
}

impl Machine {
    /// A machine on a network, with folders of its own and a home that all share: what people carry from one to another is
    /// there already.
    pub fn on(host: &Host, name: &str, hosts: &str, folder: &Path, home: &Path) -> Machine {
        let sandbox = Sandbox::open(host, name, hosts, folder, home);
        Machine::new(Kind::Sandbox(sandbox), folder)
    }

    /// A Debian, in whose `/root/wolfdisk` a source tree is that was built, and packed.
    pub fn booted(name: &str) -> Machine {
        let system = System::boot(name);
        let tree = system.root().join(TREE);
        let (release, dist) = (tree.join("target/release"), tree.join("target/dist"));
        for folder in [&release, &dist] {
            fs::create_dir_all(folder).expect("a directory");
        }
        for name in PROGRAMS {
            fs::copy(program(name), release.join(name)).expect("copied");
        }
        let package = program("dist/wolfdisk.deb");
        fs::copy(package, dist.join("wolfdisk.deb")).expect("copied");
        let deploy = repository().join("deploy");
        let copied = run(Command::new("cp").arg("-a").args([&deploy, &tree]));
        assert_eq!(copied.code, Some(0), "{copied:?}");
        let mut shell = system.command(
            "export PATH=/usr/local/sbin:/usr/local/bin:$PATH; cd /root/wolfdisk; exec bash -euo pipefail",
        );
        let shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let root = system.root().to_owned();
        Machine::new(
            Kind::Booted {
                _system: system,
                shell,
            },
            &root,
        )
    }

    fn new(kind: Kind, root: &Path) -> Machine {
        let blocks = root.join(BLOCKS.trim_start_matches('/'));
        fs::create_dir_all(&blocks).expect("a directory");
        Machine { kind, blocks }
    }

    /// Begins a block; there is one of each line.
    pub fn begin(&mut self, block: &Block) -> Begun {
        let (name, path) = (
            block.line.to_string(),
            self.blocks.join(block.line.to_string()),
        );
        fs::write(&path, &block.script).expect("written");
        let file = format!("{BLOCKS}/{name}");
        let how = match block.stays {
            false => format!("source {file} </dev/null >{file}.out 2>&1; : >{file}.ended\n"),
            true => format!(
                "{{ bash -euo pipefail {file} || true; : >{file}.ended; }} </dev/null >{file}.out 2>&1 &\n"
            ),
        };
        let stdin = self.shell().stdin.as_mut().expect("a pipe");
        // A shell that has ended is found out by whoever waits for the block.
        drop(stdin.write_all(how.as_bytes()));
        Begun { path }
    }

    /// How far a block is.
    pub fn look(&mut self, begun: &Begun) -> Progress {
        // Before the file, which may be made just before it ends.
        let shell = self.shell().try_wait().expect("a child");
        match (begun.path.with_extension("ended").exists(), shell) {
            (true, _) => Progress::Done,
            (false, Some(status)) => Progress::Ended(status.to_string()),
            (false, None) => Progress::Goes,
        }
    }

    fn shell(&mut self) -> &mut Child {
        match &mut self.kind {
            Kind::Sandbox(sandbox) => sandbox.shell(),
            Kind::Booted { shell, .. } => shell,
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Kind::Booted { shell, .. } = &mut self.kind {
            drop(shell.kill());
            drop(shell.wait());
        }
    }
}

impl Begun {
    /// What it printed so far, on standard output and standard error, as a terminal shows it.
    pub fn printed(&self) -> String {
        let bytes = fs::read(self.path.with_extension("out")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
