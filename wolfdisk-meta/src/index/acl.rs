//! POSIX ACLs (IEEE 1003.1e draft 17, as Linux has them): the form in which they are passed, and what
//! changes of mode and creation do to them. Pure.
//!
//! The form is `version` (u32, 2) and entries of `tag` (u16), `permissions` (u16), `id` (u32), all
//! little-endian, in the order owner, users, owning group, groups, mask, others.

use bytes::Bytes;

/// The attribute with the ACL that is checked.
pub const ACCESS: &[u8] = b"system.posix_acl_access";
/// The attribute of a directory with the ACL that new names in it inherit.
pub const DEFAULT: &[u8] = b"system.posix_acl_default";

const VERSION: u32 = 2;
const ENTRY_BYTES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
enum Tag {
    Owner = 0x01,
    User = 0x02,
    OwningGroup = 0x04,
    Group = 0x08,
    Mask = 0x10,
    Others = 0x20,
}

impl Tag {
    fn of(raw: u16) -> Option<Tag> {
        [
            Tag::Owner,
            Tag::User,
            Tag::OwningGroup,
            Tag::Group,
            Tag::Mask,
            Tag::Others,
        ]
        .into_iter()
        .find(|tag| *tag as u16 == raw)
    }

    fn is_named(self) -> bool {
        matches!(self, Tag::User | Tag::Group)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AclEntry {
    tag: Tag,
    permissions: u32,
    id: u32,
}

/// A valid ACL, or one without entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    entries: Vec<AclEntry>,
}

impl Acl {
    /// Reads and checks an attribute's value; none if it is no valid ACL.
    pub fn parse(value: &[u8]) -> Option<Acl> {
        let (version, rest) = value.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*version) != VERSION || rest.len() % ENTRY_BYTES != 0 {
            return None;
        }
        let entries = rest.chunks_exact(ENTRY_BYTES).map(|raw| {
            let (tag, raw) = raw.split_first_chunk::<2>()?;
            let (permissions, raw) = raw.split_first_chunk::<2>()?;
            let (id, _) = raw.split_first_chunk::<4>()?;
            let permissions = u32::from(u16::from_le_bytes(*permissions));
            let tag = Tag::of(u16::from_le_bytes(*tag))?;
            (permissions <= 7).then_some(AclEntry {
                tag,
                permissions,
                id: u32::from_le_bytes(*id),
            })
        });
        let acl = Acl {
            entries: entries.collect::<Option<_>>()?,
        };
        (acl.is_empty() || acl.is_valid()).then_some(acl)
    }

    /// The attribute's value.
    pub fn encode(&self) -> Bytes {
        let mut to = Vec::with_capacity(4 + self.entries.len() * ENTRY_BYTES);
        to.extend_from_slice(&VERSION.to_le_bytes());
        for entry in &self.entries {
            to.extend_from_slice(&(entry.tag as u16).to_le_bytes());
            to.extend_from_slice(&(entry.permissions as u16).to_le_bytes());
            to.extend_from_slice(&entry.id.to_le_bytes());
        }
        Bytes::from(to)
    }

    /// It has no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// It says no more than a mode does.
    pub fn is_only_mode(&self) -> bool {
        !self
            .entries
            .iter()
            .any(|entry| entry.tag.is_named() || entry.tag == Tag::Mask)
    }

    /// The nine permission bits that a mode shows of it: the mask stands for the group.
    pub fn mode(&self) -> u32 {
        let group = self
            .get(Tag::Mask)
            .or_else(|| self.get(Tag::OwningGroup))
            .unwrap_or(0);
        let (owner, others) = (self.get(Tag::Owner), self.get(Tag::Others));
        owner.unwrap_or(0) << 6 | group << 3 | others.unwrap_or(0)
    }

    /// A change of mode changes owner, others, and the mask or else the owning group.
    pub fn chmod(&mut self, mode: u32) {
        let group = self.group_tag();
        for entry in &mut self.entries {
            match entry.tag {
                Tag::Owner => entry.permissions = mode >> 6 & 7,
                Tag::Others => entry.permissions = mode & 7,
                tag if tag == group => entry.permissions = mode >> 3 & 7,
                _ => {}
            }
        }
    }

    /// Makes a default ACL the access ACL of something created with `mode`, and gives the mode that
    /// comes of it: each allows no more than the other.
    pub fn create_masq(&mut self, mode: u32) -> u32 {
        let group = self.group_tag();
        let mut result = mode;
        for entry in &mut self.entries {
            let shift = match entry.tag {
                Tag::Owner => 6,
                Tag::Others => 0,
                tag if tag == group => 3,
                _ => continue,
            };
            entry.permissions &= mode >> shift & 7;
            result = result & !(7 << shift) | entry.permissions << shift;
        }
        result
    }

    fn group_tag(&self) -> Tag {
        if self.get(Tag::Mask).is_some() {
            Tag::Mask
        } else {
            Tag::OwningGroup
        }
    }

    fn get(&self, tag: Tag) -> Option<u32> {
        self.entries
            .iter()
            .find(|entry| entry.tag == tag)
            .map(|entry| entry.permissions)
    }

    /// Owner, owning group and others once each, a mask if anyone is named, all in order.
    fn is_valid(&self) -> bool {
        let count = |tag| self.entries.iter().filter(|entry| entry.tag == tag).count();
        let once = [Tag::Owner, Tag::OwningGroup, Tag::Others]
            .into_iter()
            .all(|tag| count(tag) == 1);
        let masked = match count(Tag::Mask) {
            0 => !self.entries.iter().any(|entry| entry.tag.is_named()),
            masks => masks == 1,
        };
        once && masked && self.entries.is_sorted_by_key(|entry| entry.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(Tag, u32, u32)]) -> Acl {
        let entry = |&(tag, permissions, id)| AclEntry {
            tag,
            permissions,
            id,
        };
        Acl {
            entries: entries.iter().map(entry).collect(),
        }
    }

    fn rich() -> Acl {
        acl(&[
            (Tag::Owner, 7, u32::MAX),
            (Tag::User, 6, 1000),
            (Tag::OwningGroup, 5, u32::MAX),
            (Tag::Mask, 7, u32::MAX),
            (Tag::Others, 4, u32::MAX),
        ])
    }

    #[test]
    fn a_valid_acl_comes_back() {
        assert_eq!(Acl::parse(&rich().encode()), Some(rich()));
        assert_eq!(
            Acl::parse(&[2, 0, 0, 0]).map(|acl| acl.is_empty()),
            Some(true)
        );
    }

    #[test]
    fn what_linux_refuses_is_refused() {
        let none = u32::MAX;
        let without_mask = acl(&[
            (Tag::Owner, 7, none),
            (Tag::User, 6, 1),
            (Tag::OwningGroup, 5, none),
            (Tag::Others, 4, none),
        ]);
        let twice = acl(&[
            (Tag::Owner, 7, none),
            (Tag::Owner, 6, none),
            (Tag::OwningGroup, 5, none),
            (Tag::Others, 4, none),
        ]);
        let unordered = acl(&[
            (Tag::Others, 7, none),
            (Tag::OwningGroup, 5, none),
            (Tag::Owner, 4, none),
        ]);
        let too_much = acl(&[
            (Tag::Owner, 8, none),
            (Tag::OwningGroup, 5, none),
            (Tag::Others, 4, none),
        ]);
        for bad in [without_mask, twice, unordered, too_much] {
            assert_eq!(Acl::parse(&bad.encode()), None, "{bad:?}");
        }
        assert_eq!(Acl::parse(&[1, 0, 0, 0]), None);
        assert_eq!(Acl::parse(&[2, 0, 0, 0, 1]), None);
        assert_eq!(Acl::parse(b""), None);
    }

    #[test]
    fn the_mask_is_what_the_mode_shows_as_group() {
        let mut acl = rich();
        assert_eq!(acl.mode(), 0o774);
        acl.chmod(0o2640);
        assert_eq!(acl.mode(), 0o640);
        assert_eq!(acl.get(Tag::OwningGroup), Some(5), "the group itself stays");
        assert_eq!(acl.get(Tag::User), Some(6), "named users stay");
    }

    #[test]
    fn creation_takes_what_both_allow() {
        let mut default = rich();
        assert_eq!(default.create_masq(0o100_666), 0o100_664);
        assert_eq!(default.get(Tag::Mask), Some(6));
        let mut plain = acl(&[
            (Tag::Owner, 7, 0),
            (Tag::OwningGroup, 5, 0),
            (Tag::Others, 0, 0),
        ]);
        assert_eq!(plain.create_masq(0o666), 0o640);
        assert!(plain.is_only_mode());
    }
}
