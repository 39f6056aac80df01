//! The number of the root is 1 to the kernel. In the volume it may be another: that of the directory to which this machine
//! is restricted, or that `subdir=` names. A process serves one mount, so there is one root.

use std::sync::OnceLock;

use fuser::INodeNo;
use wolfdisk_common::ids::Ino;

static ROOT: OnceLock<Ino> = OnceLock::new();

/// What the volume's own root is to the kernel where it is not the mount's: no inode that it knows.
const ELSEWHERE: INodeNo = INodeNo(u64::MAX);

/// From now on `root` is the kernel's root; the first call counts.
pub fn set_root(root: Ino) {
    if *ROOT.get_or_init(|| root) != root {
        tracing::error!(%root, "the root of the volume has changed; mount anew");
    }
}

/// The root of the mount.
pub fn root() -> Ino {
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
    match ino {
        ino if ino == root => INodeNo::ROOT,
        Ino::ROOT => ELSEWHERE,
        Ino(other) => INodeNo(other),
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
        // What the volume tells of its own root is not about the mount's.
        assert_eq!(theirs(Ino::ROOT, directory), ELSEWHERE);
        for (ino, number) in [(Ino(5), INodeNo(5)), (Ino::ROOT, INodeNo::ROOT)] {
            assert_eq!(theirs(ino, Ino::ROOT), number);
            assert_eq!(ours(number, Ino::ROOT), ino);
        }
    }
}
