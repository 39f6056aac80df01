//! Where an inode is, and what of it somebody may have who is not root.
//!
//! It is walked from the inode up to the directory that the member is limited to, the root of the volume or that of
//! what front-ends keep for themselves. A file with several names is where any of them is; one without a name is there
//! for the session that has it open.

use std::collections::HashSet;

use wolfdisk_common::ids::Ino;

use super::{Judged, Refused, Rules};
use crate::index::key::{self, Key};
use crate::index::record::{Inode, Link};
use crate::index::records::{Read, Records};
use crate::limits;

pub(super) const READ: u32 = 4;
pub(super) const WRITE: u32 = 2;
pub(super) const SEARCH: u32 = 1;

/// What an inode belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// The volume, or the part of it that the member has.
    Volume,
    /// What front-ends keep for themselves.
    System,
}

/// An inode that the member may name.
#[derive(Debug)]
pub(super) struct Reached {
    pub(super) tree: Tree,
    pub(super) inode: Inode,
}

/// What was found on the way up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Leads(Tree),
    /// A directory on it lets nobody but root through.
    Barred,
    Elsewhere,
}

impl<R: Records> Rules<'_, R> {
    /// The directory that is the root to this member.
    pub(super) fn top(&self) -> Ino {
        match self.restrictions.subdir {
            0 => Ino::ROOT,
            number => Ino(number),
        }
    }

    /// Whether the member has a part of the volume only.
    pub(super) fn has_part(&self) -> bool {
        self.top() != Ino::ROOT
    }

    pub(super) fn gone(&self) -> Refused {
        Refused::Errno(match self.has_part() {
            true => libc::ESTALE,
            false => libc::ENOENT,
        })
    }

    /// The inode, if the member may name it.
    pub(super) fn reach(&self, ino: Ino) -> Judged<Reached> {
        let Some(inode) = self.index.inode(ino)? else {
            return Err(self.gone());
        };
        let way = self.way_up(ino, &inode)?;
        match way {
            Way::Leads(tree) => Ok(Reached { tree, inode }),
            Way::Barred => Err(Refused::Errno(libc::EACCES)),
            Way::Elsewhere => Err(Refused::Errno(libc::ESTALE)),
        }
    }

    /// Whether the member may name the inode.
    pub(super) fn reaches(&self, ino: Ino) -> Result<bool, crate::index::table::TableError> {
        match self.reach(ino) {
            Ok(_) => Ok(true),
            Err(Refused::Errno(_)) => Ok(false),
            Err(Refused::Broken(error)) => Err(error),
        }
    }

    /// As [`Self::reach`], if somebody who is not root may do this with it.
    pub(super) fn reach_for(&self, ino: Ino, wanted: u32) -> Judged<Reached> {
        let reached = self.reach(ino)?;
        self.need(&reached, wanted)?;
        Ok(reached)
    }

    /// The member may do with it only what somebody may who is not root.
    pub(super) fn is_judged(&self, reached: &Reached) -> bool {
        self.restrictions.squash_root && reached.tree == Tree::Volume
    }

    /// What the member may do with it, as bits.
    pub(super) fn granted(&self, reached: &Reached) -> u32 {
        match self.is_judged(reached) {
            true => reached.inode.granted_but_to_root(),
            false => READ | WRITE | SEARCH,
        }
    }

    pub(super) fn need(&self, reached: &Reached, wanted: u32) -> Judged {
        match self.granted(reached) & wanted == wanted {
            true => Ok(()),
            false => Err(Refused::Errno(libc::EACCES)),
        }
    }

    fn way_up(&self, ino: Ino, inode: &Inode) -> Judged<Way> {
        let mut climb = Climb::default();
        if inode.nlink == 0 {
            if ino == self.top() || !self.index.is_held(ino, self.session)? {
                return Ok(Way::Elsewhere);
            }
            // It has no place any more, but what it was is kept in mind.
            let was = self.climb(inode.parent, true, &mut climb)?;
            let system = was == Way::Leads(Tree::System);
            return Ok(Way::Leads(if system { Tree::System } else { Tree::Volume }));
        }
        if inode.is_directory() {
            return self.climb(ino, false, &mut climb);
        }
        if inode.nlink == 1 {
            return self.climb(inode.parent, true, &mut climb);
        }
        self.any_link(ino, &mut climb)
    }

    fn any_link(&self, ino: Ino, climb: &mut Climb) -> Judged<Way> {
        let mut best = Way::Elsewhere;
        let mut failed = None;
        let links = key::links(ino);
        climb.seen = (!self.restrictions.squash_root).then(HashSet::new);
        self.index.records().each(&links, |key, _: Link| {
            let Key::Link { parent, .. } = key else {
                return true;
            };
            match self.climb(parent, true, climb) {
                Ok(Way::Leads(tree)) => {
                    best = Way::Leads(tree);
                    false
                }
                Ok(Way::Barred) => {
                    best = Way::Barred;
                    true
                }
                Ok(Way::Elsewhere) => true,
                Err(error) => {
                    failed = Some(error);
                    false
                }
            }
        })?;
        failed.map_or(Ok(best), Err)
    }

    /// Goes up from a directory; `through` says that it is one that leads to the inode, and not the inode itself.
    fn climb(&self, from: Ino, through: bool, climb: &mut Climb) -> Judged<Way> {
        let (mut at, mut through, mut barred) = (from, through, false);
        loop {
            if at == Ino::SYSTEM_ROOT {
                return Ok(match self.system {
                    true => Way::Leads(Tree::System),
                    false => Way::Elsewhere,
                });
            }
            if at == Ino::ROOT && self.has_part() {
                return Ok(Way::Elsewhere);
            }
            // Other names of the same file led here, to no place.
            if let Some(seen) = climb.seen.as_mut().filter(|_| through)
                && !seen.insert(at)
            {
                return Ok(Way::Elsewhere);
            }
            climb.steps += 1;
            if climb.steps > limits::WALK_STEPS_MAX {
                return Ok(Way::Elsewhere);
            }
            let Some(directory) = self.index.inode(at)? else {
                return Ok(Way::Elsewhere);
            };
            if !directory.is_directory() || directory.nlink == 0 {
                return Ok(Way::Elsewhere);
            }
            barred |= through
                && self.restrictions.squash_root
                && directory.granted_but_to_root() & SEARCH == 0;
            if at == self.top() {
                return Ok(match barred {
                    true => Way::Barred,
                    false => Way::Leads(Tree::Volume),
                });
            }
            (at, through) = (directory.parent, true);
        }
    }
}

/// What one way up remembers.
#[derive(Default)]
struct Climb {
    /// Directories that led elsewhere. Of one that was barred, the bar may have been below.
    seen: Option<HashSet<Ino>>,
    steps: usize,
}
