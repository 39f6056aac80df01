//! Why an operation on a volume failed, and the one table that turns it into an errno.

use wolfdisk_proto::Failure;

/// The result of an operation on a volume.
pub type Result<T> = std::result::Result<T, Error>;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The operation was refused, as a local file system would refuse it.
    #[error("{}", std::io::Error::from_raw_os_error(*.0))]
    Refused(i32),
    /// A daemon could not be asked, or could not answer.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The handle was never given out or is closed.
    #[error("handle {0} is not open")]
    NoHandle(u64),
    /// Stored bytes are damaged and no good copy was found.
    #[error("inode {ino}: the data at offset {offset} is damaged")]
    Damaged {
        /// The file.
        ino: u64,
        /// Where.
        offset: u64,
    },
    /// Locks held through this handle were lost with the session they belonged to.
    #[error("inode {0}: locks were lost with an expired session")]
    LocksLost(u64),
    /// What is at a key is not what the caller expects: nothing was done.
    #[error("the object has changed")]
    Changed,
    /// The caller was told to stop while it waited.
    #[error("interrupted")]
    Interrupted,
    /// The volume is shut down.
    #[error("the volume is shut down")]
    ShutDown,
    /// A descriptor or a mapping could not be made.
    #[error("{what}: {}", std::io::Error::from_raw_os_error(*.errno))]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        errno: i32,
    },
    /// A daemon's answer breaks the protocol.
    #[error("a daemon's answer is malformed: {0}")]
    Malformed(&'static str),
}

impl Error {
    /// Whether another try to connect may do better: a socket that is not there, a daemon that cannot answer yet.
    pub fn is_passing(&self) -> bool {
        match self {
            Error::Failed(_) => self.errno() == libc::EIO,
            Error::System { .. } => true,
            Error::Refused(_)
            | Error::NoHandle(_)
            | Error::Damaged { .. }
            | Error::LocksLost(_)
            | Error::Changed
            | Error::Interrupted
            | Error::ShutDown
            | Error::Malformed(_) => false,
        }
    }

    /// Wraps what the system said.
    pub(crate) fn system(what: &'static str, error: &std::io::Error) -> Error {
        Error::System {
            what,
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        }
    }

    /// The number a system call returns for it.
    pub fn errno(&self) -> i32 {
        match self {
            Error::Refused(errno) => *errno,
            Error::Failed(failure) => failure_errno(failure),
            Error::NoHandle(_) => libc::EBADF,
            Error::Damaged { .. }
            | Error::LocksLost(_)
            | Error::ShutDown
            | Error::System { .. }
            | Error::Malformed(_) => libc::EIO,
            Error::Changed => libc::ECANCELED,
            Error::Interrupted => libc::EINTR,
        }
    }
}

fn failure_errno(failure: &Failure) -> i32 {
    match failure {
        Failure::Errno(errno) => *errno,
        Failure::StaleSession => libc::ESTALE,
        Failure::Unavailable(_)
        | Failure::Corrupt(_)
        | Failure::Deadline(_)
        | Failure::Disconnected(_) => libc::EIO,
        Failure::Invalid(_) => libc::EINVAL,
        Failure::Unsupported(_) => libc::EOPNOTSUPP,
        Failure::Denied(_) => libc::EACCES,
    }
}
