//! Who owned a file until it was given away through another mount.

use wolfdisk_tests::Twins;

const ROWS: &str = r##"
# the former owner may do nothing more, before anything has looked at the file
os.chmod(".", 0o777)
calls = [
    ("chmod", lambda: chmod("x", 0o600)),
    ("chmod to the same", lambda: chmod("x", 0o644)),
    ("fchmod", lambda: fchmod(fd, 0o600)),
    ("chown to the own group", lambda: chown("x", -1, 2000)),
    ("chown to oneself", lambda: chown("x", ANN, -1)),
    ("times", lambda: utimensat("x", (5, 5), (6, 6))),
    ("one time", lambda: utimensat("x", NOW, OMIT)),
    ("touch", lambda: utimensat("x", NOW, NOW)),
    ("access list", lambda: setxattr("x", ACCESS_ACL, acl("user:rw", "group:r", "other:-"))),
    ("no access list", lambda: removexattr("x", ACCESS_ACL)),
]
for (name, call), mode in product(calls, [0o644, 0o666]):
    with case(name, mode):
        file("x", owner=ANN, mode=mode); fd = os.open("x", O_RDWR); os.stat("x")
        os.chown(elsewhere("x"), BOB, BOB)
        with user(ANN, 2000): call()
        os.close(fd); st("x")

# an access list lets a former owner touch the file, or not
os.chmod(".", 0o777)
for entry in ["user:1001:rw", "user:1001:r", "group:1001:rw", "group:2000:w", "group:3000:rw"]:
    with case(entry):
        file("x", owner=ANN, mode=0o600); os.stat("x")
        named = ["group:-", entry] if entry.startswith("group") else [entry, "group:-"]
        os.setxattr(elsewhere("x"), ACCESS_ACL, acl("user:rw", *named, "mask:rw", "other:-"))
        os.chown(elsewhere("x"), BOB, BOB)
        with user(ANN, 2000): utimensat("x", NOW, NOW)

# nor take it from a sticky directory, whose former owner may not either
for name, call in [("unlink", lambda: unlink("d/x")), ("rename", lambda: rename("d/x", "d/y")),
    ("rename over", lambda: rename("d/own", "d/x")), ("exchange", lambda: renameat2("d/own", "d/x", EXCHANGE)),
    ("rmdir", lambda: rmdir("d/sub"))]:
    for given in [["d/x", "d/sub"], ["d", "d/x", "d/sub"]]:
        with case(name, *given):
            directory("d", mode=0o1777, owner=ANN if "d" in given else ROOT)
            file("d/x", owner=ANN); file("d/own", owner=ANN); directory("d/sub", owner=ANN)
            os.listdir("d"); [os.stat(f"d/{each}") for each in ("x", "own", "sub")]
            for each in given: os.chown(elsewhere(each), BOB, BOB)
            with user(ANN): call()
            look()

# root of a user namespace reaches only the users in it
os.chmod(".", 0o777)
file("x", owner=ANN); os.stat("x"); os.chown(elsewhere("x"), BOB, BOB)
def as_root_of_a_namespace():
    os.setresgid(ANN, ANN, ANN); os.setresuid(ANN, ANN, ANN)
    say(raw(LIBC.unshare(0x10000000)))
    for name, text in [("setgroups", "deny"), ("gid_map", f"0 {ANN} 1"), ("uid_map", f"0 {ANN} 1")]:
        fd = os.open(f"/proc/self/{name}", O_WRONLY); os.write(fd, text.encode()); os.close(fd)
    say(tried(os.chmod, "x", 0o600), tried(os.utime, "x"))
child(as_root_of_a_namespace)
"##;

#[test]
fn refused_as_on_ext4() {
    Twins::start("nodev,nosuid").same_on_two_mounts(ROWS);
}
