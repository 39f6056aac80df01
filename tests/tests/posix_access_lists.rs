//! POSIX access lists: what is stored, granted, inherited and cleared.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# access lists: what is stored, and what chmod does to it
os.chmod(".", 0o777)
lists = {
    "minimal": acl("user:rw", "group:r", "other:-"), "minimal that changes the mode": acl("user:rwx",
        "group:rwx", "other:rwx"),
    "named user": acl("user:rw", "user:1001:r", "group:r", "mask:r", "other:-"), "named group": acl("user:rw",
        "group:rw", "group:2000:rw", "mask:rw", "other:-"),
    "mask narrower": acl("user:rw", "user:1001:rwx", "group:rwx", "mask:r", "other:r"),
        "no mask": acl("user:rw", "user:1001:r", "group:r", "other:-"),
    "no owner": acl("group:r", "other:r"), "no other": acl("user:r", "group:r"), "two masks": acl("user:r",
        "group:r", "mask:r", "mask:r", "other:r"),
    "twice the user": acl("user:rw", "user:1001:r", "user:1001:rw", "group:r", "mask:r", "other:-"),
        "mask alone": acl("user:rw", "group:rw", "mask:r", "other:r"),
    "unsorted": acl("other:r", "user:rw", "group:r"), "unsorted users": acl("user:rw", "user:1002:r",
        "user:1001:r", "group:r", "mask:r", "other:-"),
    "empty": struct.pack("<I", 2), "nothing": b"", "version 1": struct.pack("<I", 1) + acl("user:rw", "group:r",
        "other:-")[4:], "half an entry": acl("user:rw", "group:r", "other:-")[:-3],
    "bad bits": struct.pack("<IHHIHHIHHI", 2, 1, 0o17, 0xffffffff, 4, 7, 0xffffffff, 32, 7, 0xffffffff),
        "bad tag": struct.pack("<IHHI", 2, 3, 7, 0),
    "many": acl("user:rw", *[f"user:{3000 + n}:r" for n in range(20)], "group:r", "mask:r", "other:-"),
}
for kind, which, (name, value) in product(["file", "dir", "symlink", "fifo"], [ACCESS_ACL, DEFAULT_ACL],
    lists.items()):
    with case(kind, which, name):
        make(kind, "x")
        with moved("x"):
            setxattr("x", which, value, follow_symlinks=False)
        if kind == "symlink": continue
        acls("x"); listxattr("x")
        chmod("x", 0o751); acls("x"); chmod("x", 0o600); acls("x")
        removexattr("x", which); acls("x"); removexattr("x", which); listxattr("x")

# flags of setxattr
file("x"); directory("d")
for name, which in product(["x", "d"], [ACCESS_ACL, DEFAULT_ACL]):
    for flags in [XATTR_REPLACE, XATTR_CREATE, XATTR_CREATE, XATTR_REPLACE, XATTR_CREATE | XATTR_REPLACE]:
        setxattr(name, which, acl("user:rw", "user:1001:r", "group:r", "mask:r", "other:-"), flags)

# what is granted
os.chmod(".", 0o777)
for entries in [("user:rw", "user:1001:r", "group:-", "mask:r", "other:-"), ("user:rw", "user:1001:rw",
    "group:-", "mask:r", "other:rw"), ("user:rw", "user:1001:-", "group:rw", "mask:rw", "other:rw"),
                ("user:rw", "group:-", "group:2000:rw", "mask:rw", "other:r"), ("user:rw", "group:r",
                    "group:2000:w", "mask:rw", "other:rw"), ("user:-", "user:1001:rw", "group:rw", "mask:rw",
                    "other:rw"), ("user:rw", "user:1001:rw", "group:rw", "mask:-", "other:rw")]:
    file("x", owner=(ROOT, 2001))
    os.setxattr("x", ACCESS_ACL, acl(*entries))
    for owner in [(ROOT, 2001), (ANN, 2000)]:
        os.chown("x", *owner)
        say("--", entries, owner)
        for who, groups in product([ANN, BOB], [(), (2000,), (2001,), (2000, 2001)]):
            with user(who, *groups):
                for flags in [O_RDONLY, O_WRONLY, O_RDWR]:
                    fd = open("x", flags)
                    if not isinstance(fd, Failed): os.close(fd)
                access("x", R_OK | W_OK); access("x", X_OK)
    os.unlink("x")

# a directory's list: search, list and write
os.chmod(".", 0o777)
for bits in ["rwx", "r-x", "--x", "r--", "-wx", "---", "rw-"]:
    directory("d", 0o700); file("d/f")
    os.setxattr("d", ACCESS_ACL, acl("user:rwx", f"user:1001:{bits}", "group:-", "mask:rwx", "other:-"))
    for who in [ANN, BOB]:
        with user(who):
            listdir("d"); open("d/f"); open("d/new", O_CREAT | O_WRONLY); unlink("d/new"); rename("d/f", "d/g")
            rename("d/g", "d/f"); chdir("d")
        os.chdir("..") if os.path.basename(os.getcwd()) == "d" else None
    os.unlink("d/f") if os.path.lexists("d/f") else os.unlink("d/g"); os.rmdir("d")

# inheritance, with umask and mode
os.chmod(".", 0o777)
for entries in [("user:rwx", "group:rx", "other:-"), ("user:rwx", "user:1001:rwx", "group:rx", "mask:rwx",
    "other:rx"), ("user:rx", "user:1001:rwx", "group:rwx", "mask:r", "other:-"), ("user:rwx", "group:rwx",
    "group:2000:rw", "mask:rwx", "other:rwx")]:
    for mask, who, setgid in product([0, 0o22, 0o77], [ROOT, ANN], [0, 0o2000]):
        with case(entries, f"{mask:o}", USERS[who], setgid):
            directory("d", 0o777, (ROOT, 2000)); os.chmod("d", 0o777 | setgid)
            os.setxattr("d", DEFAULT_ACL, acl(*entries))
            umask(mask)
            with contextlib.nullcontext() if who == ROOT else user(who):
                open("d/f666", O_CREAT | O_WRONLY, 0o666); open("d/f600", O_CREAT | O_WRONLY, 0o600)
                open("d/f7777", O_CREAT | O_WRONLY, 0o7777); mkdir("d/d777", 0o777); mkdir("d/d711", 0o711)
                mknod("d/n", 0o660 | stat.S_IFREG); mkfifo("d/p", 0o620); symlink("t", "d/l")
                mkdir("d/d777/deep", 0o750); open("d/d777/deep/f", O_CREAT | O_WRONLY, 0o644)
            umask(0o22)
            for name in ["d", "d/f666", "d/f600", "d/f7777", "d/d777", "d/d711", "d/n", "d/p", "d/d777/deep",
                "d/d777/deep/f"]:
                if os.path.lexists(name): acls(name)
            st("d/l")
            link("d/f666", "d/again"); acls("d/again"); rename("d/f600", "out"); acls("out")

# who may set lists
os.chmod(".", 0o777)
for owner, who in product([ROOT, ANN], [ANN, BOB]):
    directory("d", 0o777, owner); file("x", mode=0o666, owner=owner)
    with user(who):
        for name in ["x", "d"]:
            setxattr(name, ACCESS_ACL, acl("user:rwx", "user:1002:r", "group:r", "mask:r", "other:-"))
            setxattr(name, DEFAULT_ACL, acl("user:rwx", "group:r", "other:-")); removexattr(name, ACCESS_ACL)
            removexattr(name, DEFAULT_ACL); getxattr(name, ACCESS_ACL)
    for name in ["x", "d"]: acls(name)
    os.unlink("x"); os.rmdir("d")

# set-gid and lists
os.chmod(".", 0o777)
for mode, who, groups, kind in product([0o2755, 0o2745, 0o6777], [ROOT, ANN], [(), (2000,)], ["file", "dir"]):
    with case(f"{mode:o}", USERS[who], groups, kind):
        make(kind, "x"); os.chown("x", ANN, 2000); os.chmod("x", mode)
        with contextlib.nullcontext() if who == ROOT else user(who, *groups):
            setxattr("x", ACCESS_ACL, acl("user:rwx", "user:1002:rw", "group:rwx", "mask:rwx", "other:rx"))
            acls("x")
            removexattr("x", ACCESS_ACL); acls("x")
        os.chmod("x", mode)
        with contextlib.nullcontext() if who == ROOT else user(who, *groups):
            setxattr("x", ACCESS_ACL, acl("user:rwx", "group:rx", "other:rx")); acls("x")
            setxattr("x", DEFAULT_ACL, acl("user:rwx", "group:rx", "other:rx")); acls("x")

# lists of files without a name, and by descriptor
file("x"); fd = open("x", O_RDWR); unlink("x")
setxattr(fd, ACCESS_ACL, acl("user:rwx", "user:1002:rw", "group:rwx", "mask:rwx", "other:rx")); fst(fd)
getxattr(fd, ACCESS_ACL); fchmod(fd, 0o640); getxattr(fd, ACCESS_ACL); listxattr(fd)
removexattr(fd, ACCESS_ACL); fst(fd)
"#;

#[test]
fn access_lists_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}
