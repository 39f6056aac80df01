//! What is known of one inode, and what of it has not left this process.
//!
//! Attributes, pieces and names are used only under a right of the current epoch. An answer is learned
//! only if it was read at or after the floor: the version of the last change known here, be it somebody
//! else's (an invalidation) or our own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wolfdisk_common::time::Timestamp;
use wolfdisk_proto::v1::Right;

use super::kept::Share;
use super::lock_owners::LockOwners;
use super::names::Names;
use crate::data::dirty::DirtyBuffer;
use crate::data::pieces::PieceMap;
use crate::limits;
use crate::session::Identity;
use crate::session::lease::Lease;
use crate::types::Attr;
use crate::volume::append::Appended;
use crate::volume::sealed::Pending;

pub(crate) const ATTR: u32 = Right::Attr as u32;
pub(crate) const DATA: u32 = Right::Data as u32;
pub(crate) const NAMES: u32 = Right::Names as u32;
pub(crate) const WRITE: u32 = Right::Write as u32;

/// An extended attribute; large values are asked for when needed.
#[derive(Clone, Debug)]
pub(crate) struct CachedXattr {
    pub(crate) name: Bytes,
    pub(crate) value: Option<Bytes>,
}

/// Counts failures of writing back, so that every handle is told of each once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WriteFailures {
    pub(crate) count: u32,
    pub(crate) errno: i32,
}

/// Whether the kernel can be trusted with attributes for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Settling {
    /// It was told to forget them and has not been given new ones.
    Told,
    /// It was given new ones a moment ago and takes them over until then.
    Until(Instant),
    #[default]
    Settled,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct NodeState {
    settling: Settling,
    pub(crate) attr: Option<Attr>,
    rights: u32,
    epoch: u64,
    floor: u64,
    write_floor: u64,
    pub(crate) pieces: PieceMap,
    pieces_version: u64,
    /// With how many bytes of pieces this file counts.
    pub(crate) kept: Arc<Share>,
    pub(crate) xattrs: Option<Arc<Vec<CachedXattr>>>,
    pub(crate) names: Names,
    pub(crate) dirty: DirtyBuffer,
    pub(crate) pending: VecDeque<Pending>,
    /// From where on what is not committed was appended.
    pub(crate) appended: Option<Appended>,
    /// Appends under way that are not buffered.
    pub(crate) appending: u32,
    /// When the last buffered write was made.
    pub(crate) local_mtime: Option<Timestamp>,
    /// It waits in the flusher's queue.
    pub(crate) queued: bool,
    pub(crate) failures: WriteFailures,
    pub(crate) opens: u32,
    /// Removals of a name of it that are under way.
    pub(crate) removals: u32,
    /// It has lost its last name while it was open here.
    pub(crate) orphan: bool,
    /// What was known of it when it was removed here: it may still be somebody's working directory, or held with
    /// `O_PATH`.
    pub(crate) remains: Option<Box<Attr>>,
    /// It was removed here and the kernel has forgotten it: nobody can ask for it again.
    pub(crate) gone: bool,
    /// It may be open-unlinked, or others want to write to it: the daemon counts on a word when the last handle is
    /// closed.
    pub(crate) tell_release: bool,
    /// The daemon is being told that it is closed.
    pub(crate) releasing: bool,
    /// Version of the last own mutation.
    pub(crate) own_version: u64,
    /// The least content version of anything the kernel may hold pages of; see `keep_cache`.
    pub(crate) lowest_read: Option<u64>,
    /// The kernel is about to be told to drop its pages, which no right covers.
    pub(crate) pages_doomed: bool,
    /// Who took locks through this volume.
    pub(crate) lock_owners: LockOwners,
    /// The greatest version at which such a lock was granted: nothing older may be served any more.
    pub(crate) locked_at: u64,
    /// Content version as an open without rights was told.
    pub(crate) opened_content: Option<u64>,
    /// When the right to buffer writes was last asked for.
    pub(crate) asked_to_write: Option<Instant>,
}

impl NodeState {
    /// Nothing is known; nothing older than `floor` will be learned.
    pub(crate) fn new(floor: u64, window: u64) -> NodeState {
        NodeState {
            settling: Settling::default(),
            attr: None,
            rights: 0,
            epoch: 0,
            floor,
            write_floor: 0,
            pieces: PieceMap::default(),
            pieces_version: 0,
            kept: Arc::default(),
            xattrs: None,
            names: Names::from_floor(floor),
            dirty: DirtyBuffer::new(window),
            pending: VecDeque::new(),
            appended: None,
            appending: 0,
            local_mtime: None,
            queued: false,
            failures: WriteFailures::default(),
            opens: 0,
            removals: 0,
            orphan: false,
            remains: None,
            gone: false,
            tell_release: false,
            releasing: false,
            own_version: 0,
            lowest_read: None,
            pages_doomed: false,
            lock_owners: LockOwners::default(),
            locked_at: 0,
            opened_content: None,
            asked_to_write: None,
        }
    }

    /// Writing back failed: every handle is told once.
    pub(crate) fn fail(&mut self, errno: i32) {
        self.failures.count = self.failures.count.wrapping_add(1);
        self.failures.errno = errno;
    }

    /// All of `rights` are held now.
    pub(crate) fn has(&self, rights: u32, lease: &Lease) -> bool {
        self.rights & rights == rights && self.epoch == lease.epoch() && lease.is_live()
    }

    /// The attributes, if they may be relied on, with what is buffered here.
    pub(crate) fn valid_attr(&self, lease: &Lease) -> Option<Attr> {
        if self.has(ATTR, lease) {
            self.attr.as_ref().map(|attr| self.localize(attr))
        } else {
            None
        }
    }

    /// Where an append may be buffered; none if that cannot be known here.
    pub(crate) fn append_at(&self, lease: &Lease) -> Option<u64> {
        let void = self
            .appended
            .is_some_and(|appended| appended.is_void(lease));
        if self.appending > 0 || void {
            return None;
        }
        self.valid_attr(lease).map(|attr| attr.size)
    }

    /// An append is buffered there.
    pub(crate) fn appends_at(&mut self, offset: u64) {
        let first = Appended::at(offset, self.epoch);
        self.appended.get_or_insert(first);
    }

    /// The same for the kernel, with how long it may rely on them. For a moment after it was told to forget
    /// them, not at all: it marks new ones as valid before it takes the size over, and another
    /// program that asked at that instant would be shown the old size.
    pub(crate) fn give_attr(&mut self, lease: &Lease) -> Option<(Attr, Duration)> {
        let attr = self.valid_attr(lease)?;
        let now = Instant::now();
        match self.settling {
            Settling::Settled => return Some((attr, lease.kernel_lifetime())),
            Settling::Told => self.settling = Settling::Until(now + limits::KERNEL_SETTLES_WITHIN),
            Settling::Until(when) if when <= now => self.settling = Settling::Settled,
            Settling::Until(_) => {}
        }
        Some((attr, Duration::ZERO))
    }

    /// The kernel is told to forget the attributes.
    pub(crate) fn kernel_told(&mut self) {
        self.settling = Settling::Told;
    }

    /// Attributes as this process sees them: buffered writes included.
    pub(crate) fn localize(&self, attr: &Attr) -> Attr {
        let mut attr = attr.clone();
        if let Some(end) = self.unsaved_end() {
            attr.size = attr.size.max(end);
            // Room that is written already, as with the delayed allocation of local file systems. What is
            // overwritten is not told apart, so that only a file with holes can seem to take more.
            let pending: usize = self.pending.iter().map(|pending| pending.length).sum();
            let unsaved = (self.dirty.bytes() + pending) as u64;
            attr.allocated = (attr.allocated + unsaved).min(attr.allocated.max(attr.size));
        }
        if let Some(mtime) = self.local_mtime {
            attr.mtime = mtime;
            attr.ctime = attr.ctime.max(mtime);
        }
        attr
    }

    /// The end of what has not been committed.
    pub(crate) fn unsaved_end(&self) -> Option<u64> {
        let pending = self.pending.iter().map(Pending::end).max();
        pending.max(self.dirty.end())
    }

    /// Something is not committed.
    pub(crate) fn is_unsaved(&self) -> bool {
        !self.dirty.is_empty() || !self.pending.is_empty()
    }

    /// Learns an answer that was read at `version`. False if it must not be kept.
    pub(crate) fn learn(
        &mut self,
        attr: Attr,
        rights: u32,
        version: u64,
        asked: Identity,
        lease: &Lease,
    ) -> bool {
        if version < self.floor || !self.enter(asked, lease) {
            return false;
        }
        self.rights |= if version > self.write_floor {
            rights
        } else {
            rights & !WRITE
        };
        let known = self.attr.as_ref().map_or(0, |attr| attr.attr_version.0);
        if attr.attr_version.0 < known {
            return true;
        }
        if attr.content_version.0 != self.pieces_version {
            self.pieces.clear();
            self.pieces_version = attr.content_version.0;
        }
        if self
            .attr
            .as_ref()
            .is_none_or(|old| old.attr_version != attr.attr_version)
        {
            self.xattrs = None;
        }
        self.attr = Some(attr);
        true
    }

    /// Things asked for under `asked` may be kept: its epoch is the current one. What is left from an
    /// earlier epoch goes.
    fn enter(&mut self, asked: Identity, lease: &Lease) -> bool {
        if asked.epoch != lease.epoch() {
            return false;
        }
        if self.epoch != asked.epoch {
            self.drop_rights(u32::MAX);
            self.names.clear(self.names.newest());
            self.epoch = asked.epoch;
        }
        true
    }

    /// An answer about names, read at `version`, that grants `rights`. False if it must not be kept.
    pub(crate) fn learn_names(
        &mut self,
        rights: u32,
        version: u64,
        asked: Identity,
        lease: &Lease,
    ) -> bool {
        if version < self.names.floor() {
            return false;
        }
        if !self.enter(asked, lease) {
            return false;
        }
        self.rights |= rights & NAMES;
        self.has(NAMES, lease)
    }

    /// We changed this inode at `version`, and these are its attributes after it, where told.
    pub(crate) fn learn_own(
        &mut self,
        attr: Option<Attr>,
        rights: u32,
        version: u64,
        asked: Identity,
        lease: &Lease,
    ) {
        self.own_version = self.own_version.max(version);
        match attr {
            Some(attr) if asked.epoch == lease.epoch() => {
                self.learn(attr, rights, version, asked, lease);
            }
            // What was learned in the epoch that has begun meanwhile may be of before our change, and
            // nobody tells us of that.
            Some(_) => self.forget_attr(),
            None if version >= self.floor => self.forget_attr(),
            None => {}
        }
        self.floor = self.floor.max(version);
    }

    /// What is known of the content can be carried on to an own change that was answered at `version`:
    /// nothing later is known, and no right was lost since it was asked for.
    pub(crate) fn follows(&self, version: u64, asked: Identity, lease: &Lease) -> bool {
        asked.epoch == self.epoch && version >= self.floor && self.has(DATA, lease)
    }

    /// The content was changed by us at this content version and `pieces` tell where it is now.
    pub(crate) fn content_moved(&mut self, content_version: u64) {
        if let Some(old) = self.attr.as_ref().map(|attr| attr.content_version.0)
            && self.lowest_read == Some(old)
        {
            self.lowest_read = Some(content_version);
        }
        self.pieces_version = content_version;
    }

    /// The content version that the pieces belong to.
    pub(crate) fn pieces_version(&self) -> u64 {
        self.pieces_version
    }

    /// Pieces read at `version` of content `content_version` may be kept.
    pub(crate) fn may_learn_pieces(
        &self,
        version: u64,
        content_version: u64,
        asked: Identity,
        lease: &Lease,
    ) -> bool {
        asked.epoch == self.epoch
            && version >= self.floor
            && self.has(DATA, lease)
            && content_version == self.pieces_version
            && self.pieces.len() < limits::FILE_PIECES_MAX
    }

    /// Extended attributes read at `version` may be kept.
    pub(crate) fn may_learn_xattrs(&self, version: u64, asked: Identity, lease: &Lease) -> bool {
        asked.epoch == self.epoch
            && version >= self.floor
            && self.attr.is_some()
            && self.has(ATTR, lease)
    }

    /// Somebody else changed it at `version`.
    pub(crate) fn invalidate(&mut self, rights: u32, version: u64) {
        self.floor = self.floor.max(version);
        self.drop_rights(rights);
    }

    /// The right to the names of this directory was taken at `version`; gives what the kernel may know.
    pub(crate) fn lose_names(&mut self, version: u64) {
        self.drop_rights(NAMES);
        self.names.clear(version);
    }

    /// Buffering is over; rights to write that were granted up to `version` do not count.
    pub(crate) fn end_buffering(&mut self, version: u64) {
        self.write_floor = self.write_floor.max(version);
        self.drop_rights(WRITE);
    }

    /// The right to buffer writes goes back.
    pub(crate) fn lose_write(&mut self) {
        self.drop_rights(WRITE);
    }

    /// Somebody may hold a lock through this volume.
    pub(crate) fn is_locked(&self) -> bool {
        !self.lock_owners.is_empty()
    }

    /// The content version that is relied on now, by right.
    pub(crate) fn current_content(&self, lease: &Lease) -> Option<u64> {
        let attr = self.attr.as_ref().filter(|_| self.has(ATTR | DATA, lease));
        attr.map(|attr| attr.content_version.0)
    }

    /// The kernel may hold pages of another content than `current`.
    pub(crate) fn may_hold_others(&self, current: Option<u64>) -> bool {
        self.lowest_read.is_some() && self.lowest_read != current
    }

    /// The version below which nothing is learned.
    #[cfg(test)]
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// The greatest version known here, to be remembered when this is forgotten.
    pub(crate) fn newest(&self) -> u64 {
        self.floor.max(self.names.newest())
    }

    /// Any right is held: the daemon thinks of us.
    pub(crate) fn has_any_right(&self, lease: &Lease) -> bool {
        self.rights != 0 && self.epoch == lease.epoch()
    }

    fn forget_attr(&mut self) {
        self.attr = None;
        self.xattrs = None;
    }

    fn drop_rights(&mut self, rights: u32) {
        self.rights &= !rights;
        if rights & ATTR != 0 {
            self.forget_attr();
        }
        if rights & DATA != 0 {
            self.pieces.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use wolfdisk_common::ids::{Ino, Version};

    use super::*;
    use crate::types::FileKind;

    pub(crate) fn attr(version: u64) -> Attr {
        Attr {
            ino: Ino(5),
            kind: FileKind::File,
            permissions: 0o644,
            uid: 0,
            gid: 0,
            nlink: 1,
            size: 0,
            allocated: 0,
            atime: Timestamp::default(),
            mtime: Timestamp::default(),
            ctime: Timestamp::default(),
            btime: Timestamp::default(),
            rdev: 0,
            content_version: Version(version),
            parent: Ino::ROOT,
            has_xattr: false,
            symlink: Bytes::new(),
            attr_version: Version(version),
        }
    }

    fn live() -> (Lease, Identity) {
        let lease = Lease::default();
        lease.renew(Instant::now(), Duration::from_secs(60));
        let asked = Identity {
            session: 1,
            epoch: lease.epoch(),
            returns: 0,
        };
        (lease, asked)
    }

    #[test]
    fn an_answer_older_than_an_invalidation_is_not_kept() {
        let (lease, asked) = live();
        let mut state = NodeState::new(0, 4096);
        state.invalidate(ATTR | DATA, 10);
        assert!(!state.learn(attr(9), ATTR, 9, asked, &lease));
        assert_eq!(state.valid_attr(&lease), None);
        assert!(state.learn(attr(10), ATTR, 10, asked, &lease));
        assert!(state.valid_attr(&lease).is_some());
    }

    #[test]
    fn own_changes_are_not_undone_by_a_late_answer() {
        let (lease, asked) = live();
        let mut state = NodeState::new(0, 4096);
        state.learn_own(Some(attr(12)), ATTR, 12, asked, &lease);
        assert!(!state.learn(attr(10), ATTR, 11, asked, &lease));
        assert_eq!(
            state.valid_attr(&lease).map(|attr| attr.attr_version.0),
            Some(12)
        );
    }

    #[test]
    fn the_kernel_keeps_no_attributes_right_after_it_was_told_to_forget_them() {
        let (lease, asked) = live();
        let mut state = NodeState::new(0, 4096);
        assert!(state.learn(attr(1), ATTR, 1, asked, &lease));
        let given = |state: &mut NodeState| state.give_attr(&lease).expect("valid").1;
        assert!(!given(&mut state).is_zero());
        state.kernel_told();
        assert!(given(&mut state).is_zero(), "the first");
        state.settling = Settling::Until(Instant::now() + Duration::from_secs(60));
        assert!(given(&mut state).is_zero(), "and those at the same time");
        state.settling = Settling::Until(Instant::now());
        assert!(given(&mut state).is_zero());
        assert!(!given(&mut state).is_zero(), "later ones are kept");
    }

    #[test]
    fn nothing_outlives_its_epoch() {
        let (lease, asked) = live();
        let mut state = NodeState::new(0, 4096);
        assert!(state.learn(attr(1), ATTR | DATA, 1, asked, &lease));
        lease.next_epoch();
        assert_eq!(state.valid_attr(&lease), None);
        assert!(
            !state.learn(attr(2), ATTR, 2, asked, &lease),
            "asked for in the old epoch"
        );
        let asked = Identity {
            epoch: lease.epoch(),
            ..asked
        };
        assert!(state.learn(attr(2), ATTR, 2, asked, &lease));
        assert!(!state.has(DATA, &lease), "the old right does not come back");
    }

    #[test]
    fn an_own_change_that_began_in_another_epoch_leaves_nothing_of_before_it() {
        let (lease, before) = live();
        let mut state = NodeState::new(0, 4096);
        lease.next_epoch();
        let asked = Identity {
            epoch: lease.epoch(),
            ..before
        };
        assert!(state.learn(attr(5), ATTR, 5, asked, &lease));
        state.xattrs = Some(Arc::default());
        // Sent before a restart of the daemon, carried out after it, and after that answer was read.
        state.learn_own(Some(attr(6)), ATTR, 6, before, &lease);
        assert_eq!(state.valid_attr(&lease), None);
        assert!(state.xattrs.is_none());
        assert!(!state.learn(attr(5), ATTR, 5, asked, &lease), "too late");
        assert!(state.learn(attr(6), ATTR, 6, asked, &lease));
    }

    #[test]
    fn a_right_to_write_that_was_taken_back_is_not_revived() {
        let (lease, asked) = live();
        let mut state = NodeState::new(0, 4096);
        state.end_buffering(5);
        assert!(state.learn(attr(5), ATTR | WRITE, 5, asked, &lease));
        assert!(!state.has(WRITE, &lease));
        assert!(state.learn(attr(6), ATTR | WRITE, 6, asked, &lease));
        assert!(state.has(WRITE, &lease));
    }
}
