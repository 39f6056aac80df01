//! Names of every byte and length, paths, deep trees, slashes and dots.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# every byte in a name
for byte in range(1, 256):
    if byte == 47: continue
    for name in [bytes([byte]), b"a" + bytes([byte]) * 254]:
        if name == b".": continue
        made = tried(os.open, name, O_CREAT | O_EXCL | O_WRONLY)
        if isinstance(made, Failed): say(name[:4], made); continue
        os.write(made, name); os.close(made)
found = sorted(os.listdir(b"."))
say(len(found), len(set(found)))
for name in found:
    with __builtins__.open(name, "rb") as opened: assert opened.read() == name, name
say([name[:3] for name in found])
for name in found: os.rename(name, b"d" + name) if len(name) < 255 else os.unlink(name)
say([name[:3] for name in sorted(os.listdir(b"."))])

# bytes are bytes: no case, no form of Unicode, no encoding
for name in ["a", "A", "ä", "a\u0308", "Ä", "ß", "ss", "\u212a", "K", "k", "\u00e9", "e\u0301", "\ufeff",
    "\u200b"]:
    logged(lambda name: os.close(os.open(name, O_CREAT | O_EXCL | O_WRONLY)))(name)
say(sorted(os.listdir(b".")))

# the length of a name and of a path
for length in [254, 255, 256, 1000, 4095, 4096, 5000]:
    name = "n" * length
    open(name, O_CREAT | O_WRONLY); mkdir("d" + name[1:]); symlink("t", "l" + name[1:])
    rename(name, "m" * length)
    link("m" * length, "k" * length); mkfifo("p" * length); unlink("m" * length); access("k" * length, F_OK)
    rmdir("d" + name[1:])
name = "ä" * 127
open(name, O_CREAT | O_WRONLY); open(name + "x", O_CREAT | O_WRONLY); open(name + "ä", O_CREAT | O_WRONLY)
os.mkdir("d"); os.symlink(".", "d/d")
for length in [2000, 4093, 4094, 4095, 4096, 8192]:
    logged(lambda length: os.stat("./" * (length // 2) + "." * (length % 2)).st_nlink)(length)
for length in [10, 78, 80, 82]:
    logged(lambda length: stat.S_ISDIR(os.stat("d/" * (length // 2)).st_mode))(length)

# a tree deeper than a path is long
top = os.open(".", O_DIRECTORY)
deep = "deep" * 25
for depth in range(100):
    os.mkdir(deep); os.chdir(deep)
file("bottom", b"here"); content("bottom")
say(tried(lambda: len(os.getcwd()) > 4096)); look()
os.unlink("bottom")
for depth in range(100):
    os.chdir(".."); os.rmdir(deep)
say(os.fstat(top).st_ino == os.stat(".").st_ino); look()

# slashes
os.mkdir("d"); file("f")
for name in ["d//", "d///.", ".//f", "f//", "//", "d/../f", "d/..//d/./../f", "d/./.", "f/.", "f/..", "./",
    f"d/../../{os.path.basename(os.getcwd())}/f"]:
    logged(lambda name: stat.filemode(os.stat(name).st_mode)[0])(name)
    logged(lambda name: stat.filemode(os.lstat(name).st_mode)[0])(name)
mkdir("x/"); mkdir("y//"); mkdir("d/x/."); rmdir("x/"); rmdir("y/."); symlink("d", "l/"); mkfifo("p/")
link("f", "g/"); open("h/", O_CREAT | O_WRONLY); rename("d/", "e/"); unlink("f/"); look()
"#;

#[test]
fn names_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}
