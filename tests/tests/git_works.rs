//! A repository cloned into the mount is sound, can be committed to, and stays sound after a restart.

use wolfdisk_tests::{Node, repository, sh};

#[test]
fn clone_commit_and_fsck() {
    let mut node = Node::start();
    // Not by hard links of the objects: loose ends of this working copy are no matter here.
    let clone = format!(
        "git -c safe.directory='*' clone -q --no-local '{}' clone\n\
         cd clone\n\
         git fsck --full --strict\n\
         git status --porcelain",
        repository().display()
    );
    assert_eq!(
        sh(node.mount(), &clone),
        "",
        "nothing is dangling, nothing is changed"
    );
    sh(
        &node.path("clone"),
        "git config user.name tester; git config user.email tester@example.org\n\
         for i in $(seq 20); do echo $i > new$i; git add new$i; git commit -qm \"file $i\"; done\n\
         git checkout -q -b branch HEAD~10; echo x >> new1; git commit -qam branch\n\
         git checkout -q -; git merge -q -m merge branch; git gc -q; git fsck --full --strict",
    );
    let log = sh(&node.path("clone"), "git log -30 --format=%H");
    node.restart();
    assert_eq!(sh(&node.path("clone"), "git log -30 --format=%H"), log);
    sh(
        &node.path("clone"),
        "git fsck --full --strict; test -z \"$(git status --porcelain)\"",
    );
}
