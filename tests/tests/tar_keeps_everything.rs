//! `tar` in and out of the mount keeps attributes, ACLs, hard links, symlinks, devices, holes and
//! times, also those before 1970.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use wolfdisk_tests::{Ignore, Node, Scratch, compare, sh};

const MAKE: &str = r#"
mkdir -p tree/deep/er "tree/with space" tree/sticky tree/setgid
cd tree
echo plain > plain; head -c 300000 /dev/urandom > large; : > empty
chmod 0 empty; chmod 4755 plain; chmod 1777 sticky; chmod 2775 setgid; chmod 640 large
chown 1234:4321 large; chown -h 12:34 sticky
ln plain deep/hard; ln plain deep/er/harder; ln -s plain symbolic; ln -s /no/such/target dangling
ln -s "$(printf 'x%.0s' $(seq 3000))" longlink
mkfifo fifo; mknod char c 1 3; mknod block b 7 0
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("sock")'
truncate -s 100M sparse; printf middle | dd of=sparse bs=1 seek=50000000 conv=notrunc status=none
truncate -s 1G huge; printf end | dd of=huge bs=1 seek=1073741000 conv=notrunc status=none
setfattr -n user.text -v "some value" plain; setfattr -n user.empty plain
setfattr -n user.large -v "0x$(head -c 3000 /dev/urandom | od -An -tx1 | tr -d ' \n')" large
setfattr -n user.dir -v yes deep; setfattr -n trusted.root -v secret plain
setfacl -m u:1000:rw,g:2000:r,m::rw large; setfacl -d -m u:1000:rwx deep; setfacl -m u:7:--x deep
touch -d '1969-12-31 23:59:58.123456789 UTC' plain; touch -d '1901-01-02 03:04:05.6 UTC' empty
touch -d '2100-02-03 04:05:06.000000001 UTC' large; touch -h -d '2001-01-01 UTC' symbolic
touch "$(printf 'n%.0s' $(seq 255))" "$(printf 'b\001\377\nnewline')" -- '-dash' '*'
touch -d '1999-09-09 09:09:09.9 UTC' deep/er deep sticky setgid
"#;

fn attributes(root: &Path) -> Vec<String> {
    let dump = sh(root, "getfattr -R -h -d -m - -e hex -- . 2>&1 || true");
    let mut blocks: Vec<String> = dump
        .split("\n\n")
        .map(|block| block.trim().to_owned())
        .collect();
    blocks.sort();
    assert!(
        blocks.iter().any(|block| block.contains("trusted.root")),
        "{dump}"
    );
    assert!(
        blocks
            .iter()
            .any(|block| block.contains("system.posix_acl_default")),
        "{dump}"
    );
    blocks
}

fn same(expected: &Path, found: &Path) {
    compare(expected, found, Ignore::Nothing);
    assert_eq!(attributes(expected), attributes(found));
    let ino = |name: &str| std::fs::metadata(found.join(name)).expect("there").ino();
    assert_eq!(ino("plain"), ino("deep/hard"));
    assert_eq!(ino("plain"), ino("deep/er/harder"));
    for name in ["sparse", "huge"] {
        let file = std::fs::metadata(found.join(name)).expect("there");
        assert!(
            file.blocks() * 512 < 1 << 20,
            "{name} takes {} blocks",
            file.blocks()
        );
    }
}

#[test]
fn in_and_out() {
    let scratch = Scratch::new();
    sh(scratch.path(), MAKE);
    // A socket file is no matter of archives.
    sh(
        scratch.path(),
        "rm tree/sock; tar --xattrs --xattrs-include='*' --acls -S -cf in.tar tree",
    );
    let archive = scratch.path().join("in.tar").display().to_string();
    let mut node = Node::start();
    let unpack = format!("tar --xattrs --xattrs-include='*' --acls -S -xpf '{archive}'");
    sh(node.mount(), &unpack);
    let tree = scratch.path().join("tree");
    same(&tree, &node.path("tree"));
    node.restart();
    same(&tree, &node.path("tree"));
    let out = scratch.directory("out");
    let pack = "tar --xattrs --xattrs-include='*' --acls -S -cf out.tar tree";
    sh(node.mount(), pack);
    let unpack = format!(
        "tar --xattrs --xattrs-include='*' --acls -S -xpf '{}'",
        node.path("out.tar").display()
    );
    sh(&out, &unpack);
    same(&tree, &out.join("tree"));
}

#[test]
fn special_files_made_in_the_mount() {
    let node = Node::start();
    sh(node.mount(), MAKE);
    let kinds = sh(&node.path("tree"), "stat -c %F fifo char block sock");
    let expected = "fifo\ncharacter special file\nblock special file\nsocket\n";
    assert_eq!(kinds, expected);
    assert_eq!(
        sh(&node.path("tree"), "stat -c '%t %T' char block"),
        "1 3\n7 0\n"
    );
    attributes(&node.path("tree"));
}
