//! The one table from failures of the volume to what a system call returns.

use fuser::Errno;
use wolfdisk_client::Error;

/// The number for `error`.
///
/// `ENOSYS` never leaves: the kernel takes it as "this file system has no such operation" and stops
/// asking for the life of the mount.
pub fn errno(error: &Error) -> Errno {
    match error.errno() {
        libc::ENOSYS => Errno::EOPNOTSUPP,
        number => Errno::from_i32(number),
    }
}

/// Writes a failure that means trouble to the log, once, with what was tried. Refusals that a local
/// file system would give too are the caller's business and are not logged.
pub fn log(operation: &'static str, ino: u64, error: &Error) {
    match error {
        Error::Refused(_) | Error::Changed | Error::Interrupted | Error::NoHandle(_) => {}
        Error::Failed(_)
        | Error::Damaged { .. }
        | Error::LocksLost(_)
        | Error::ShutDown
        | Error::System { .. }
        | Error::Malformed(_) => tracing::warn!(operation, ino, %error, "request failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enosys_never_reaches_the_kernel() {
        assert_eq!(errno(&Error::Refused(libc::ENOSYS)), Errno::EOPNOTSUPP);
        assert_eq!(errno(&Error::Refused(libc::ENOTEMPTY)), Errno::ENOTEMPTY);
        assert_eq!(errno(&Error::Refused(0)), Errno::EIO);
    }
}
