//! Files opened by handle (`name_to_handle_at`, `open_by_handle_at`), as file servers do: a handle leads to
//! its file when the kernel has forgotten it, when it has moved, and after a restart; not when it is gone.

use std::path::Path;

use wolfdisk_tests::{Daemon, Node, python, wait_until};

/// `handle` prints the handles of paths, `open` tells for each of such handles where it leads and what it
/// reads there, or why it leads nowhere.
const HANDLES: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)

class Handle(ctypes.Structure):
    _fields_ = [('bytes', ctypes.c_uint), ('type', ctypes.c_int), ('data', ctypes.c_ubyte * 128)]

def handle(path):
    found, mount = Handle(bytes=128), ctypes.c_int()
    if libc.name_to_handle_at(-100, path.encode(), ctypes.byref(found), ctypes.byref(mount), 0) < 0:
        raise OSError(ctypes.get_errno(), 'name_to_handle_at', path)
    return f'{found.type}:{bytes(found.data[:found.bytes]).hex()}'

def open_handle(text, flags):
    kind, data = text.split(':')
    data = bytes.fromhex(data)
    wanted = Handle(bytes=len(data), type=int(kind))
    wanted.data[:len(data)] = data
    root = os.open('.', os.O_RDONLY)
    fd = libc.open_by_handle_at(root, ctypes.byref(wanted), flags)
    os.close(root)
    if fd < 0:
        raise OSError(ctypes.get_errno(), 'open_by_handle_at')
    return fd

def content(fd):
    if os.path.isdir(f'/proc/self/fd/{fd}'):
        return ' '.join(sorted(os.listdir(fd)))
    return os.read(fd, 100).decode()

for word in sys.argv[2:]:
    if sys.argv[1] == 'handle':
        print(handle(word))
    else:
        try:
            fd = open_handle(word, os.O_RDWR if sys.argv[1] == 'write' else os.O_RDONLY)
        except OSError as error:
            print(f'errno {error.errno}')
            continue
        if sys.argv[1] == 'write':
            os.write(fd, b'WRITTEN')
            os.fsync(fd)
        else:
            path = os.readlink(f'/proc/self/fd/{fd}').removeprefix(os.getcwd()).lstrip('/')
            print(f'{path}: {content(fd)}')
        os.close(fd)
"#;

fn handles(root: &Path, what: &str, words: &[String]) -> Vec<String> {
    let all: Vec<&std::ffi::OsStr> = std::iter::once(what)
        .chain(words.iter().map(String::as_str))
        .map(std::ffi::OsStr::new)
        .collect();
    let said = python(root, HANDLES, &all);
    said.lines().map(str::to_owned).collect()
}

/// Dentries and inodes that nobody holds open.
fn drop_caches() {
    std::fs::write("/proc/sys/vm/drop_caches", "2").expect("root may");
}

#[test]
fn a_handle_leads_to_its_file_as_long_as_there_is_one() {
    let mut node = Node::start();
    std::fs::create_dir_all(node.path("a/b/c")).expect("directories");
    std::fs::write(node.path("a/b/c/file"), "content").expect("a file");
    let words = ["a", "a/b/c", "a/b/c/file"].map(str::to_owned);
    let known = handles(node.mount(), "handle", &words);
    let expected = ["a: b", "a/b/c: file", "a/b/c/file: content"];
    assert_eq!(handles(node.mount(), "open", &known), expected);
    drop_caches();
    assert_eq!(handles(node.mount(), "open", &known), expected);

    // On another mount, after the daemons were killed, and after a restart.
    let second = node.second_mount();
    assert_eq!(handles(second.mount(), "open", &known), expected);
    drop(second);
    for daemon in [Daemon::Meta, Daemon::Chunkd] {
        node.kill(daemon);
        drop_caches();
        assert_eq!(handles(node.mount(), "open", &known), expected);
    }
    node.restart();
    assert_eq!(handles(node.mount(), "open", &known), expected);

    std::fs::rename(node.path("a/b/c"), node.path("moved")).expect("moved");
    drop_caches();
    let expected = ["a: b", "moved: file", "moved/file: content"];
    assert_eq!(handles(node.mount(), "open", &known), expected);
    assert!(handles(node.mount(), "write", &known[2..]).is_empty());
    drop_caches();
    let read = std::fs::read_to_string(node.path("moved/file")).expect("read");
    assert_eq!(read, "WRITTEN");
}

#[test]
fn a_handle_of_what_is_gone_is_stale_and_leads_to_nothing_new() {
    let stale = format!("errno {}", libc::ESTALE);
    let node = Node::start();
    let (file, directory) = (node.path("file"), node.path("directory"));
    std::fs::write(&file, "content").expect("a file");
    std::fs::create_dir(&directory).expect("a directory");
    let words = ["file", "directory"].map(str::to_owned);
    let known = handles(node.mount(), "handle", &words);
    let open = std::fs::File::open(&file).expect("a file");
    std::fs::remove_file(&file).expect("removed");
    std::fs::remove_dir(&directory).expect("removed");
    drop_caches();
    let found = handles(node.mount(), "open", &known);
    assert!(
        found[0].ends_with(": content"),
        "it is open still: {found:?}"
    );
    assert_eq!(found[1], stale);
    drop(open);
    // New files get numbers of their own: no handle leads to another's file.
    for number in 0..100 {
        std::fs::write(node.path(format!("new{number}")), "another").expect("a file");
        std::fs::create_dir(node.path(format!("dir{number}"))).expect("a directory");
    }
    wait_until("the closed file is gone", || {
        drop_caches();
        handles(node.mount(), "open", &known) == [stale.clone(), stale.clone()]
    });
}
