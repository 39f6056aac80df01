//! `rsync` into the mount, out of it and within it, with everything that it can keep: what it finds to
//! do afterwards is nothing.

use std::path::Path;

use wolfdisk_tests::{Node, Scratch, sh};

/// Everything that a tree can hold and rsync keeps.
const MAKE: &str = r#"
mkdir -p tree/deep/er "tree/with space" tree/sticky tree/setgid tree/many; cd tree
echo plain > plain; head -c 3000000 /dev/urandom > large; : > empty
for i in $(seq 300); do echo $i > many/$i; done
chmod 0 empty; chmod 4755 plain; chmod 1777 sticky; chmod 2775 setgid; chmod 640 large
chown 1234:4321 large; chown -h 12:34 sticky
ln plain deep/hard; ln plain deep/er/harder; ln -s plain symbolic; ln -s /no/such/target dangling
ln symbolic deep/same-symbolic; chown -h 77:88 symbolic
mkfifo fifo; mknod char c 1 3; mknod block b 7 0; ln fifo deep/same-fifo
truncate -s 100M sparse; printf middle | dd of=sparse bs=1 seek=50000000 conv=notrunc status=none
setfattr -n user.text -v "some value" plain; setfattr -n user.empty plain; setfattr -n trusted.root -v x plain
setfattr -n user.large -v "0x$(head -c 3000 /dev/urandom | od -An -tx1 | tr -d ' \n')" large
setfattr -n user.dir -v yes deep
setfacl -m u:1000:rw,g:2000:r,m::rw large; setfacl -d -m u:1000:rwx deep; setfacl -m u:7:--x deep
touch -d '1969-12-31 23:59:58.123456789 UTC' plain; touch -d '2100-02-03 04:05:06.000000001 UTC' large
touch -h -d '2001-01-01 UTC' symbolic
touch "$(printf 'n%.0s' $(seq 255))" "$(printf 'b\001\377\nnewline')" -- '-dash' '*'
touch -d '1999-09-09 09:09:09.9 UTC' deep/er deep sticky setgid
"#;

/// A day of work on it.
const CHANGE: &str = r#"
cd tree
echo more >> plain; mv large larger; rm -r "with space" many/1*; chmod 600 deep; setfattr -x user.text plain
setfattr -n user.new -v x empty; setfacl -b deep; rm char
printf changed | dd of=sparse bs=1 seek=70000000 conv=notrunc status=none
printf changed | dd of=larger bs=1 seek=1500000 conv=notrunc status=none
"#;

fn sync(options: &str, from: &Path, to: &Path) {
    let (from, to) = (from.display(), to.display());
    sh(
        Path::new("/"),
        &format!("rsync -aHAX {options} '{from}/' '{to}/'"),
    );
}

/// By content, not by size and time, and down to every attribute.
fn same(left: &Path, right: &Path) {
    for (from, to) in [(left, right), (right, left)] {
        let (from, to) = (from.display(), to.display());
        let script = format!("rsync -naHAXi --delete --checksum '{from}/' '{to}/'");
        assert_eq!(sh(Path::new("/"), &script), "", "{from} and {to}");
    }
}

#[test]
fn both_ways_and_again_after_changes() {
    let scratch = Scratch::new();
    sh(scratch.path(), MAKE);
    let source = scratch.path().join("tree");
    let mut node = Node::start();
    let (copy, back) = (node.path("copy"), scratch.directory("back"));
    sync("--sparse", &source, &copy);
    same(&source, &copy);
    node.restart();
    same(&source, &copy);
    let allocated = sh(&copy, "du -k sparse | cut -f1");
    assert!(allocated.trim().parse::<u64>().expect("a number") < 1024);
    sync("--sparse", &copy, &back);
    same(&copy, &back);

    sh(scratch.path(), CHANGE);
    sync("--delete --inplace --no-whole-file", &source, &copy);
    same(&source, &copy);
    sync("--delete --no-whole-file", &copy, &back);
    same(&copy, &back);
}

#[test]
fn within_the_mount_and_on_a_second_one() {
    let node = Node::start();
    let second = node.second_mount();
    sh(node.mount(), MAKE);
    let (here, there) = (node.path("tree"), second.path("tree"));
    let copy = second.path("copy");
    sync("--sparse", &there, &copy);
    same(&here, &node.path("copy"));

    // A backup in the usual way: what has not changed is linked to the one before.
    sh(node.mount(), CHANGE);
    let again = node.path("again");
    sync("--fuzzy --link-dest=../copy", &here, &again);
    same(&there, &second.path("again"));
    assert_eq!(sh(node.mount(), "stat -c %h again/many/2"), "2\n");
}
