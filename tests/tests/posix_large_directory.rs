//! A directory of very many names: every one is listed once, a place in it can be gone back to, and names that go
//! meanwhile disturb nobody.

use std::path::Path;
use std::time::Duration;

use wolfdisk_tests::{Node, is_long_run, sh_within};

/// Makes the names from several processes, lists them with `readdir`, goes to places at random with `seekdir`, removes
/// half of them while it lists the rest. Arguments: directory, names.
const PROGRAM: &str = r#"
import ctypes, os, random, sys
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.opendir.restype = ctypes.c_void_p
LIBC.readdir.argtypes = LIBC.telldir.argtypes = LIBC.closedir.argtypes = [ctypes.c_void_p]
LIBC.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
LIBC.readdir.restype = ctypes.c_void_p
LIBC.telldir.restype = ctypes.c_long
os.chdir(sys.argv[1]); count = int(sys.argv[2]); processes = 8
# Where the name begins in a struct dirent of 64-bit Linux.
NAME_AT = 19
def one(stream):
    found = LIBC.readdir(stream)
    return ctypes.string_at(found + NAME_AT) if found else None
def names(stream):
    while (name := one(stream)) is not None: yield name
def together(work):
    for who in range(processes):
        if os.fork() == 0:
            try: work(who)
            except BaseException as error: print(error, flush=True); os._exit(1)
            os._exit(0)
    ended = [os.waitpid(-1, 0)[1] for _ in range(processes)]
    assert not any(ended), ended
def make(who):
    for number in range(who, count, processes): os.mknod(f"name{number}")
together(make)
stream = LIBC.opendir(b".")
places, listed = [LIBC.telldir(stream)], []
for name in names(stream): listed.append(name); places.append(LIBC.telldir(stream))
assert len(listed) == count + 2 and len(set(listed)) == count + 2, len(listed)
assert len(set(places)) == len(places)
for _ in range(2000):
    at = random.randrange(len(listed))
    LIBC.seekdir(stream, places[at]); assert one(stream) == listed[at]
LIBC.seekdir(stream, places[-1]); assert one(stream) is None
def remove(who):
    for number in range(who, count, 2 * processes): os.unlink(f"name{number}")
LIBC.seekdir(stream, places[0]); early = [one(stream) for _ in range(1000)]
child = os.fork()
if child == 0: together(remove); os._exit(0)
seen = early + list(names(stream))
assert os.waitpid(child, 0)[1] == 0
gone = {b"name%d" % number for who in range(processes) for number in range(who, count, 2 * processes)}
left = set(listed) - gone
assert len(seen) == len(set(seen)) and left <= set(seen) <= set(listed), (len(seen), len(left))
# What came after a place and is left comes after it still.
at = random.randrange(len(listed)); LIBC.seekdir(stream, places[at])
assert list(names(stream)) == [name for name in listed[at:] if name in left]
LIBC.closedir(stream)
assert set(os.fsencode(name) for name in os.listdir(".")) | {b".", b".."} == left
"#;

fn works(directory: &Path, names: u32) {
    let limit = Duration::from_secs(120 + u64::from(names) / 500);
    let script = format!("python3 - . {names} <<'END'\n{PROGRAM}\nEND");
    sh_within(limit, directory, &script);
}

#[test]
fn every_place_in_it_can_be_gone_back_to() {
    let node = Node::start();
    let names = if is_long_run() { 1_000_000 } else { 40_000 };
    works(node.mount(), names);
}
