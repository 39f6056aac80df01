//! Extended attributes: flags, sizes, names, kinds and users.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# flags, probes and missing ones
for kind in ["file", "dir"]:
    with case(kind):
        make(kind, "x")
        getxattr("x", "user.a"); removexattr("x", "user.a"); setxattr("x", "user.a", b"1", XATTR_REPLACE)
        setxattr("x", "user.a", b"1", XATTR_CREATE); setxattr("x", "user.a", b"2", XATTR_CREATE)
        getxattr("x", "user.a")
        setxattr("x", "user.a", b"3", XATTR_REPLACE); getxattr("x", "user.a")
        setxattr("x", "user.a", b"4", XATTR_CREATE | XATTR_REPLACE)
        setxattr("x", "user.new", b"4", XATTR_CREATE | XATTR_REPLACE); setxattr("x", "user.a", b"5", 4)
        setxattr("x", "user.a", b""); getxattr("x", "user.a")
        setxattr("x", "user.b", b"\0\xff\n"); listxattr("x")
        for attribute, room in product(["user.a", "user.b", "user.none"], [0, 1, 2, 3, 4, 100, 65536, 70000]):
            xattr_size("x", attribute, room)
        for room in [0, 1, 6, 13, 14, 15, 100, 65536, 70000]: xattr_size("x", "", room, list=True)
        removexattr("x", "user.a"); removexattr("x", "user.b"); listxattr("x")
        xattr_size("x", "", 0, list=True)

# names
file("x")
for name in ["", "user", "user.", "User.a", "plain", "other.a", "system.a", "system.posix_acl_other",
    "security.a", "trusted.a", "trusted.", "security.", "user.a.b.c", "user.ä", "user." + "n" * 250,
    "user." + "n" * 251, "user. ", "user.\n", b"user.\xff\xfe", "os2.a", "btrfs.a"]:
    setxattr("x", name, b"1"); getxattr("x", name); removexattr("x", name)
listxattr("x")

# kinds: user attributes are for files and directories
for kind, name in product(KINDS, ["user.a", "trusted.a", "security.a"]):
    with case(kind, name):
        make(kind, "x")
        setxattr("x", name, b"1", follow_symlinks=False); getxattr("x", name, follow_symlinks=False)
        listxattr("x", follow_symlinks=False); removexattr("x", name, follow_symlinks=False)
        removexattr("x", name, follow_symlinks=False)

# through links
file("f"); os.symlink("f", "l"); os.symlink("nowhere", "n")
setxattr("l", "user.a", b"1"); getxattr("f", "user.a"); listxattr("l"); setxattr("n", "user.a", b"1")
setxattr("l", "trusted.a", b"1", follow_symlinks=False); listxattr("l", follow_symlinks=False); listxattr("f")
link("f", "g"); getxattr("g", "user.a"); unlink("f"); getxattr("g", "user.a"); rename("g", "h")
getxattr("h", "user.a")

# users
os.chmod(".", 0o777)
for kind, mode, sticky, who, name in product(["file", "dir"], [0o666, 0o644, 0o600, 0o222, 0o444], [0, 0o1000],
    [ANN, BOB], ["user.a", "trusted.a", "security.a", "system.a"]):
    make(kind, "x"); os.chown("x", ANN, ANN)
    os.chmod("x", mode | (0o111 if kind == "dir" else 0) | (sticky if kind == "dir" else 0))
    os.setxattr("x", "user.had", b"root"); os.setxattr("x", "trusted.had", b"root")
    os.setxattr("x", "security.had", b"root")
    with user(who):
        setxattr("x", name, b"1"); getxattr("x", name); listxattr("x"); removexattr("x", name)
        getxattr("x", "user.had"); getxattr("x", "trusted.had"); getxattr("x", "security.had")
        removexattr("x", "trusted.had"); removexattr("x", "security.had"); removexattr("x", "user.had")
    os.rmdir("x") if kind == "dir" else os.unlink("x")

# many and changing
file("x")
for number in range(40): os.setxattr("x", f"user.number{number}", b"v" * number)
listxattr("x")
for number in range(0, 40, 2): os.removexattr("x", f"user.number{number}")
listxattr("x")
for number in range(1, 40, 2): say(os.getxattr("x", f"user.number{number}") == b"v" * number)
for value in [b"other", b"other", b"", b"", b"other"]:
    with moved("x"): setxattr("x", "user.number1", value)
with moved("x"): setxattr("x", "user.number1", b"other", XATTR_CREATE)
"#;

#[test]
fn extended_attributes_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}
