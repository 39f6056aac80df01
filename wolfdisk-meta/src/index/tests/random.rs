//! Random mutations, compared with the model after each, counted again from scratch, and replayed.

use proptest::prelude::*;
use wolfdisk_common::ids::{Ino, Version};

use super::harness::{self, World, name};
use super::model::{Model, SPACE};
use crate::index::op::{Kind, Op};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Clone, Debug)]
enum Step {
    Create(usize, usize, u8),
    Link(usize, usize, usize),
    Unlink(usize, usize, bool, bool),
    Rename((usize, usize), (usize, usize), u8),
    Write(usize, usize, usize, bool),
    Append(usize, usize),
    Truncate(usize, usize),
    Fallocate(usize, u8, usize, usize),
    Copy(usize, usize, usize, usize, usize),
    Destage,
    Repack(Option<(usize, usize, usize)>),
    DropGarbage,
    LetGo,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let n = 0usize..64;
    let offset = 0usize..4000;
    let length = 1usize..1500;
    let step = prop_oneof![
        4 => (n.clone(), n.clone(), 0u8..4).prop_map(|(a, b, c)| Step::Create(a, b, c)),
        1 => (n.clone(), n.clone(), n.clone()).prop_map(|(a, b, c)| Step::Link(a, b, c)),
        2 => (n.clone(), n.clone(), any::<bool>(), any::<bool>())
            .prop_map(|(a, b, c, d)| Step::Unlink(a, b, c, d)),
        4 => ((n.clone(), n.clone()), (n.clone(), n.clone()), 0u8..8)
            .prop_map(|(a, b, c)| Step::Rename(a, b, c)),
        6 => (n.clone(), offset.clone(), length.clone(), any::<bool>())
            .prop_map(|(a, b, c, d)| Step::Write(a, b, c, d)),
        1 => (n.clone(), 1usize..300).prop_map(|(a, b)| Step::Append(a, b)),
        2 => (n.clone(), 0usize..5000).prop_map(|(a, b)| Step::Truncate(a, b)),
        3 => (n.clone(), 0u8..5, offset.clone(), length.clone())
            .prop_map(|(a, b, c, d)| Step::Fallocate(a, b, c, d)),
        3 => (n.clone(), offset.clone(), n, offset, length)
            .prop_map(|(a, b, c, d, e)| Step::Copy(a, b, c, d, e)),
        1 => Just(Step::Destage),
        1 => proptest::option::of((0usize..64, 0usize..4000, 1usize..1500)).prop_map(Step::Repack),
        1 => Just(Step::DropGarbage),
        1 => Just(Step::LetGo),
    ];
    proptest::collection::vec(step, 1..60)
}

struct Pair {
    world: World,
    model: Model,
}

impl Pair {
    fn pick(&self, at: usize, wanted: Option<Kind>) -> Ino {
        let fits = |ino: &&Ino| wanted.is_none_or(|kind| self.model.nodes[*ino].kind == kind);
        let all: Vec<&Ino> = self.model.nodes.keys().filter(fits).collect();
        // Now and then of a kind that does not fit, to see the errors.
        if all.is_empty() || at.is_multiple_of(13) {
            return *self
                .model
                .nodes
                .keys()
                .nth(at % self.model.nodes.len())
                .expect("a node");
        }
        *all[at % all.len()]
    }

    fn dir(&self, at: usize) -> Ino {
        self.pick(at, Some(Kind::Directory))
    }

    fn run(&mut self, op: Op, change: impl FnOnce(&mut Model, Ino) -> Result<(), i32>) {
        self.model.now = self.world.now();
        let outcome = self.world.run(op);
        let ino = outcome.answer.inodes.first().copied().unwrap_or(Ino(0));
        let expected = change(&mut self.model, ino).err().unwrap_or(0);
        assert_eq!(outcome.answer.errno, expected);
    }

    fn step(&mut self, step: &Step, salt: u8) {
        match *step {
            Step::Create(at, text, kind) => {
                let kinds = [Kind::File, Kind::File, Kind::Directory, Kind::Symlink];
                let (parent, text) = (self.dir(at), NAMES[text % 5]);
                let kind = kinds[kind as usize % 4];
                self.run(harness::create(parent, text, kind), |model, ino| {
                    model.create(parent, text, kind, ino)
                });
            }
            Step::Link(ino, at, text) => {
                let (ino, parent, text) = (self.pick(ino, None), self.dir(at), NAMES[text % 5]);
                let op = Op::Link {
                    ino,
                    parent,
                    name: name(text),
                };
                self.run(op, |model, _| model.link(ino, parent, text));
            }
            Step::Unlink(at, text, directory, keep_open) => {
                let (parent, text) = (self.dir(at), NAMES[text % 5]);
                let openers = Vec::new();
                let op = Op::Unlink {
                    parent,
                    name: name(text),
                    directory,
                    keep_open,
                    openers,
                };
                self.run(op, |model, _| {
                    model.unlink(parent, text, directory, keep_open)
                });
            }
            Step::Rename((from, old), (to, new), flags) => {
                self.rename((from, old), (to, new), flags)
            }
            Step::LetGo => {
                let held = |ino: &Ino| self.model.nodes[ino].held;
                let inos: Vec<Ino> = self.model.nodes.keys().copied().filter(held).collect();
                let session = self.world.session;
                self.run(Op::Release { session, inos }, |model, _| {
                    model.nodes.retain(|_, node| !node.held);
                    Ok(())
                });
            }
            Step::Destage => self.world.destage(),
            Step::Repack(between) => {
                let Some(op) = self.world.repack() else {
                    return;
                };
                // A range that is written over between the look and the swap stays what it is then.
                if let Some((at, offset, length)) = between {
                    self.content(&Step::Write(at, offset, length, true), salt);
                }
                assert_eq!(self.world.own(op).answer.errno, 0);
            }
            Step::DropGarbage => self.world.drop_garbage(),
            _ => self.content(step, salt),
        }
    }

    fn rename(&mut self, (from, old): (usize, usize), (to, new): (usize, usize), flags: u8) {
        let (parent, new_parent) = (self.dir(from), self.dir(to));
        let (text, new_text) = (NAMES[old % 5], NAMES[new % 5]);
        let (no_replace, exchange, keep_open) = (flags & 3 == 1, flags & 3 >= 2, flags & 4 != 0);
        let op = Op::Rename {
            parent,
            name: name(text),
            new_parent,
            new_name: name(new_text),
            no_replace,
            exchange,
            keep_open,
            openers: Vec::new(),
        };
        self.run(op, |model, _| {
            let flags = (no_replace, exchange, keep_open);
            model.rename((parent, text), (new_parent, new_text), flags)
        });
    }

    fn content(&mut self, step: &Step, salt: u8) {
        let file = |pair: &Pair, at| pair.pick(at, Some(Kind::File));
        match *step {
            Step::Write(at, offset, length, chunk) => {
                let ino = file(self, at);
                let data: Vec<u8> = (0..length).map(|at| salt.wrapping_add(at as u8)).collect();
                self.model.now = self.world.now();
                let outcome = match chunk {
                    true => self.world.write_chunk(ino, offset as u64, &data),
                    false => self.world.write(ino, offset as u64, &data),
                };
                let done = self.model.edit(ino, |node| node.write(offset, &data));
                assert_eq!(outcome.answer.errno, done.err().unwrap_or(0));
            }
            Step::Append(at, length) => {
                let ino = file(self, at);
                let size = self.model.nodes[&ino].size;
                let data = vec![salt | 1; length.min(SPACE - size)];
                let op = Op::Append {
                    ino,
                    data: data.clone().into(),
                    kill_suid: false,
                };
                self.run(op, |model, _| {
                    model.edit(ino, |node| node.write(node.size, &data))
                });
            }
            Step::Truncate(at, size) => {
                let ino = file(self, at);
                self.run(harness::truncate(ino, size as u64), |model, _| {
                    model.edit(ino, |node| node.truncate(size))
                });
            }
            Step::Fallocate(at, kind, offset, length) => {
                let ino = file(self, at);
                let mode = [0, 1, 3, 16, 17][kind as usize % 5];
                let (from, end) = (offset, offset + length);
                let op = Op::Fallocate {
                    ino,
                    mode,
                    offset: from as u64,
                    length: length as u64,
                };
                self.run(op, |model, _| {
                    model.edit(ino, |node| {
                        if mode & 0x12 != 0 {
                            node.data[from..end].fill(0);
                        }
                        node.allocated[from..end].fill(mode & 2 == 0);
                        if mode & 1 == 0 {
                            node.size = node.size.max(end);
                        }
                    })
                });
            }
            Step::Copy(from, source_offset, to, target_offset, length) => {
                self.copy((from, source_offset), (to, target_offset), length);
            }
            _ => {}
        }
    }

    fn copy(&mut self, (from, at): (usize, usize), (to, onto): (usize, usize), length: usize) {
        let kind = Some(Kind::File);
        let (source, target) = (self.pick(from, kind), self.pick(to, kind));
        let op = Op::CopyRange {
            source,
            source_offset: at as u64,
            target,
            target_offset: onto as u64,
            length: length as u64,
        };
        self.run(op, |model, _| {
            let node = model.file(source)?.clone();
            model.file(target)?;
            if source == target && at.abs_diff(onto) < length {
                return Err(libc::EINVAL);
            }
            let end = (at + length).min(node.size);
            if at >= end {
                return Ok(());
            }
            model.edit(target, |to| {
                let until = onto + end - at;
                to.data[onto..until].copy_from_slice(&node.data[at..end]);
                to.allocated[onto..until].copy_from_slice(&node.allocated[at..end]);
                to.size = to.size.max(until);
            })
        });
    }

    fn compare(&self) {
        let usage = self.world.index.usage(0).expect("usage");
        assert_eq!(usage.inodes, self.model.nodes.len() as u64);
        for (&ino, node) in &self.model.nodes {
            let inode = self
                .world
                .index
                .inode(ino)
                .expect("read")
                .expect("an inode");
            assert_eq!((inode.kind, inode.nlink), (node.kind, node.nlink), "{ino}");
            assert_eq!(
                (inode.mtime, inode.ctime),
                (node.mtime, node.ctime),
                "{ino}"
            );
            match node.kind {
                Kind::File => {
                    assert_eq!(inode.size, node.size as u64);
                    assert_eq!(self.world.content(ino), node.data[..node.size]);
                    let allocated = node.allocated.iter().filter(|byte| **byte).count();
                    assert_eq!(inode.allocated, allocated as u64);
                }
                Kind::Directory => {
                    let listing = self
                        .world
                        .index
                        .readdir(ino, 0, usize::MAX)
                        .expect("listing");
                    let mut listed: Vec<_> = listing
                        .entries
                        .iter()
                        .map(|entry| (entry.name.to_string(), entry.ino))
                        .collect();
                    listed.sort();
                    let expected: Vec<_> = node
                        .children
                        .iter()
                        .map(|(name, ino)| (name.clone(), *ino))
                        .collect();
                    assert_eq!(listed, expected);
                    assert!(node.nlink == 0 || inode.parent == node.parent);
                }
                _ => {}
            }
        }
    }
}

proptest! {
    #[test]
    fn the_index_does_what_a_plain_file_system_does(steps in steps(), restart in 0usize..100) {
        let world = World::new();
        let mut pair = Pair { world, model: Model::new(harness::GENESIS.created) };
        for (at, step) in steps.iter().enumerate() {
            let before = pair.world.index.version();
            pair.step(step, at as u8);
            prop_assert!(pair.world.index.version() >= Version(before.0));
            pair.compare();
        }
        pair.world.check();
        pair.world.check_replay(restart % pair.world.log.len());
    }
}
