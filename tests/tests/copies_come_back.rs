//! What is copied into the mount is there, the same in every respect, also after the node was
//! restarted.

use std::path::Path;

use wolfdisk_tests::{Ignore, Node, Scratch, compare, copy, repository, sh};

/// This repository's files at its last commit, without history.
fn source_tree(into: &Scratch) -> std::path::PathBuf {
    let tree = into.directory("source");
    let script = format!(
        "git -c safe.directory='*' -C '{}' archive HEAD | tar x -C '{}'",
        repository().display(),
        tree.display()
    );
    sh(into.path(), &script);
    tree
}

fn comes_back(tree: &Path) {
    let mut node = Node::start();
    copy(tree, &node.path("copy"));
    compare(tree, &node.path("copy"), Ignore::Nothing);
    node.restart();
    compare(tree, &node.path("copy"), Ignore::Nothing);
    // And what came back can be copied on.
    copy(&node.path("copy"), &node.path("again"));
    compare(tree, &node.path("again"), Ignore::Nothing);
    std::fs::remove_dir_all(node.path("copy")).expect("removed");
    std::fs::remove_dir_all(node.path("again")).expect("removed");
    assert_eq!(
        std::fs::read_dir(node.mount()).expect("readable").count(),
        0
    );
}

#[test]
fn a_source_tree() {
    let scratch = Scratch::new();
    comes_back(&source_tree(&scratch));
}

#[test]
fn the_documentation_of_the_machine() {
    comes_back(Path::new("/usr/share/doc"));
}

#[test]
fn files_of_every_awkward_size() {
    let scratch = Scratch::new();
    let tree = scratch.directory("sizes");
    let around = [
        0_usize, 1, 511, 512, 513, 4095, 4096, 4097, 65_535, 65_536, 65_537,
    ];
    let large = [
        128 << 10,
        (1 << 20) + 1,
        (4 << 20) - 1,
        4 << 20,
        (4 << 20) + 1,
        (9 << 20) + 7,
    ];
    let mut random = wolfdisk_tests::Random::new();
    for size in around.into_iter().chain(large) {
        std::fs::write(tree.join(size.to_string()), random.bytes(size)).expect("written");
    }
    comes_back(&tree);
}
