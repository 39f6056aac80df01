//! Git under stress in the mount: several that clone, commit, push and pull at once from two mounts, while
//! the shared repository is packed again and again. Every commit arrives, every repository is sound.

use std::path::Path;
use std::process::Command;

use wolfdisk_tests::{Background, Node, STEP_DEADLINE, is_long_run, repository, sh};

const WORKERS: usize = 4;

/// Clones, then commits and pushes `$2` times, each time on top of what others pushed; one time in three
/// from a worktree of its own.
const WORK: &str = r#"
name=$1; count=$2
git clone -q --no-local central.git $name
cd $name
git config user.name $name; git config user.email $name@example.org; git config gc.auto 0
for i in $(seq $count); do
    if test $((i % 3)) = 0; then
        git worktree add -q -b side$i ../$name-side
        head -c 20000 /dev/urandom > ../$name-side/$name-$i
        git -C ../$name-side add .; git -C ../$name-side commit -qm "$name side $i"
        git worktree remove ../$name-side
        git merge -q --no-edit side$i
        git branch -q -d side$i
    else
        head -c 20000 /dev/urandom > $name-$i; git add .; git commit -qm "$name $i"
    fi
    tries=0
    until git push -q origin HEAD 2>> ../$name.pushes; do
        tries=$((tries + 1)); test $tries -lt 100
        git pull -q --no-rebase --no-edit
    done
done
git repack -adq
git fsck --full --strict
"#;

/// Packs what is loose until told to end. Not all anew each time: a reader of git's own that finds a pack
/// gone looks again once, and would give up at the second.
const PACK: &str = r#"
until test -e over; do git -C central.git repack -dq; git -C central.git pack-refs --all; echo packed; done
git -C central.git gc -q --prune=now
"#;

fn bash(directory: &Path, script: &str, arguments: &[&str], name: &str, node: &Node) -> Background {
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script, "bash"])
        .args(arguments)
        .current_dir(directory);
    Background::start(&mut command, name, node.scratch())
}

#[test]
fn many_push_to_a_repository_that_is_being_packed() {
    let commits = if is_long_run() { 200 } else { 6 };
    let node = Node::start();
    let second = node.second_mount();
    let clone = format!(
        "git -c safe.directory='*' clone -q --bare --no-local '{}' central.git",
        repository().display()
    );
    sh(node.mount(), &clone);
    let packer = bash(node.mount(), PACK, &[], "packer", &node);
    let workers: Vec<Background> = (0..WORKERS)
        .map(|number| {
            let name = format!("worker{number}");
            let root = [node.mount(), second.mount()][number % 2];
            bash(root, WORK, &[&name, &commits.to_string()], &name, &node)
        })
        .collect();
    for worker in workers {
        let said = worker.succeed(STEP_DEADLINE * if is_long_run() { 30 } else { 1 });
        assert_eq!(said, "", "fsck and all others have nothing to say");
    }
    std::fs::write(node.path("over"), "").expect("a file");
    assert!(packer.succeed(STEP_DEADLINE).contains("packed"));
    for root in [node.mount(), second.mount()] {
        let sound = sh(root, "git -C central.git fsck --full --strict");
        assert_eq!(sound, "", "nothing is dangling");
        let arrived = sh(
            root,
            "git -C central.git ls-tree --name-only HEAD | grep -c ^worker",
        );
        assert_eq!(arrived.trim(), (WORKERS * commits).to_string());
    }
}
