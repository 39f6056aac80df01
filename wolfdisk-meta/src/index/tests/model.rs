//! A file system in memory, written the plain way: the oracle.

use std::collections::BTreeMap;

use wolfdisk_common::ids::Ino;
use wolfdisk_common::time::Timestamp;

use crate::index::op::Kind;

/// Files of the model are no longer than this.
pub(super) const SPACE: usize = 6000;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub kind: Kind,
    pub nlink: u32,
    pub size: usize,
    pub data: Vec<u8>,
    pub allocated: Vec<bool>,
    pub children: BTreeMap<String, Ino>,
    pub parent: Ino,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
    pub held: bool,
}

#[derive(Debug)]
pub(super) struct Model {
    pub nodes: BTreeMap<Ino, Node>,
    pub now: Timestamp,
}

type Errno = i32;

impl Model {
    pub(super) fn new(created: Timestamp) -> Model {
        let mut model = Model {
            nodes: BTreeMap::new(),
            now: created,
        };
        model
            .nodes
            .insert(Ino::ROOT, model.node(Kind::Directory, Ino::ROOT));
        model
    }

    fn node(&self, kind: Kind, parent: Ino) -> Node {
        let directory = kind == Kind::Directory;
        Node {
            kind,
            nlink: if directory { 2 } else { 1 },
            size: 0,
            data: vec![0; SPACE],
            allocated: vec![false; SPACE],
            children: BTreeMap::new(),
            parent,
            mtime: self.now,
            ctime: self.now,
            held: false,
        }
    }

    fn at(&mut self, ino: Ino) -> &mut Node {
        self.nodes.get_mut(&ino).expect("a node")
    }

    fn directory(&self, ino: Ino) -> Result<&Node, Errno> {
        let node = self.nodes.get(&ino).ok_or(libc::ENOENT)?;
        if node.kind != Kind::Directory {
            return Err(libc::ENOTDIR);
        }
        if node.nlink == 0 {
            Err(libc::ENOENT)
        } else {
            Ok(node)
        }
    }

    pub(super) fn file(&self, ino: Ino) -> Result<&Node, Errno> {
        let node = self.nodes.get(&ino).ok_or(libc::ENOENT)?;
        match node.kind {
            Kind::File => Ok(node),
            Kind::Directory => Err(libc::EISDIR),
            _ => Err(libc::EINVAL),
        }
    }

    fn child(&self, parent: Ino, name: &str) -> Result<Option<Ino>, Errno> {
        Ok(self.directory(parent)?.children.get(name).copied())
    }

    fn touch(&mut self, directory: Ino) {
        let now = self.now;
        let node = self.at(directory);
        (node.mtime, node.ctime) = (now, now);
    }

    pub(super) fn create(
        &mut self,
        parent: Ino,
        name: &str,
        kind: Kind,
        ino: Ino,
    ) -> Result<(), Errno> {
        if self.child(parent, name)?.is_some() {
            return Err(libc::EEXIST);
        }
        let node = self.node(kind, parent);
        self.nodes.insert(ino, node);
        self.at(parent).children.insert(name.to_owned(), ino);
        self.at(parent).nlink += u32::from(kind == Kind::Directory);
        self.touch(parent);
        Ok(())
    }

    pub(super) fn link(&mut self, ino: Ino, parent: Ino, name: &str) -> Result<(), Errno> {
        let node = self.nodes.get(&ino).ok_or(libc::ENOENT)?;
        let (kind, nlink) = (node.kind, node.nlink);
        if self.child(parent, name)?.is_some() {
            return Err(libc::EEXIST);
        }
        if kind == Kind::Directory {
            return Err(libc::EPERM);
        }
        if nlink == 0 {
            return Err(libc::ENOENT);
        }
        let now = self.now;
        self.at(ino).nlink += 1;
        self.at(ino).ctime = now;
        self.at(parent).children.insert(name.to_owned(), ino);
        self.touch(parent);
        Ok(())
    }

    pub(super) fn unlink(
        &mut self,
        parent: Ino,
        name: &str,
        directory: bool,
        keep: bool,
    ) -> Result<(), Errno> {
        let ino = self.child(parent, name)?.ok_or(libc::ENOENT)?;
        let victim = &self.nodes[&ino];
        match (directory, victim.kind == Kind::Directory) {
            (true, false) => return Err(libc::ENOTDIR),
            (false, true) => return Err(libc::EISDIR),
            (true, true) if !victim.children.is_empty() => return Err(libc::ENOTEMPTY),
            _ => {}
        }
        self.at(parent).children.remove(name);
        self.touch(parent);
        self.lose(parent, ino, keep);
        Ok(())
    }

    fn lose(&mut self, parent: Ino, ino: Ino, keep: bool) {
        let now = self.now;
        let victim = self.at(ino);
        victim.ctime = now;
        let directory = victim.kind == Kind::Directory;
        victim.nlink = if directory { 0 } else { victim.nlink - 1 };
        if victim.nlink == 0 {
            victim.held = keep;
            if !keep {
                self.nodes.remove(&ino);
            }
        }
        self.at(parent).nlink -= u32::from(directory);
    }

    fn is_below(&self, mut ino: Ino, above: Ino) -> bool {
        loop {
            if ino == above {
                return true;
            }
            if ino == Ino::ROOT {
                return false;
            }
            ino = self.nodes[&ino].parent;
        }
    }

    pub(super) fn rename(
        &mut self,
        (from, name): (Ino, &str),
        (to, new_name): (Ino, &str),
        (no_replace, exchange, keep): (bool, bool, bool),
    ) -> Result<(), Errno> {
        if no_replace && exchange {
            return Err(libc::EINVAL);
        }
        self.directory(from)?;
        self.directory(to)?;
        let source = self.child(from, name)?.ok_or(libc::ENOENT)?;
        let target = self.child(to, new_name)?;
        if no_replace && target.is_some() {
            return Err(libc::EEXIST);
        }
        let is_dir = |model: &Model, ino: Ino| model.nodes[&ino].kind == Kind::Directory;
        if is_dir(self, source) && self.is_below(to, source) {
            return Err(libc::EINVAL);
        }
        if exchange && target.is_none() {
            return Err(libc::ENOENT);
        }
        if target == Some(source) {
            return Ok(());
        }
        if let Some(target) = target {
            if exchange {
                if is_dir(self, target) && self.is_below(from, target) {
                    return Err(libc::EINVAL);
                }
            } else {
                match (is_dir(self, source), is_dir(self, target)) {
                    (true, false) => return Err(libc::ENOTDIR),
                    (false, true) => return Err(libc::EISDIR),
                    (true, true) if !self.nodes[&target].children.is_empty() => {
                        return Err(libc::ENOTEMPTY);
                    }
                    _ => {}
                }
            }
        }
        let now = self.now;
        self.at(from).children.remove(name);
        if let (Some(target), false) = (target, exchange) {
            self.lose(to, target, keep);
        }
        self.at(to).children.insert(new_name.to_owned(), source);
        let mut moved = vec![(source, from, to)];
        if let (Some(target), true) = (target, exchange) {
            self.at(from).children.insert(name.to_owned(), target);
            moved.push((target, to, from));
        }
        for (ino, old, new) in moved {
            self.at(ino).ctime = now;
            if is_dir(self, ino) {
                self.at(ino).parent = new;
                self.at(old).nlink -= 1;
                self.at(new).nlink += 1;
            }
        }
        self.touch(from);
        self.touch(to);
        Ok(())
    }

    /// Changes a file's content by `change`.
    pub(super) fn edit(&mut self, ino: Ino, change: impl FnOnce(&mut Node)) -> Result<(), Errno> {
        self.file(ino)?;
        change(self.at(ino));
        self.touch(ino);
        Ok(())
    }
}

impl Node {
    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        self.data[offset..end].copy_from_slice(data);
        self.allocated[offset..end].fill(true);
        self.size = self.size.max(end);
    }

    pub(super) fn truncate(&mut self, size: usize) {
        if size <= self.size {
            self.data[size..].fill(0);
            self.allocated[size..].fill(false);
        }
        self.size = size;
    }
}
