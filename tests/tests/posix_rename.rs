//! What rename(2) does to every kind of node, with every flag, as root and as users.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# every kind over every kind with every flag
for flags, old, new in product([0, NOREPLACE, EXCHANGE, NOREPLACE | EXCHANGE, WHITEOUT | EXCHANGE, 8], KINDS,
    ["nothing"] + KINDS):
    with case(flags, old, new):
        make(old, "old")
        make(new, "new")
        renameat2("old", "new", flags)
        look()

# whatever a name is, over itself and over another name of the same inode
for flags, kind in product([0, NOREPLACE, EXCHANGE], KINDS):
    with case(flags, kind):
        make(kind, "a")
        renameat2("a", "a", flags)
        if kind not in ("dir", "full"):
            link("a", "b", follow_symlinks=False)
            renameat2("a", "b", flags)
        look()

# into its own subtree and over its own ancestor
for flags in [0, NOREPLACE, EXCHANGE]:
    for old, new in [("a", "a/b"), ("a", "a/b/c"), ("a", "a/new"), ("a", "a/b/new"), ("a/b", "a"), ("a/b/c",
        "a"), ("a/b/c", "a/b"), ("a", "a/f"), ("a/f", "a")]:
        with case(flags, old, new):
            os.makedirs("a/b/c")
            file("a/f")
            renameat2(old, new, flags)
            look()

# the dots, missing ones and slashes at the end
for old, new in [(".", "x"), ("d/.", "x"), ("d/..", "x"), ("x", "."), ("f", "d/."), ("f", "d/.."), ("d", "d/."),
    ("missing", "x"), ("missing", "f"),
                 ("f/x", "y"), ("f", "f/x"), ("missing/x", "y"), ("f", "missing/y"), ("f", "x/"), ("f/", "x"),
                     ("d/", "x"), ("d", "x/"), ("d/", "x/"),
                 ("l", "x/"), ("l/", "x"), ("d", "l/"), ("d", "l"), ("f", "l/"), ("", "x"), ("f", "")]:
    for flags in [0, NOREPLACE, EXCHANGE]:
        with case(old, new, flags):
            file("f")
            directory("d")
            make("dirlink", "l")
            renameat2(old, new, flags)
            look()

# names of 255 and 256 bytes
file("f")
rename("f", "n" * 255)
rename("n" * 255, "m" * 256)
rename("n" * 256, "m")
look()

# who may: directories, targets and the moved directory itself
for flags, kind, mode, other, who in product([0, NOREPLACE, EXCHANGE], ["file", "dir"], [0o755, 0o777, 0o1777,
    0o711, 0o300, 0o500], [0, 1], [ANN, BOB]):
    with case(flags, kind, f"{mode:o}", other, USERS[who]):
        for name in ("from", "to"):
            directory(name, 0o777)
        make(kind, "from/x")
        os.chown("from/x", ANN, ANN)
        if other or flags == EXCHANGE:
            make(kind, "to/y")
            os.chown("to/y", BOB, BOB)
        os.chown("from", ANN, ANN)
        os.chmod("from", mode)
        os.chmod("to", mode)
        with user(who):
            renameat2("from/x", "to/y", flags)
        look()

# a directory that one may not write cannot get another parent
for mode in [0o755, 0o555, 0o000]:
    directory(f"d{mode:o}", mode, ANN)
    directory(f"p{mode:o}", 0o777)
    os.chmod(".", 0o777)
    with user(ANN):
        rename(f"d{mode:o}", f"e{mode:o}")
        rename(f"e{mode:o}", f"p{mode:o}/d")
look()

# link counts of parents
directory("a"); directory("b"); directory("a/x"); directory("b/y"); file("a/f")
rename("a/x", "b/x"); look()
renameat2("b/x", "a/f", EXCHANGE); look()
rename("a/f", "b/y"); look()
renameat2("b/y", "b/x", EXCHANGE); look()

# what is open or a working directory keeps working
directory("d"); file("d/f", b"one"); file("g", b"two")
fd = open("d/f", O_RDWR)
here = open("d", O_RDONLY | O_DIRECTORY)
rename("d", "e"); rename("e/f", "h")
pwrite(fd, b"ONE", 0); content("h")
open("new", O_CREAT | O_WRONLY, dir_fd=here)
rename("g", "h"); fst(fd); pread(fd, 10, 0)
look()

# times of parents, of what moves and of what is replaced
for flags, kind, target in [(0, "file", "nothing"), (0, "file", "file"), (0, "dir", "nothing"), (0, "dir",
    "dir"), (EXCHANGE, "file", "dir"), (EXCHANGE, "file", "file"), (EXCHANGE, "dir", "dir"), (NOREPLACE,
    "symlink", "nothing")]:
    for where in ["b", "a"]:
        with case(flags, kind, target, where):
            directory("a"); directory("b")
            make(kind, "a/x"); make(target, where + "/y")
            if target == "file":
                os.link(where + "/y", "kept")
            with moved("a", "b", *(["kept"] if target == "file" else [])):
                renameat2("a/x", where + "/y", flags)

# times of a node that moves
for kind in KINDS:
    with case(kind):
        make(kind, "x")
        later("x")
        before = os.lstat("x").st_ctime_ns
        rename("x", "y")
        say("ctime changed", os.lstat("y").st_ctime_ns != before)
        later("y")
        before = os.lstat("y").st_ctime_ns
        file("o")
        renameat2("y", "o", EXCHANGE)
        say("ctime changed", os.lstat("o").st_ctime_ns != before)

# ".." follows a directory that moves
directory("a"); directory("b"); directory("a/x")
fd = open("a/x", O_DIRECTORY)
rename("a/x", "b/x")
say(os.stat("..", dir_fd=fd).st_ino == os.stat("b").st_ino)
say(os.stat("b/x/..").st_ino == os.stat("b").st_ino)
"#;

#[test]
fn renames_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}

#[test]
fn renames_where_devices_and_set_id_bits_have_effect_as_on_ext4() {
    Twins::start("dev,suid").same(ROWS);
}
