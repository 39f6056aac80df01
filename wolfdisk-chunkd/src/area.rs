//! The shared memory that large puts come through: a sealed memfd of a front-end, mapped read-only.
//!
//! The front-end may write to it at any time, so nothing is ever checked in place: bytes are copied out
//! once, and only the copy is hashed, verified and stored. The one file of this crate that holds unsafe
//! code.

#![expect(
    unsafe_code,
    reason = "memory that another process writes to can only be copied raw"
)]

use std::os::fd::{AsFd, OwnedFd};

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};

use crate::limits;

/// See the module.
pub struct Area {
    mapping: MmapRaw,
}

/// Why a descriptor is no area.
#[derive(Debug, thiserror::Error)]
pub enum AreaError {
    /// Its owner could shrink it under our hands, or it is no memfd at all.
    #[error("the area is no memfd that is sealed against shrinking and growing")]
    NotSealed,
    /// It is empty, too large, or shorter than announced.
    #[error("an area of {0} bytes; 1 to {max} are allowed", max = limits::AREA_MAX_BYTES)]
    Size(u64),
    /// A span that is not within it.
    #[error("{length} bytes at {offset} are not within the area of {size}")]
    Span {
        /// Where it begins.
        offset: u64,
        /// Its length.
        length: usize,
        /// The area's size.
        size: usize,
    },
    /// The system refused.
    #[error("the area cannot be mapped: {0}")]
    Io(#[from] std::io::Error),
}

impl Area {
    /// Maps `length` bytes of a memfd.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn map(descriptor: &OwnedFd, length: u64) -> Result<Area, AreaError> {
        // Only memory files have seals; for any other descriptor this fails.
        let seals =
            fcntl(descriptor.as_fd(), FcntlArg::F_GET_SEALS).map_err(|_| AreaError::NotSealed)?;
        let needed = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
        if !SealFlag::from_bits_truncate(seals).contains(needed) {
            return Err(AreaError::NotSealed);
        }
        let size = nix::sys::stat::fstat(descriptor)
            .map_err(std::io::Error::from)?
            .st_size;
        let size = u64::try_from(size).unwrap_or(0);
        if length == 0 || length > size || length > limits::AREA_MAX_BYTES {
            return Err(AreaError::Size(length));
        }
        let mapping = MmapOptions::new()
            .len(length as usize)
            .map_raw_read_only(descriptor)?;
        Ok(Area { mapping })
    }

    /// Whether a span lies within the area.
    ///
    /// # Errors
    /// `Span` if not.
    pub fn check(&self, offset: u64, length: usize) -> Result<(), AreaError> {
        let size = self.mapping.len();
        let end = offset.checked_add(length as u64);
        match end.is_some_and(|end| end <= size as u64) {
            true => Ok(()),
            false => Err(AreaError::Span {
                offset,
                length,
                size,
            }),
        }
    }

    /// Copies bytes out.
    ///
    /// # Errors
    /// `Span` if they are not all within the area.
    pub fn copy(&self, offset: u64, room: &mut [u8]) -> Result<(), AreaError> {
        self.check(offset, room.len())?;
        // SAFETY: `check` has shown that offset..offset + room.len() lies within the mapping, which lives
        // as long as `self` and cannot lose pages: the file is sealed against shrinking, so there is no
        // SIGBUS. `room` is private and cannot overlap. The other process may write meanwhile: the bytes
        // are then any mix of old and new, which is as good as any other content, for no reference into the
        // mapping is ever made and whatever is decided is decided about the copy.
        unsafe {
            let from = self.mapping.as_ptr().add(offset as usize);
            std::ptr::copy_nonoverlapping(from, room.as_mut_ptr(), room.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;

    fn memfd(size: u64, seals: SealFlag) -> OwnedFd {
        let fd = memfd_create("area", MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC);
        let mut file = File::from(fd.expect("a memfd"));
        file.set_len(size).expect("a length");
        file.write_all(b"hello").expect("bytes");
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).expect("seals");
        file.into()
    }

    #[test]
    fn only_a_sealed_area_of_the_announced_size_is_mapped() {
        let both = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
        let area = Area::map(&memfd(8192, both), 8192).expect("an area");
        let mut room = [0; 5];
        area.copy(0, &mut room).expect("a copy");
        assert_eq!(&room, b"hello");
        area.copy(8187, &mut room).expect("the last bytes");
        for offset in [8188, 8192, u64::MAX] {
            assert!(matches!(
                area.copy(offset, &mut room),
                Err(AreaError::Span { .. })
            ));
        }
        let shrinkable = memfd(8192, SealFlag::F_SEAL_GROW);
        assert!(matches!(
            Area::map(&shrinkable, 8192),
            Err(AreaError::NotSealed)
        ));
        assert!(matches!(
            Area::map(&memfd(8192, both), 8193),
            Err(AreaError::Size(_))
        ));
        assert!(matches!(
            Area::map(&memfd(8192, both), 0),
            Err(AreaError::Size(_))
        ));
        let file = tempfile::tempfile().expect("a file");
        assert!(matches!(
            Area::map(&file.into(), 1),
            Err(AreaError::NotSealed)
        ));
    }
}
