//! Where a node keeps its files and sockets: the one table of names below the data directory.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The data directory of the machine's own node; its sockets are in [`SYSTEM_RUN_DIR`].
pub const SYSTEM_DATA_DIR: &str = "/var/lib/wolfdisk";
/// See [`SYSTEM_DATA_DIR`].
pub const SYSTEM_RUN_DIR: &str = "/run/wolfdisk";
/// Where root's node is mounted if nothing else is said.
const SYSTEM_MOUNT: &str = "/mnt/wolfdisk";

/// All paths of one data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    data_dir: PathBuf,
    run_dir: PathBuf,
}

impl Paths {
    /// The paths of the data directory `data_dir`, which is absolute.
    ///
    /// The system's data directory has its sockets in `/run/wolfdisk`, whoever asks: a tool of another
    /// user finds the daemons there. Any other has them in its own `run`.
    pub fn new(data_dir: PathBuf) -> Paths {
        let run_dir = match data_dir == Path::new(SYSTEM_DATA_DIR) {
            true => PathBuf::from(SYSTEM_RUN_DIR),
            false => data_dir.join("run"),
        };
        Paths { data_dir, run_dir }
    }

    /// The same with the sockets in another directory: for daemons that only their starter speaks to.
    pub fn with_sockets_in(self, run_dir: PathBuf) -> Paths {
        Paths { run_dir, ..self }
    }

    /// The data directory itself.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The directory of the sockets. May vanish at a reboot: see [`Paths::create_run_dir`].
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// Where wolfdisk-meta listens.
    pub fn meta_socket(&self) -> PathBuf {
        self.run_dir.join("meta.sock")
    }

    /// Where wolfdisk-chunkd listens.
    pub fn chunkd_socket(&self) -> PathBuf {
        self.run_dir.join("chunkd.sock")
    }

    /// What wolfdisk-meta keeps.
    pub fn meta_dir(&self) -> PathBuf {
        self.data_dir.join("meta")
    }

    /// What wolfdisk-chunkd keeps.
    pub fn chunks_dir(&self) -> PathBuf {
        self.data_dir.join("chunks")
    }

    /// Held by wolfdisk-meta while it runs.
    pub fn meta_lock(&self) -> PathBuf {
        self.meta_dir().join("lock")
    }

    /// Held by wolfdisk-chunkd while it runs.
    pub fn chunkd_lock(&self) -> PathBuf {
        self.chunks_dir().join("lock")
    }

    /// Held by whoever starts and stops the daemons of this directory.
    pub fn supervisor_lock(&self) -> PathBuf {
        self.data_dir.join("lock")
    }

    /// The version of everything below the data directory.
    pub fn format(&self) -> PathBuf {
        self.data_dir.join("format")
    }

    /// Who this node is.
    pub fn identity(&self) -> PathBuf {
        self.data_dir.join("identity.toml")
    }

    /// The key that nodes of one cluster share.
    pub fn cluster_key(&self) -> PathBuf {
        self.data_dir.join("cluster.key")
    }

    /// The private static key of this machine, whatever it is in a cluster.
    pub fn node_key(&self) -> PathBuf {
        self.data_dir.join("node.key")
    }

    /// Who this machine is in a cluster that it joined and of which it holds no state.
    pub fn member(&self) -> PathBuf {
        self.data_dir.join("member.toml")
    }

    /// Where nodes were last seen.
    pub fn seen_nodes(&self) -> PathBuf {
        self.data_dir.join("nodes.seen")
    }

    /// The S3 access key that the node made.
    pub fn access_key(&self) -> PathBuf {
        self.data_dir.join("s3.key")
    }

    /// Creates the directory of the sockets if it is not there. Its parent must be.
    ///
    /// # Errors
    /// What the system says.
    pub fn create_run_dir(&self) -> io::Result<()> {
        match std::fs::DirBuilder::new().mode(0o755).create(&self.run_dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }
}

/// `path` from the root, without asking the file system: what it names need not exist.
pub fn absolute(path: &Path) -> PathBuf {
    // Fails only for an empty path or a vanished working directory; the path then says so when used.
    std::path::absolute(path)
        .unwrap_or_else(|_| path.to_owned())
        .components()
        .collect()
}

/// The home directory of this user, as the environment says.
pub fn home() -> Option<PathBuf> {
    std::env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
}

/// Whether this process belongs to the machine's own node: it is root's, or a daemon that systemd gave its data directory
/// (`StateDirectory=`), whoever it runs as.
pub fn is_of_the_machine() -> bool {
    let given = std::env::var_os("STATE_DIRECTORY");
    nix::unistd::geteuid().is_root() || given.is_some_and(|given| given == SYSTEM_DATA_DIR)
}

/// The data directory if nothing is configured; `None` without a home.
pub fn default_data_dir() -> Option<PathBuf> {
    if is_of_the_machine() {
        return Some(PathBuf::from(SYSTEM_DATA_DIR));
    }
    home().map(|home| home.join(".local/share/wolfdisk"))
}

/// The mount point if nothing is configured; `None` without a home.
pub fn default_mount() -> Option<PathBuf> {
    if nix::unistd::geteuid().is_root() {
        return Some(PathBuf::from(SYSTEM_MOUNT));
    }
    home().map(|home| home.join("wolfdisk"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_directory_has_its_sockets_under_run() {
        let system = Paths::new(absolute(Path::new("/var/lib/wolfdisk/")));
        assert_eq!(system.meta_socket(), Path::new("/run/wolfdisk/meta.sock"));
        let other = Paths::new("/srv/w".into());
        assert_eq!(other.chunkd_socket(), Path::new("/srv/w/run/chunkd.sock"));
        assert_eq!(other.meta_lock(), Path::new("/srv/w/meta/lock"));
    }

    #[test]
    fn a_relative_path_is_taken_from_here() {
        let here = std::env::current_dir().expect("a working directory");
        assert_eq!(absolute(Path::new("./x/")), here.join("x"));
    }
}
