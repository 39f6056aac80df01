//! Mapped segments and the shared area: the one file with `unsafe` in this crate.
//!
//! A segment is mapped once, read-only, at its greatest possible length: a granted byte of it never
//! changes, and what is appended later becomes readable without a new mapping. Touching a page that
//! cannot be read (a bad sector, or a file that somebody cut) raises SIGBUS; the handler puts a zero page
//! there and marks the mapping, and whoever copies out of it checks the mark afterwards.
//!
//! The area is a sealed memfd (its length cannot change), written here and read by chunkd.

#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use memmap2::{Mmap, MmapMut, MmapOptions, UncheckedAdvice};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::error::{Error, Result};

/// Mappings that the SIGBUS handler knows at a time: 4096 segments of 256 MiB are 1 TiB. A further one
/// is not mapped; its chunks are read through the daemon.
const MAPPINGS_MAX: usize = 4096;

/// A slot of the table that the handler reads. `length` 0: free.
struct Slot {
    start: AtomicUsize,
    length: AtomicUsize,
    damaged: AtomicBool,
    taken: AtomicBool,
}

static SLOTS: [Slot; MAPPINGS_MAX] = [const {
    Slot {
        start: AtomicUsize::new(0),
        length: AtomicUsize::new(0),
        damaged: AtomicBool::new(false),
        taken: AtomicBool::new(false),
    }
}; MAPPINGS_MAX];

static INSTALL: Once = Once::new();
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);

/// A read-only mapping of a segment.
#[derive(Debug)]
pub(crate) struct Mapping {
    map: Mmap,
    slot: usize,
}

impl Mapping {
    /// Maps `length` bytes of `file`, which may be shorter yet.
    pub(crate) fn new(file: &File, length: usize) -> Result<Mapping> {
        INSTALL.call_once(install_handler);
        // SAFETY: the file is a segment: a byte that was ever granted never changes, chunkd never
        // shortens it, and pages beyond its end are touched only if a header says so; if they cannot
        // be read all the same, the SIGBUS handler replaces them before the access goes on.
        let map = unsafe { MmapOptions::new().len(length).map(file) }
            .map_err(|error| Error::system("mapping a segment", &error))?;
        let slot = take_slot(map.as_ptr().addr(), length).ok_or(Error::System {
            what: "mapping a segment",
            errno: libc::ENOMEM,
        })?;
        Ok(Mapping { map, slot })
    }

    /// The mapped bytes. Bytes that are used must be followed by a look at [`Mapping::is_damaged`].
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// A page of it was found unreadable since it was mapped.
    pub(crate) fn is_damaged(&self) -> bool {
        SLOTS
            .get(self.slot)
            .is_some_and(|slot| slot.damaged.load(Ordering::Acquire))
    }

    /// Has the kernel count none of it as memory of this process until it is touched again. What it holds in its
    /// page cache stays there.
    pub(crate) fn let_go(&self) {
        // SAFETY: the mapping is read-only, so nothing is lost: a page that is touched again shows the same bytes of
        // the file, one that the SIGBUS handler put there zeroes, as before.
        let done = unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) };
        // A failed hint changes nothing.
        drop(done);
    }

    /// Asks the kernel to read a range soon.
    pub(crate) fn prefetch(&self, offset: usize, length: usize) {
        // A place that the daemon gave: it is verified only when it is read.
        let end = offset.checked_add(length);
        if end.is_some_and(|end| end <= self.map.len()) {
            // A failed hint changes nothing.
            drop(
                self.map
                    .advise_range(memmap2::Advice::WillNeed, offset, length),
            );
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // The slot goes before the mapping does: a fault elsewhere is never taken for this one.
        if let Some(slot) = SLOTS.get(self.slot) {
            slot.length.store(0, Ordering::SeqCst);
            slot.taken.store(false, Ordering::SeqCst);
        }
    }
}

fn take_slot(start: usize, length: usize) -> Option<usize> {
    let free = |slot: &Slot| {
        slot.taken
            .compare_exchange(false, true, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    };
    let index = SLOTS.iter().position(free)?;
    let slot = SLOTS.get(index)?;
    slot.damaged.store(false, Ordering::SeqCst);
    slot.start.store(start, Ordering::SeqCst);
    slot.length.store(length, Ordering::SeqCst);
    Some(index)
}

fn install_handler() {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE)
        .ok()
        .flatten();
    PAGE_BYTES.store(
        page.and_then(|page| usize::try_from(page).ok())
            .unwrap_or(4096),
        Ordering::SeqCst,
    );
    let action = nix::sys::signal::SigAction::new(
        nix::sys::signal::SigHandler::SigAction(on_sigbus),
        nix::sys::signal::SaFlags::SA_SIGINFO | nix::sys::signal::SaFlags::SA_NODEFER,
        nix::sys::signal::SigSet::empty(),
    );
    // SAFETY: the handler only reads atomics and calls mmap and sigaction, all of them safe in a
    // signal handler. Without it a bad sector ends the process, so failing to install it is no
    // reason to refuse service.
    let installed =
        unsafe { nix::sys::signal::sigaction(nix::sys::signal::Signal::SIGBUS, &action) };
    if let Err(error) = installed {
        tracing::warn!(%error, "no SIGBUS handler: an unreadable sector would end this process");
    }
}

extern "C" fn on_sigbus(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo to an SA_SIGINFO handler, and for SIGBUS its address
    // field is set.
    let address = unsafe { (*info).si_addr() }.addr();
    let page = PAGE_BYTES.load(Ordering::SeqCst);
    for slot in &SLOTS {
        let start = slot.start.load(Ordering::SeqCst);
        let length = slot.length.load(Ordering::SeqCst);
        if length == 0 || address < start || address >= start + length {
            continue;
        }
        slot.damaged.store(true, Ordering::SeqCst);
        let at = std::ptr::without_provenance_mut::<libc::c_void>(address / page * page);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the page lies inside a mapping of ours that is alive, because a thread is reading
        // it right now; nobody but its readers sees the replacement, and they check the mark.
        let mapped = unsafe { libc::mmap(at, page, libc::PROT_READ, flags, -1, 0) };
        if mapped != libc::MAP_FAILED {
            return;
        }
    }
    // Not ours: the access is repeated after the return and ends the process, as it would have.
    // SAFETY: restoring the default action is safe in a signal handler.
    unsafe {
        libc::signal(libc::SIGBUS, libc::SIG_DFL);
    }
}

/// A shared memory area of fixed length.
#[derive(Debug)]
pub(crate) struct Area {
    map: MmapMut,
    file: File,
}

impl Area {
    /// A new area of `length` bytes that can neither grow nor shrink.
    pub(crate) fn new(length: usize) -> Result<Area> {
        let failed = |error: std::io::Error| Error::system("a shared memory area", &error);
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let fd = memfd_create(c"wolfdisk-area", flags).map_err(|error| failed(error.into()))?;
        let file = File::from(fd);
        file.set_len(length as u64).map_err(failed)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(|error| failed(error.into()))?;
        // SAFETY: the memfd is sealed against shrinking, so no page of the mapping can vanish. chunkd
        // only reads it, and only between a put's request and its answer, while this side waits.
        let map = unsafe { MmapOptions::new().len(length).map_mut(&file) }.map_err(failed)?;
        Ok(Area { map, file })
    }

    /// The bytes to write to.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.map
    }

    /// Its descriptor, to be handed over.
    pub(crate) fn descriptor(&self) -> Result<OwnedFd> {
        let copy = self.file.try_clone();
        copy.map(OwnedFd::from)
            .map_err(|error| Error::system("a shared memory area", &error))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_cut_under_its_mapping_reads_as_zeroes_and_is_marked() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[7; 64 * 1024]).expect("written");
        let mapping = Mapping::new(&file, 1 << 20).expect("mapped");
        assert_eq!(mapping.bytes()[40_000], 7);
        assert!(!mapping.is_damaged());
        file.set_len(0).expect("cut");
        let sum: u64 = mapping.bytes()[..64 * 1024]
            .iter()
            .map(|byte| u64::from(*byte))
            .sum();
        assert_eq!(sum, 0);
        assert!(mapping.is_damaged());
    }

    #[test]
    fn what_was_let_go_is_read_again() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[7; 64 * 1024]).expect("written");
        let mapping = Mapping::new(&file, 1 << 20).expect("mapped");
        assert_eq!(mapping.bytes()[..64 * 1024], [7; 64 * 1024]);
        mapping.let_go();
        assert_eq!(mapping.bytes()[..64 * 1024], [7; 64 * 1024]);
        assert!(!mapping.is_damaged());
        file.set_len(0).expect("cut");
        for _ in 0..2 {
            assert_eq!(mapping.bytes()[40_000], 0);
            assert!(mapping.is_damaged());
            mapping.let_go();
        }
    }

    #[test]
    fn what_is_appended_later_is_seen() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&[1; 4096]).expect("written");
        let mapping = Mapping::new(&file, 1 << 20).expect("mapped");
        assert_eq!(mapping.bytes()[0], 1);
        file.write_all(&[2; 8192]).expect("written");
        assert_eq!(mapping.bytes()[12_287], 2);
        assert!(!mapping.is_damaged());
    }

    #[test]
    fn an_area_is_shared_and_sealed() {
        let mut area = Area::new(8192).expect("an area");
        area.bytes()[5000] = 9;
        let other = File::from(area.descriptor().expect("a descriptor"));
        let mut byte = [0];
        std::os::unix::fs::FileExt::read_exact_at(&other, &mut byte, 5000).expect("read");
        assert_eq!(byte, [9]);
        assert!(other.set_len(0).is_err());
    }
}
