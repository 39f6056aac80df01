//! Why there is no mount, in one line with the fix.

use std::io;
use std::path::PathBuf;

use wolfdisk_common::config::ConfigError;
use wolfdisk_common::exit::{self, Exit};
use wolfdisk_common::identity::IdentityError;

use crate::options::OptionError;
use crate::subdir::Subdir;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum FuseError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory is that of no node and no member.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A mount option is wrong.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// No directory there.
    #[error("the mount point {} does not exist; create it: mkdir -p {}", .0.display(), .0.display())]
    NoDirectory(PathBuf),
    /// Something else there.
    #[error("the mount point {} is not a directory; name one", .0.display())]
    NotADirectory(PathBuf),
    /// Files there.
    #[error(
        "the mount point {} is not empty; name an empty directory, or add -o nonempty to hide what is in it",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// One of us is there and answers, or hangs.
    #[error(
        "{} is already a WolfDisk mount; use it, or end it first: wolfdiskctl unmount -m {}",
        .0.display(), .0.display()
    )]
    AlreadyMounted(PathBuf),
    /// The mount would hide the data.
    #[error(
        "the mount point {} would hide the data directory {}; name another directory",
        mount.display(), data.display()
    )]
    HidesData {
        /// Where to mount.
        mount: PathBuf,
        /// What it would hide.
        data: PathBuf,
    },
    /// The mount point cannot be looked at.
    #[error("cannot use the mount point {}", path.display())]
    MountPoint {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A dead mount of ours cannot be removed.
    #[error("a dead mount at {} cannot be removed; as root: umount -l {}", path.display(), path.display())]
    Stale {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel has no FUSE, or it was not handed into this container.
    #[error(
        "there is no /dev/fuse; load it: modprobe fuse (in a Proxmox container: Options, Features, FUSE)"
    )]
    NoDevice,
    /// It is there, but not for us.
    #[error("no right to open /dev/fuse; run as root, or let all users: chmod 666 /dev/fuse")]
    DeviceDenied,
    /// An ordinary user needs the helper.
    #[error(
        "fusermount3 is needed to mount as an ordinary user; install it: apt install fuse3, or dnf install fuse3"
    )]
    NoHelper,
    /// What a predecessor left, or is to be left to a successor, cannot be used.
    #[error("the mount cannot outlive its process")]
    Succession(#[source] io::Error),
    /// The volume cannot be served.
    #[error("cannot follow the daemons")]
    Volume(#[source] wolfdisk_client::Error),
    /// The kernel or the helper refused.
    #[error("cannot mount at {}", path.display())]
    Mount {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemons do not answer.
    #[error(
        "the daemons of {} do not answer; start them: wolfdiskctl up -d {}",
        data.display(), data.display()
    )]
    Connect {
        /// Whose.
        data: PathBuf,
        /// What the last try gave.
        source: wolfdisk_client::Error,
    },
    /// The nodes on other machines do not answer.
    #[error("no node of the cluster can be used; see what is known of them: wolfdiskctl status -d {}", .0.display())]
    Unreachable(PathBuf, #[source] wolfdisk_client::Error),
    /// The directory that is to be the root is none.
    #[error("no mount: {place} in the volume {why}")]
    NoSubdir {
        /// How far the path leads.
        place: Subdir,
        /// What is wrong there.
        why: &'static str,
    },
    /// wolfdisk-meta gives no session: it says why.
    #[error("no mount: {0}")]
    Refused(wolfdisk_client::Error),
    /// The file system answered requests wrongly or a thread died.
    #[error("the mount at {} ended by itself", path.display())]
    Session {
        /// Where.
        path: PathBuf,
        /// What the threads gave.
        source: io::Error,
    },
    /// A panic: the line before says where.
    #[error("a bug in wolfdisk-fuse ended the mount; the panic above says where")]
    Panicked,
    /// Some writes could not be written back.
    #[error("not everything could be written back before the end")]
    WriteBack(#[source] wolfdisk_client::Error),
    /// Threads, signals, pipes.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl FuseError {
    /// The exit code of the program.
    pub fn exit(&self) -> Exit {
        match self {
            FuseError::Option(_)
            | FuseError::NoDirectory(_)
            | FuseError::NotADirectory(_)
            | FuseError::NotEmpty(_)
            | FuseError::NoSubdir { .. }
            | FuseError::HidesData { .. } => Exit::Usage,
            FuseError::Identity(error) if error.is_usage() => Exit::Usage,
            FuseError::Connect { .. } | FuseError::Unreachable(..) => Exit::NotRunning,
            other => exit::code_of(other),
        }
    }
}
