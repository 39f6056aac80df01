//! The tree in memory: inodes by number, names by directory. One lock for the tree, one for each file's
//! content, so that copying data stops nobody.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{Errno, FileAttr, FileType, INodeNo};
use parking_lot::RwLock;
use wolfdisk_common::ids::Ino;
use wolfdisk_fuse::attributes::bare;

/// Bytes of a file.
pub type Content = Arc<RwLock<Vec<u8>>>;

/// An inode: what it is, and what is in it, by its kind.
pub struct Node {
    pub attr: FileAttr,
    pub content: Content,
    pub target: OsString,
    pub parent: u64,
    /// Names in the order in which they were made: a listing goes on after a number.
    names: BTreeMap<u64, (OsString, u64)>,
    numbers: HashMap<OsString, u64>,
    next_name: u64,
}

/// One entry of a listing: its position, its name, what it leads to.
pub type Entry = (u64, OsString, FileAttr);

/// See the module.
pub struct Tree {
    nodes: HashMap<u64, Node>,
    next: u64,
}

impl Default for Tree {
    fn default() -> Tree {
        let root = Ino::ROOT.0;
        let mut tree = Tree {
            nodes: HashMap::new(),
            next: root + 1,
        };
        tree.nodes
            .insert(root, node(root, root, FileType::Directory, 0o755, (0, 0)));
        tree
    }
}

fn node(ino: u64, parent: u64, kind: FileType, permissions: u16, owner: (u32, u32)) -> Node {
    let now = SystemTime::now();
    let (uid, gid) = owner;
    let attr = FileAttr {
        atime: now,
        mtime: now,
        ctime: now,
        crtime: now,
        perm: permissions,
        nlink: 1,
        uid,
        gid,
        blksize: wolfdisk_fuse::limits::PREFERRED_BLOCK_BYTES,
        ..bare(Ino(ino), kind)
    };
    Node {
        attr,
        content: Content::default(),
        target: OsString::new(),
        parent,
        names: BTreeMap::new(),
        numbers: HashMap::new(),
        // The first two are "." and "..".
        next_name: 3,
    }
}

impl Node {
    fn child(&self, name: &OsStr) -> Option<u64> {
        let number = self.numbers.get(name)?;
        self.names.get(number).map(|(_, ino)| *ino)
    }

    fn enter(&mut self, name: &OsStr, ino: u64) {
        let number = self.next_name;
        self.next_name += 1;
        self.names.insert(number, (name.to_owned(), ino));
        self.numbers.insert(name.to_owned(), number);
    }

    fn leave(&mut self, name: &OsStr) -> Option<u64> {
        let number = self.numbers.remove(name)?;
        self.names.remove(&number).map(|(_, ino)| ino)
    }
}

impl Tree {
    /// The inode of that number.
    pub fn get(&self, ino: u64) -> Result<&Node, Errno> {
        self.nodes.get(&ino).ok_or(Errno::ENOENT)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, ino: u64) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&ino).ok_or(Errno::ENOENT)
    }

    /// What a name leads to.
    pub fn look_up(&self, parent: u64, name: &OsStr) -> Result<&Node, Errno> {
        let ino = self.get(parent)?.child(name).ok_or(Errno::ENOENT)?;
        self.get(ino)
    }

    /// A new inode under a new name.
    pub fn make(
        &mut self,
        parent: u64,
        name: &OsStr,
        kind: FileType,
        permissions: u32,
        owner: (u32, u32),
    ) -> Result<&mut Node, Errno> {
        let ino = self.next;
        let directory = self.get_mut(parent)?;
        if directory.child(name).is_some() {
            return Err(Errno::EEXIST);
        }
        directory.enter(name, ino);
        directory.attr.mtime = SystemTime::now();
        self.next += 1;
        let permissions = (permissions & 0o7777) as u16;
        Ok(self
            .nodes
            .entry(ino)
            .or_insert_with(|| node(ino, parent, kind, permissions, owner)))
    }

    /// Takes a name away, and its inode with it: what is open keeps its content.
    pub fn remove(&mut self, parent: u64, name: &OsStr, directory: bool) -> Result<(), Errno> {
        let victim = self.look_up(parent, name)?;
        let is_directory = victim.attr.kind == FileType::Directory;
        match (directory, is_directory) {
            (true, false) => return Err(Errno::ENOTDIR),
            (false, true) => return Err(Errno::EISDIR),
            (true, true) if !victim.names.is_empty() => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        if let Some(ino) = self.get_mut(parent)?.leave(name) {
            self.nodes.remove(&ino);
        }
        Ok(())
    }

    /// Moves a name over whatever is there.
    pub fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Result<(), Errno> {
        let moved = self.look_up(from.0, from.1)?.attr.ino.0;
        match self.look_up(to.0, to.1).map(|victim| victim.attr.kind) {
            Ok(kind) => self.remove(to.0, to.1, kind == FileType::Directory)?,
            Err(_) => {
                self.get(to.0)?;
            }
        }
        self.get_mut(from.0)?.leave(from.1);
        self.get_mut(to.0)?.enter(to.1, moved);
        self.get_mut(moved)?.parent = to.0;
        Ok(())
    }

    /// The entries after a position, at most `count`.
    pub fn list(&self, ino: u64, after: u64, count: usize) -> Result<Vec<Entry>, Errno> {
        let directory = self.get(ino)?;
        let dots = [(1, ".", ino), (2, "..", directory.parent)]
            .into_iter()
            .filter(|(position, ..)| *position > after)
            .map(|(position, name, ino)| {
                (position, name.into(), bare(Ino(ino), FileType::Directory))
            });
        let entries =
            directory
                .names
                .range(after.max(2) + 1..)
                .filter_map(|(position, (name, ino))| {
                    Some((*position, name.clone(), self.get(*ino).ok()?.attr))
                });
        Ok(dots.chain(entries).take(count).collect())
    }
}

/// Attributes with the size that the content has now.
pub fn visible(node: &Node) -> FileAttr {
    let size = match node.attr.kind {
        FileType::Symlink => node.target.len() as u64,
        _ => node.content.read().len() as u64,
    };
    FileAttr {
        size,
        blocks: size.div_ceil(512),
        ino: INodeNo(node.attr.ino.0),
        ..node.attr
    }
}
