//! The names of one directory, as far as they are known under the right to cache them.
//!
//! Each name carries the version it was learned at, so that answers which arrive out of order never
//! bring back what was changed since, own changes included.
//!
//! The kernel may keep names above this cache for a lifetime. To make it forget one takes the lock of
//! the directory, which it holds itself while it waits for the answer to a change in there; and that
//! answer may have to wait until another session, in the same position, has made its kernel forget
//! something. So in a directory that both change names get no lifetime: there is nothing to forget.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wolfdisk_common::ids::Ino;
use wolfdisk_common::limits::LEASE_MS;

use crate::limits;
use crate::session::lease::Lease;
use crate::types::FileKind;

/// What a name leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) ino: Ino,
    pub(crate) kind: FileKind,
    /// Position in the listing, where known.
    pub(crate) cookie: Option<u64>,
}

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Leads(Target),
    Missing,
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    version: u64,
    known: Known,
}

/// What the kernel may do with names of a directory, at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// It may rely until then on what it was given; none: it asks here before it uses a name.
    pub(crate) until: Option<Instant>,
    /// It has the directory locked for a change of ours.
    pub(crate) locked: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Names {
    slots: HashMap<Bytes, Slot>,
    listing: BTreeMap<u64, Bytes>,
    /// Entries with cookies up to here are all in `listing`; `u64::MAX`: the whole directory is.
    listed_to: u64,
    /// When a name last came to be that `listing` may lack: a page read before lacks it too.
    unlisted: u64,
    /// Nothing read before this version is learned.
    floor: u64,
    /// When anything was last given away with a lifetime.
    given: Option<Instant>,
    /// When a name was last changed, or began to be, by us and by others.
    own_change: Option<Instant>,
    foreign_change: Option<Instant>,
    /// Changes of ours that are under way.
    changing: u32,
}

impl Names {
    /// Nothing is known, and nothing read before `floor` will be learned.
    pub(crate) fn from_floor(floor: u64) -> Names {
        Names {
            floor,
            // What was given before it left the memory is not known any more.
            given: Some(Instant::now()),
            ..Names::default()
        }
    }

    /// Nothing read before this version is learned.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// What `name` leads to.
    pub(crate) fn get(&self, name: &[u8]) -> Known {
        match self.slots.get(name) {
            Some(slot) => slot.known,
            None if self.is_complete() => Known::Missing,
            None => Known::Unknown,
        }
    }

    /// The whole directory is known.
    pub(crate) fn is_complete(&self) -> bool {
        self.listed_to == u64::MAX
    }

    /// Number of names kept.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// All names about which something is known.
    pub(crate) fn known_names(&self) -> Vec<Bytes> {
        self.slots.keys().cloned().collect()
    }

    /// The greatest version in here.
    pub(crate) fn newest(&self) -> u64 {
        self.slots
            .values()
            .map(|slot| slot.version)
            .max()
            .unwrap_or(0)
            .max(self.floor)
    }

    /// The directory was made by us at `version`: it is empty and everything about it is known.
    pub(crate) fn begin_empty(&mut self, version: u64) {
        if self.slots.is_empty() && version >= self.floor {
            self.listed_to = u64::MAX;
        }
    }

    /// Learns what an answer of `version` said, or an own change did.
    pub(crate) fn learn(&mut self, name: &[u8], known: Known, version: u64) {
        let newer = self
            .slots
            .get(name)
            .is_none_or(|slot| slot.version <= version);
        if version < self.floor || !newer {
            // Something happened in between that this answer did not know of.
            if version < self.floor {
                self.listed_to = 0;
            }
            return;
        }
        if self.slots.len() >= limits::DIRECTORY_NAMES_MAX {
            self.clear(self.newest());
        }
        let name = Bytes::copy_from_slice(name);
        let old = self.slots.insert(name.clone(), Slot { version, known });
        let old_cookie = old.and_then(|old| cookie(&old.known));
        let new_cookie = cookie(&known).or(match (known, old.map(|old| old.known)) {
            // A lookup does not tell the cookie, but it has not changed if the target has not.
            (Known::Leads(now), Some(Known::Leads(then))) if now.ino == then.ino => then.cookie,
            _ => None,
        });
        if old_cookie != new_cookie
            && let Some(old) = old_cookie
        {
            self.listing.remove(&old);
        }
        match (known, new_cookie) {
            (Known::Leads(target), Some(cookie)) => {
                let known = Known::Leads(Target {
                    cookie: Some(cookie),
                    ..target
                });
                self.slots.insert(name.clone(), Slot { version, known });
                self.listing.insert(cookie, name);
            }
            (Known::Leads(_), None) | (Known::Unknown, _) => {
                self.listed_to = 0;
                self.unlisted = self.unlisted.max(version);
            }
            (Known::Missing, _) => {}
        }
    }

    /// Somebody else changed `name` at `version`.
    pub(crate) fn invalidate(&mut self, name: &[u8], version: u64) {
        self.foreign_change = Some(Instant::now());
        self.listed_to = 0;
        self.learn(name, Known::Unknown, version);
    }

    /// We are about to change a name.
    pub(crate) fn change_begins(&mut self) {
        self.own_change = Some(Instant::now());
        self.changing += 1;
    }

    /// The answer is there.
    pub(crate) fn change_ends(&mut self) {
        self.changing -= 1;
    }

    /// We and others change names in here.
    fn is_contended(&self) -> bool {
        let lately = |change| is_within(change, limits::CONTENDED_FOR);
        lately(self.own_change) && lately(self.foreign_change)
    }

    /// For how long a name that is given away now may be relied on, within what the lease allows.
    pub(crate) fn lifetime(&mut self, lease: &Lease) -> Duration {
        if self.is_contended() {
            return Duration::ZERO;
        }
        self.given = Some(Instant::now());
        lease.kernel_lifetime()
    }

    /// What the kernel may still do with what it was given.
    pub(crate) fn held(&self) -> Held {
        let given = self.given.filter(|given| is_within(Some(*given), LEASE));
        Held {
            until: given.map(|given| given + LEASE),
            locked: self.changing > 0,
        }
    }

    /// Forgets everything; nothing older than `version` is learned again.
    pub(crate) fn clear(&mut self, version: u64) {
        *self = Names {
            floor: self.floor.max(version),
            given: self.given,
            own_change: self.own_change,
            foreign_change: self.foreign_change,
            changing: self.changing,
            ..Names::default()
        };
    }

    /// A page of the listing, read at `version`, that follows `after` and ends with the cookie `last`
    /// (or with the directory).
    pub(crate) fn learn_page(&mut self, after: u64, last: u64, end: bool, version: u64) {
        if version >= self.floor.max(self.unlisted) && after <= self.listed_to {
            self.listed_to = if end {
                u64::MAX
            } else {
                self.listed_to.max(last)
            };
        }
    }

    /// The entries after `cookie`, at most `max`, and whether the directory ends there; none if that
    /// part of the listing is not known.
    pub(crate) fn list(&self, cookie: u64, max: usize) -> Option<(Vec<(Bytes, Target)>, bool)> {
        if cookie >= self.listed_to && !self.is_complete() {
            return None;
        }
        let range = (Bound::Excluded(cookie), Bound::Included(self.listed_to));
        let mut entries = self.listing.range(range).filter_map(|(_, name)| {
            match self.slots.get(name).map(|slot| slot.known) {
                Some(Known::Leads(target)) => Some((name.clone(), target)),
                _ => None,
            }
        });
        let page: Vec<_> = entries.by_ref().take(max).collect();
        let end = self.is_complete() && entries.next().is_none();
        (end || !page.is_empty()).then_some((page, end))
    }
}

/// The longest lifetime.
const LEASE: Duration = Duration::from_millis(LEASE_MS);

fn is_within(when: Option<Instant>, time: Duration) -> bool {
    when.is_some_and(|when| when.elapsed() < time)
}

fn cookie(known: &Known) -> Option<u64> {
    match known {
        Known::Leads(target) => target.cookie,
        Known::Missing | Known::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn leads(ino: u64, cookie: Option<u64>) -> Known {
        Known::Leads(Target {
            ino: Ino(ino),
            kind: FileKind::File,
            cookie,
        })
    }

    #[test]
    fn a_late_answer_does_not_bring_back_what_was_removed() {
        let mut names = Names::default();
        names.learn(b"a", leads(7, Some(3)), 10);
        names.learn(b"a", Known::Missing, 12);
        names.learn(b"a", leads(7, Some(3)), 11);
        assert_eq!(names.get(b"a"), Known::Missing);
        names.invalidate(b"a", 20);
        names.learn(b"a", Known::Missing, 19);
        assert_eq!(names.get(b"a"), Known::Unknown);
        names.clear(30);
        names.learn(b"b", leads(8, None), 29);
        assert_eq!(names.get(b"b"), Known::Unknown);
    }

    fn live() -> Lease {
        let lease = Lease::default();
        lease.renew(Instant::now(), Duration::from_secs(60));
        lease
    }

    #[test]
    fn names_have_no_lifetime_where_two_change_them() {
        let (lease, mut names) = (live(), Names::default());
        let nothing = Held {
            until: None,
            locked: false,
        };
        assert_eq!(names.held(), nothing);
        names.change_begins();
        assert!(names.held().locked);
        assert_ne!(names.lifetime(&lease), Duration::ZERO);
        let given = names.held().until;
        assert!(given.is_some());
        names.invalidate(b"a", 2);
        assert_eq!(names.lifetime(&lease), Duration::ZERO);
        names.change_ends();
        assert_eq!(names.lifetime(&lease), Duration::ZERO);
        assert_eq!(names.held().until, given, "nothing more was given");
    }

    #[test]
    fn who_only_looks_keeps_lifetimes() {
        let (lease, mut names) = (live(), Names::default());
        names.invalidate(b"a", 1);
        assert_ne!(names.lifetime(&lease), Duration::ZERO);
    }

    #[test]
    fn what_the_kernel_got_of_a_forgotten_directory_counts_until_its_lifetime_ends() {
        assert!(Names::from_floor(1).held().until.is_some());
    }

    #[test]
    fn an_own_directory_is_known_whole_until_somebody_else_touches_it() {
        let mut names = Names::default();
        names.begin_empty(5);
        assert_eq!(names.get(b"x"), Known::Missing);
        names.learn(b"x", leads(9, Some(3)), 6);
        assert_eq!(
            names.list(0, 10).map(|(page, end)| (page.len(), end)),
            Some((1, true))
        );
        names.invalidate(b"y", 7);
        assert_eq!(names.get(b"z"), Known::Unknown);
        assert_eq!(names.list(0, 10), None);
    }

    #[test]
    fn a_name_of_which_only_the_change_is_known_is_not_left_out_of_a_listing() {
        let mut names = Names::default();
        names.begin_empty(5);
        names.learn(b"x", leads(9, Some(3)), 6);
        names.learn(b"x", Known::Unknown, 7);
        assert_eq!(names.list(0, 10), None);
        // Nor by a page that was read before the change.
        names.learn(b"y", leads(8, Some(4)), 6);
        names.learn_page(0, 4, true, 6);
        assert_eq!(names.list(0, 10), None);
        names.learn(b"x", leads(10, Some(3)), 7);
        names.learn_page(0, 4, true, 7);
        assert_eq!(
            names.list(0, 10).map(|(page, end)| (page.len(), end)),
            Some((2, true))
        );
    }

    proptest! {
        // The true directory changes by own and foreign mutations; answers read at some version arrive
        // later in any order. What is known is never older than what was confirmed.
        #[test]
        fn what_is_known_is_true(steps in prop::collection::vec((0u8..7, 0u8..5, any::<prop::sample::Index>()), 1..80)) {
            let mut truth: Vec<BTreeMap<u8, (u64, u64)>> = vec![BTreeMap::new()];
            let mut cookie = 2;
            let mut names = Names::default();
            names.begin_empty(0);
            let mut replies: Vec<(u8, Known, u64)> = Vec::new();
            for (kind, name, pick) in steps {
                let version = truth.len() as u64 - 1;
                let mut now = truth.last().expect("a state").clone();
                match kind {
                    0 | 1 | 6 => {
                        cookie += 1;
                        now.insert(name, (100 + cookie, cookie));
                        truth.push(now);
                        let known = leads(100 + cookie, Some(cookie));
                        match kind {
                            0 => names.learn(&[name], known, version + 1),
                            1 => names.invalidate(&[name], version + 1),
                            _ => names.learn(&[name], Known::Unknown, version + 1),
                        }
                    }
                    2 => {
                        now.remove(&name);
                        truth.push(now);
                        names.learn(&[name], Known::Missing, version + 1);
                    }
                    3 => {
                        let known = now.get(&name).map_or(Known::Missing, |(ino, _)| leads(*ino, None));
                        replies.push((name, known, version));
                    }
                    4 => if !replies.is_empty() {
                        let (name, known, version) = replies.swap_remove(pick.index(replies.len()));
                        names.learn(&[name], known, version);
                    },
                    _ => {
                        // A page may be late.
                        let version = pick.index(truth.len()) as u64;
                        let now = &truth[version as usize];
                        for (name, (ino, cookie)) in now {
                            names.learn(&[*name], leads(*ino, Some(*cookie)), version);
                        }
                        let last = now.values().map(|(_, cookie)| *cookie).max().unwrap_or(0);
                        names.learn_page(0, last, true, version);
                    }
                }
                let now = truth.last().expect("a state");
                for name in 0..5u8 {
                    match names.get(&[name]) {
                        Known::Leads(target) => prop_assert_eq!(Some(target.ino.0), now.get(&name).map(|(ino, _)| *ino)),
                        Known::Missing => prop_assert!(!now.contains_key(&name)),
                        Known::Unknown => {}
                    }
                }
                if let Some((page, true)) = names.list(0, 100) {
                    let listed: Vec<u64> = page.iter().map(|(_, target)| target.ino.0).collect();
                    let mut expected: Vec<(u64, u64)> = now.values().map(|(ino, cookie)| (*cookie, *ino)).collect();
                    expected.sort_unstable();
                    prop_assert_eq!(listed, expected.into_iter().map(|(_, ino)| ino).collect::<Vec<_>>());
                }
            }
        }
    }
}
