//! Listings: kinds, numbers and places; names that come and go meanwhile.

use wolfdisk_tests::Twins;

const ROWS: &str = r#"
# kinds in a listing, and numbers that are those of stat
for kind in KINDS: make(kind, kind)
with os.scandir() as listing:
    for entry in sorted(listing, key=lambda entry: entry.name):
        say(entry.name, entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False),
            entry.is_symlink(), entry.inode() == os.lstat(entry.name).st_ino)
entries = list(getdents(os.open(".", O_DIRECTORY)))
say(sorted((name, kind) for name, ino, off, kind in entries))
say(all(ino == os.lstat(name).st_ino for name, ino, off, kind in entries), len({off for name, ino, off,
    kind in entries}) == len(entries))
say(tried(lambda: list(getdents(os.open(".", O_DIRECTORY), 10))))
say(tried(lambda: list(getdents(os.open("file", O_RDONLY)))))

# names that come and go while it is listed: the others are given once each
for change in ["nothing", "create", "unlink seen", "unlink unseen", "rename", "replace", "all"]:
    with case(change):
        for number in range(600): os.close(os.open(f"stays{number}" + "s" * 100, O_CREAT | O_WRONLY))
        for number in range(150): os.close(os.open(f"goes{number}", O_CREAT | O_WRONLY))
        stream, seen, step = LIBC.opendir(b"."), [], 0
        while (name := one(stream)) is not None:
            seen.append(name); step += 1
            if step % 5: continue
            number = step // 5
            if change in ("create", "all"): os.close(os.open(f"new{number}", O_CREAT | O_WRONLY))
            if change in ("unlink seen", "all") and name.startswith(b"goes"): tried(os.unlink, name)
            if change in ("unlink unseen", "all"): tried(os.unlink, f"goes{number}")
            if change in ("rename", "all"): tried(os.rename, f"goes{number}", f"gone{number}")
            if change in ("replace", "all"):
                os.close(os.open("fresh", O_CREAT | O_WRONLY)); os.rename("fresh", f"stays{number}" + "s" * 100)
        LIBC.closedir(stream)
        stays = [name for name in seen if name.startswith(b"stays")]
        say("all that stayed:", len(set(stays)) == 600, "once each:", len(seen) == len(set(seen)))

# going back to a place, forwards and at random, and to the start
for number in range(1000): os.close(os.open(f"f{number}", O_CREAT | O_WRONLY))
stream, places, names = LIBC.opendir(b"."), [LIBC.telldir(LIBC.opendir(b"."))], []
while (name := one(stream)) is not None: names.append(name); places.append(LIBC.telldir(stream))
say(len(names), len(set(names)), len(set(places)) == len(places))
right = True
for step in range(1000):
    at = step * 7919 % len(names)
    LIBC.seekdir(stream, places[at]); right &= one(stream) == names[at]
say("random places:", right); LIBC.seekdir(stream, places[-1]); say("the end:", one(stream))
LIBC.rewinddir(stream); say("the start:", one(stream) == names[0])
os.close(os.open("late", O_CREAT | O_WRONLY)); LIBC.rewinddir(stream)
again = set(iter(lambda: one(stream), None)); say("rewound:", b"late" in again, len(again)); os.unlink("late")
for number in range(0, 1000, 2): os.unlink(f"f{number}")
LIBC.seekdir(stream, places[50]); rest = list(iter(lambda: one(stream), None))
left = [name for name in names[50:] if os.path.lexists(name)]
say("after removals:", [name for name in rest if os.path.lexists(name)] == left)

# two readers, and one that is listed by its descriptor again
for number in range(500): os.close(os.open(f"f{number}", O_CREAT | O_WRONLY))
first, second = LIBC.opendir(b"."), LIBC.opendir(b".")
a = [one(first) for _ in range(300)]; b = [one(second) for _ in range(502)]
a += [one(first) for _ in range(202)]
say(a == b, one(first), one(second))
fd = os.open(".", O_DIRECTORY); say(len(list(getdents(fd)))); lseek(fd, 0, SEEK_SET)
say(len(os.listdir(fd)), len(os.listdir(fd)))

# links of a directory and of what it is in
os.makedirs("a/b/c")
for name in ["a", "a/b", "a/b/c"]:
    entries = {entry: os.stat(f"{name}/{entry}").st_ino for entry in (".", "..")}
    say(name, entries["."] == os.stat(name).st_ino,
        entries[".."] == os.stat(os.path.dirname(name) or ".").st_ino)
"#;

#[test]
fn listings_as_on_ext4() {
    Twins::start("nodev,nosuid").same(ROWS);
}
