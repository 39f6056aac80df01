//! The rules, by what they speak of.

use std::collections::{BTreeMap, BTreeSet};

use wolfdisk_common::ids::{ChunkId, Ino};

use super::Breach;
use super::census::Census;
use crate::index::extent::Extent;
use crate::index::key::Key;
use crate::index::op::Kind;
use crate::index::record::{ExtentSource, Inode};

/// Names and cookies pair up, and mean inodes of the kind they say.
pub(super) fn names(census: &Census, breaches: &mut Vec<Breach>) {
    for ((parent, name), dirent) in &census.dirents {
        let mut breach = |what| {
            breaches.push(Breach::Name {
                parent: *parent,
                name: name.to_vec(),
                what,
            });
        };
        match census.cookies.get(&(*parent, dirent.cookie)) {
            Some(cookie) if cookie.name.as_bytes() == name && cookie.ino == dirent.ino => {}
            _ => breach("its cookie does not lead back to it"),
        }
        match census.inodes.get(&dirent.ino) {
            Some(inode) if inode.kind == dirent.kind => {}
            Some(_) => breach("its inode is of another kind"),
            None => breach("its inode is missing"),
        }
        match census.inodes.get(parent) {
            Some(directory) if !directory.is_directory() => breach("it is in no directory"),
            Some(directory) if directory.next_cookie <= dirent.cookie => {
                breach("its cookie may be given again");
            }
            Some(_) => {}
            None => breach("its directory is missing"),
        }
    }
    let (named, numbered) = (census.dirents.len() as u64, census.cookies.len() as u64);
    if named != numbered {
        breaches.push(Breach::Counter {
            what: "cookies",
            found: numbered,
            counted: named,
        });
    }
}

/// Links, places and attributes of inodes.
pub(super) fn inodes(census: &Census, breaches: &mut Vec<Breach>) {
    let mut names: BTreeMap<Ino, u64> = BTreeMap::new();
    let mut entries: BTreeMap<Ino, (u64, u64)> = BTreeMap::new();
    for ((parent, _), dirent) in &census.dirents {
        *names.entry(dirent.ino).or_default() += 1;
        let (all, directories) = entries.entry(*parent).or_default();
        *all += 1;
        *directories += u64::from(dirent.kind == Kind::Directory);
    }
    let held: BTreeSet<Ino> = census.orphans.iter().map(|(_, ino)| *ino).collect();
    for (&ino, inode) in &census.inodes {
        let named = names.get(&ino).copied().unwrap_or(0);
        let (all, directories) = entries.get(&ino).copied().unwrap_or_default();
        let reachable = named > 0 || ino == Ino::ROOT;
        let nlink = match (inode.is_directory(), reachable) {
            (true, true) => 2 + directories,
            (true, false) => 0,
            (false, _) => named,
        };
        let mut compare = |what, found, counted| {
            if found != counted {
                breaches.push(Breach::Inode {
                    ino,
                    what,
                    found,
                    counted,
                });
            }
        };
        compare("nlink", u64::from(inode.nlink), nlink);
        compare("entries", inode.entries, all);
        let links = census.links.range((ino, Ino(0), bytes::Bytes::new())..);
        let links = links.take_while(|(of, _, _)| *of == ino).count() as u64;
        let expected = if named > 1 && !inode.is_directory() {
            named
        } else {
            0
        };
        compare("link records", links, expected);
        attributes(census, ino, inode, &mut compare);
        if inode.nlink == 0 && !held.contains(&ino) && !census.reaping.contains_key(&ino) {
            breaches.push(Breach::Shape {
                ino,
                what: "nothing names, holds or deletes it",
            });
        }
        if named == 1 && ino != Ino::ROOT {
            let place = census.dirents.get(&(inode.parent, inode.name.clone()));
            if place.is_none_or(|dirent| dirent.ino != ino) {
                breaches.push(Breach::Shape {
                    ino,
                    what: "it is not where it says",
                });
            }
        }
        if ino >= census.counters.next_ino {
            breaches.push(Breach::Shape {
                ino,
                what: "its number may be given again",
            });
        }
    }
}

fn attributes(
    census: &Census,
    ino: Ino,
    inode: &Inode,
    compare: &mut impl FnMut(&'static str, u64, u64),
) {
    let none = Vec::new();
    let xattrs = census.xattrs.get(&ino).unwrap_or(&none);
    compare(
        "xattr_count",
        u64::from(inode.xattr_count),
        xattrs.len() as u64,
    );
    let names = xattrs.iter().map(|(name, _)| name.len() as u64 + 1).sum();
    compare("xattr_name_bytes", inode.xattr_name_bytes, names);
    let bytes = xattrs
        .iter()
        .map(|(name, length)| (name.len() + length) as u64)
        .sum();
    compare("xattr_bytes", inode.xattr_bytes, bytes);
}

/// Extents, chunks, and what is in the log.
pub(super) fn content(census: &Census, breaches: &mut Vec<Breach>) {
    let mut references: BTreeMap<ChunkId, (u64, u64)> = BTreeMap::new();
    let mut undestaged: BTreeMap<Key, u64> = BTreeMap::new();
    for (&ino, extents) in &census.extents {
        let mut breach = |what| breaches.push(Breach::Shape { ino, what });
        if extents
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a.end() > b.start))
        {
            breach("extents overlap");
        }
        // Inline ones may come to be joinable when they are cut; that is not worth a second look.
        let inline = |extent: &Extent| matches!(extent.source, ExtentSource::Inline { .. });
        let apart = |a: &Extent, b: &Extent| !inline(a) && a.joined(b).is_some();
        if extents
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if apart(a, b)))
        {
            breach("extents that go on are apart");
        }
        for extent in extents {
            match &extent.source {
                ExtentSource::Chunk { id, .. } => {
                    let (count, bytes) = references.entry(*id).or_default();
                    *count += 1;
                    *bytes += extent.length;
                }
                &ExtentSource::Log {
                    log_index,
                    offset: log_offset,
                } => {
                    let end = extent.end();
                    let key = Key::Undestaged {
                        log_index,
                        log_offset,
                        ino,
                        end,
                    };
                    undestaged.insert(key, extent.length);
                }
                ExtentSource::Inline { bytes } if bytes.len() as u64 != extent.length => {
                    breach("inline bytes are not as long as their extent");
                }
                ExtentSource::Inline { .. } | ExtentSource::Zero => {}
            }
        }
        if !census.inodes.contains_key(&ino) {
            breach("extents of an inode that is missing");
        }
    }
    for (&id, chunk) in &census.chunks {
        let (count, bytes) = references.remove(&id).unwrap_or_default();
        let mut compare = |what, found, counted| {
            if found != counted {
                breaches.push(Breach::Chunk {
                    id,
                    what,
                    found,
                    counted,
                });
            }
        };
        compare("references", chunk.references, count);
        compare("live_bytes", chunk.live_bytes, bytes);
        compare(
            "garbage mark",
            u64::from(census.garbage.contains(&id)),
            u64::from(count == 0),
        );
        let sparse = count > 0 && bytes < u64::from(chunk.length) / 8 * 7;
        compare(
            "sparse mark",
            u64::from(census.sparse.contains(&id)),
            u64::from(sparse),
        );
    }
    for &id in census
        .sparse
        .iter()
        .filter(|id| !census.chunks.contains_key(id))
    {
        breaches.push(Breach::Chunk {
            id,
            what: "sparse mark",
            found: 1,
            counted: 0,
        });
    }
    for (id, (counted, _)) in references {
        breaches.push(Breach::Chunk {
            id,
            what: "references",
            found: 0,
            counted,
        });
    }
    let mut compare = |what, found, counted| {
        if found != counted {
            breaches.push(Breach::Counter {
                what,
                found,
                counted,
            });
        }
    };
    compare(
        "extents in the log",
        u64::from(undestaged != census.undestaged),
        0,
    );
    let bytes = undestaged.values().sum();
    compare("undestaged bytes", census.counters.undestaged_bytes, bytes);
    compare("chunks", census.counters.chunks, census.chunks.len() as u64);
    compare(
        "garbage",
        census.counters.garbage,
        census.garbage.len() as u64,
    );
}

/// What projects use.
pub(super) fn usage(census: &Census, breaches: &mut Vec<Breach>) {
    let mut counted: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for (&ino, inode) in &census.inodes {
        let extents = census.extents.get(&ino).map_or(&[][..], Vec::as_slice);
        let bytes = extents.iter().map(|extent| extent.length).sum::<u64>();
        if inode.allocated != bytes {
            let (what, found) = ("allocated", inode.allocated);
            breaches.push(Breach::Inode {
                ino,
                what,
                found,
                counted: bytes,
            });
        }
        let (total, inodes) = counted.entry(inode.project).or_default();
        *total += bytes;
        *inodes += 1;
    }
    for (&project, usage) in &census.usage {
        let (bytes, inodes) = counted.remove(&project).unwrap_or_default();
        for (what, found, counted) in [
            ("bytes", usage.bytes, bytes),
            ("inodes", usage.inodes, inodes),
        ] {
            if found != counted {
                breaches.push(Breach::Usage {
                    project,
                    what,
                    found,
                    counted,
                });
            }
        }
    }
    for (project, (_, counted)) in counted {
        breaches.push(Breach::Usage {
            project,
            what: "inodes",
            found: 0,
            counted,
        });
    }
}

/// What belongs to sessions belongs to sessions that are open.
pub(super) fn sessions(census: &Census, breaches: &mut Vec<Breach>) {
    let mut breach = |session, what| breaches.push(Breach::Session { session, what });
    let holders = census
        .orphans
        .iter()
        .chain(&census.locks)
        .map(|(session, _)| session);
    for &session in holders.chain(&census.answered) {
        if !census.sessions.contains(&session) {
            breach(session, "it is closed and still has something");
        }
    }
    for (session, _) in census.locks.symmetric_difference(&census.session_locks) {
        breach(*session, "its locks and its list of them differ");
    }
    for (session, _) in census.orphans.symmetric_difference(&census.session_orphans) {
        breach(
            *session,
            "its open inodes without links and its list of them differ",
        );
    }
    for &(session, ino) in &census.orphans {
        if census.inodes.get(&ino).is_none_or(|inode| inode.nlink > 0) {
            breach(session, "it holds an inode that is no orphan");
        }
    }
}
