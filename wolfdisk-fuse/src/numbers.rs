//! The number of the root is 1 to the kernel. The volume's may be another: that of the directory to which this machine
//! is restricted. A process serves one mount, so there is one root.

use std::sync::OnceLock;

use fuser::INodeNo;
use wolfdisk_common::ids::Ino;

static ROOT: OnceLock<Ino> = OnceLock::new();

/// From now on `root` is the kernel's root; the first call counts.
pub fn set_root(root: Ino) {
    if *ROOT.get_or_init(|| root) != root {
        tracing::error!(%root, "the root of the volume has changed; mount anew");
    }
}

fn root() -> Ino {
    ROOT.get().copied().unwrap_or(Ino::ROOT)
}

/// The kernel's number in our own type.
pub fn ino(number: INodeNo) -> Ino {
    ours(number, root())
}

/// The kernel's number of an inode.
pub fn number(ino: Ino) -> INodeNo {
    theirs(ino, root())
}

fn ours(number: INodeNo, root: Ino) -> Ino {
    match number {
        INodeNo::ROOT => root,
        INodeNo(other) => Ino(other),
    }
}

fn theirs(ino: Ino, root: Ino) -> INodeNo {
    match ino == root {
        true => INodeNo::ROOT,
        false => INodeNo(ino.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_becomes_the_root_and_comes_back() {
        let directory = Ino(77);
        assert_eq!(theirs(directory, directory), INodeNo::ROOT);
        assert_eq!(ours(INodeNo::ROOT, directory), directory);
        for (ino, number) in [(Ino(5), INodeNo(5)), (Ino::ROOT, INodeNo::ROOT)] {
            assert_eq!(theirs(ino, Ino::ROOT), number);
            assert_eq!(ours(number, Ino::ROOT), ino);
        }
    }
}
