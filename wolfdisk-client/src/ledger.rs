//! What a successor must know of a mount whose front-end ended: its session and its open files.
//!
//! The kernel keeps numbers of open files, and programs keep the files; the process that gave out the
//! numbers may die at any instant. So they stand in a file in memory that outlives it: a header and one
//! slot for each open file, each changed by one `pwrite` of 32 aligned bytes, which a kill does not tear.
//! A slot is written before the kernel learns of the handle, and marked before bytes are buffered.
//!
//! A number is given once in the life of a mount: the kernel may ask again for the closing of a file that
//! was closed already, and must not close another one with that. So a free slot keeps the number that it
//! had, and a slot is only used again for a higher one: the highest number of all slots is the last given.
//!
//! Layout, of native byte order since nobody else reads it: `"WDMOUNT1", session, clean`, 40 bytes of the
//! front-end's own; then slots of `handle, inode, bits, lock owner`, or of `0, the handle that was closed,
//! 0, 0` if free. A later release that changes it changes the name, and refuses what it cannot read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use parking_lot::Mutex;
use wolfdisk_common::ids::Ino;

use crate::types::{HandleId, OpenFlags};

/// Says what it is, and in which layout.
const MAGIC: [u8; 8] = *b"WDMOUNT1";
const HEADER_BYTES: usize = 64;
const SLOT_BYTES: usize = 32;
/// Where things are in the header.
const SESSION_AT: u64 = 8;
const CLEAN_AT: u64 = 16;
const FRONT_END_AT: u64 = 24;
/// Room for what the front-end wants to be told.
pub const FRONT_END_BYTES: usize = 40;

/// Bits of a slot.
const READ: u64 = 1;
const WRITE: u64 = 2;
const APPEND: u64 = 4;
const SYNC: u64 = 8;
const DIRECT: u64 = 16;
const UNSAVED: u64 = 32;

/// The file; see the module.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    free: Vec<u32>,
    count: u32,
    /// The last number that was given.
    last: u64,
}

/// What a front-end left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estate {
    pub(crate) session: u64,
    /// It wrote back everything before it ended.
    pub(crate) clean: bool,
    pub(crate) open: Vec<OpenFile>,
}

impl Estate {
    /// Whether it ended in order: what the kernel asks again was not begun.
    pub fn is_clean(&self) -> bool {
        self.clean
    }
}

/// An open file in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OpenFile {
    pub(crate) handle: HandleId,
    pub(crate) ino: Ino,
    pub(crate) flags: OpenFlags,
    /// Written to since it was last saved.
    pub(crate) unsaved: bool,
    /// Who last took a lock through it; 0: nobody.
    pub(crate) owner: u64,
    slot: u32,
}

impl Ledger {
    /// A new one in `file`, which is empty.
    ///
    /// # Errors
    /// What the system says.
    pub fn create(file: File) -> io::Result<Ledger> {
        file.set_len(HEADER_BYTES as u64)?;
        file.write_all_at(&MAGIC, 0)?;
        Ok(Ledger {
            file,
            slots: Mutex::default(),
        })
    }

    /// The one that a front-end left in `file`.
    ///
    /// # Errors
    /// It is of another release, or none.
    pub fn inherit(file: File) -> io::Result<(Ledger, Estate)> {
        let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0)?;
        let word = |at: usize| {
            let bytes = bytes
                .get(at..at + 8)
                .and_then(|slice| slice.try_into().ok());
            bytes.map_or(0, u64::from_ne_bytes)
        };
        if bytes.len() < HEADER_BYTES || !bytes.starts_with(&MAGIC) {
            let what = "the mount was left by a release that is not known";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let mut slots = Slots::default();
        let mut open = Vec::new();
        for at in (HEADER_BYTES..bytes.len()).step_by(SLOT_BYTES) {
            let (handle, slot) = (HandleId(word(at)), slots.count);
            slots.count += 1;
            if handle.0 == 0 {
                slots.last = slots.last.max(word(at + 8));
                slots.free.push(slot);
                continue;
            }
            slots.last = slots.last.max(handle.0);
            let bits = word(at + 16);
            open.push(OpenFile {
                handle,
                ino: Ino(word(at + 8)),
                flags: flags_of(bits),
                unsaved: bits & UNSAVED != 0,
                owner: word(at + 24),
                slot,
            });
        }
        let estate = Estate {
            session: word(SESSION_AT as usize),
            clean: word(CLEAN_AT as usize) != 0,
            open,
        };
        // Ended in order is only who says so at its own end.
        file.write_all_at(&0u64.to_ne_bytes(), CLEAN_AT)?;
        let slots = Mutex::new(slots);
        Ok((Ledger { file, slots }, estate))
    }

    /// Keeps something for the front-end.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_front_end(&self, bytes: &[u8; FRONT_END_BYTES]) -> io::Result<()> {
        self.file.write_all_at(bytes, FRONT_END_AT)
    }

    /// What [`Ledger::set_front_end`] kept.
    ///
    /// # Errors
    /// What the system says.
    pub fn front_end(&self) -> io::Result<[u8; FRONT_END_BYTES]> {
        let mut bytes = [0; FRONT_END_BYTES];
        self.file.read_exact_at(&mut bytes, FRONT_END_AT)?;
        Ok(bytes)
    }

    /// Everything has been written back, and nothing is begun any more.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_clean(&self) -> io::Result<()> {
        self.file.write_all_at(&1u64.to_ne_bytes(), CLEAN_AT)
    }

    pub(crate) fn set_session(&self, session: u64) -> io::Result<()> {
        self.file.write_all_at(&session.to_ne_bytes(), SESSION_AT)
    }

    /// Enters an open file under a number of its own.
    pub(crate) fn enter(self: &Arc<Ledger>, ino: Ino, flags: OpenFlags) -> io::Result<Entry> {
        // Both under one lock: a slot that was closed has a lower number than the next.
        let (handle, slot) = {
            let mut slots = self.slots.lock();
            slots.last += 1;
            let slot = slots.free.pop().unwrap_or_else(|| {
                slots.count += 1;
                slots.count - 1
            });
            (HandleId(slots.last), slot)
        };
        let open = OpenFile {
            handle,
            ino,
            flags,
            unsaved: false,
            owner: 0,
            slot,
        };
        self.write(&open)?;
        Ok(self.entry(open))
    }

    /// The entry of a file that a predecessor had open.
    pub(crate) fn entry(self: &Arc<Ledger>, open: OpenFile) -> Entry {
        let state = EntryState {
            open,
            writes: 0,
            closed: false,
        };
        Entry {
            ledger: Arc::clone(self),
            state: Mutex::new(state),
        }
    }

    fn write(&self, open: &OpenFile) -> io::Result<()> {
        let bits = bits_of(open.flags) | if open.unsaved { UNSAVED } else { 0 };
        self.put(open.slot, [open.handle.0, open.ino.0, bits, open.owner])
    }

    fn put(&self, slot: u32, words: [u64; 4]) -> io::Result<()> {
        let mut bytes = [0; SLOT_BYTES];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        let at = HEADER_BYTES as u64 + u64::from(slot) * SLOT_BYTES as u64;
        self.file.write_all_at(&bytes, at)
    }
}

/// The line of one open file.
#[derive(Debug)]
pub(crate) struct Entry {
    ledger: Arc<Ledger>,
    state: Mutex<EntryState>,
}

#[derive(Debug)]
struct EntryState {
    open: OpenFile,
    /// Counts writes, so that a save says of which it is.
    writes: u64,
    closed: bool,
}

impl Entry {
    /// The number of the open file.
    pub(crate) fn handle(&self) -> HandleId {
        self.state.lock().open.handle
    }

    /// Bytes are about to be buffered.
    pub(crate) fn writes(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.writes += 1;
        self.change(&mut state, |open| open.unsaved = true)
    }

    /// How many writes there were, for [`Entry::saved`].
    pub(crate) fn written(&self) -> u64 {
        self.state.lock().writes
    }

    /// The first so many writes are with the daemons.
    pub(crate) fn saved(&self, written: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.writes != written {
            return Ok(());
        }
        self.change(&mut state, |open| open.unsaved = false)
    }

    /// `owner` is about to take a lock.
    pub(crate) fn locks(&self, owner: u64) -> io::Result<()> {
        self.change(&mut self.state.lock(), |open| open.owner = owner)
    }

    /// The file is closed.
    pub(crate) fn close(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.closed, true) {
            return Ok(());
        }
        let closed = [0, state.open.handle.0, 0, 0];
        self.ledger.put(state.open.slot, closed)?;
        self.ledger.slots.lock().free.push(state.open.slot);
        Ok(())
    }

    fn change(&self, state: &mut EntryState, change: impl FnOnce(&mut OpenFile)) -> io::Result<()> {
        let before = state.open;
        change(&mut state.open);
        if state.closed || state.open == before {
            return Ok(());
        }
        self.ledger.write(&state.open)
    }
}

fn bits_of(flags: OpenFlags) -> u64 {
    let all = [
        (flags.read, READ),
        (flags.write, WRITE),
        (flags.append, APPEND),
        (flags.sync, SYNC),
        (flags.direct, DIRECT),
    ];
    let set = all.into_iter().filter(|(set, _)| *set);
    set.map(|(_, bit)| bit).sum()
}

fn flags_of(bits: u64) -> OpenFlags {
    OpenFlags {
        read: bits & READ != 0,
        write: bits & WRITE != 0,
        append: bits & APPEND != 0,
        sync: bits & SYNC != 0,
        direct: bits & DIRECT != 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> OpenFlags {
        OpenFlags {
            read: true,
            write: true,
            ..OpenFlags::default()
        }
    }

    #[test]
    fn a_successor_finds_what_is_open_and_what_is_not_saved() {
        let file = tempfile::tempfile().expect("a file");
        let ledger = Arc::new(Ledger::create(file.try_clone().expect("a copy")).expect("made"));
        ledger.set_session(77).expect("kept");
        ledger.set_front_end(&[5; FRONT_END_BYTES]).expect("kept");
        let enter = |ino| ledger.enter(Ino(ino), flags()).expect("entered");
        let (closed, saved, written) = (enter(10), enter(20), enter(30));
        for entry in [&closed, &saved, &written] {
            entry.writes().expect("marked");
        }
        let early = written.written();
        written.writes().expect("marked");
        written.saved(early).expect("not all of it is");
        saved.saved(saved.written()).expect("saved");
        saved.locks(9).expect("kept");
        closed.close().expect("closed");
        // A late word of a closed file does not bring it back.
        closed.writes().expect("nothing to do");

        let (heir, estate) = Ledger::inherit(file.try_clone().expect("a copy")).expect("read");
        assert_eq!((estate.session, estate.is_clean()), (77, false));
        assert_eq!(heir.front_end().expect("read"), [5; FRONT_END_BYTES]);
        let found: Vec<_> = estate
            .open
            .iter()
            .map(|open| {
                (
                    open.handle.0,
                    open.ino.0,
                    open.unsaved,
                    open.owner,
                    open.flags,
                )
            })
            .collect();
        let expected = [(2, 20, false, 9, flags()), (3, 30, true, 0, flags())];
        assert_eq!(found, expected);
        let heir = Arc::new(heir);
        let next = heir.enter(Ino(40), flags()).expect("entered");
        assert_eq!(next.handle(), HandleId(4));
        assert_eq!(next.state.lock().open.slot, 0, "room is used again");
        heir.set_clean().expect("kept");
        let (_, estate) = Ledger::inherit(file.try_clone().expect("a copy")).expect("read");
        assert!(estate.is_clean());
        assert_eq!(estate.open.len(), 3);
        let (_, estate) = Ledger::inherit(file).expect("read");
        assert!(!estate.is_clean(), "only who says so ended in order");
    }

    /// The kernel asks a successor again for a closing that the predecessor carried out.
    #[test]
    fn a_successor_gives_no_number_that_was_closed() {
        let file = tempfile::tempfile().expect("a file");
        let mut ledger = Ledger::create(file.try_clone().expect("a copy")).expect("made");
        for last in [2, 4, 6] {
            let heir = Arc::new(ledger);
            for number in [last - 1, last] {
                let entry = heir.enter(Ino(10), flags()).expect("entered");
                assert_eq!(entry.handle(), HandleId(number));
                entry.close().expect("closed");
            }
            let found = Ledger::inherit(file.try_clone().expect("a copy")).expect("read");
            assert!(found.1.open.is_empty());
            ledger = found.0;
        }
    }

    #[test]
    fn another_layout_is_refused() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&[b'x'; 128], 0).expect("written");
        assert!(Ledger::inherit(file).is_err());
    }
}
