//! Calls on a small tree, drawn at random: lines for an [`Actor`](crate::actor::Actor).
//!
//! A line depends on nothing but the generator, so that any lines of a script can be left out. What
//! `docs/limits.md` says of FUSE is respected here, each by its name.

use crate::random::Random;

/// Names of which paths are made: few, so that calls meet each other.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "longer name with spaces \u{e4}"];
/// Files that one actor keeps open.
const HANDLES: u64 = 4;
/// Writes begin below this offset.
const REACH: u64 = 300_000;
/// Mappings reach a little farther than most files.
const PAGES: u64 = 80;
const XATTRS: [&str; 5] = ["user.a", "user.b", "trusted.c", "security.d", "unknown.e"];
const MODES: [u32; 8] = [0o644, 0o600, 0o755, 0o777, 0o1777, 0o2775, 0o4755, 0o040];
const TIMES: [&str; 7] = [
    "NOW",
    "OMIT",
    "(0, 0)",
    "(-1, 999999999)",
    "(1000000000, 123456789)",
    "(4000000000, 1)",
    "(5, 1000000000)",
];

/// A `flock` and a `fcntl` lock exclude each other, other than on ext4: a script has one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Locks {
    Flock,
    Fcntl,
}

/// Draws lines of one script.
pub struct Steps<'a> {
    random: &'a mut Random,
    locks: Locks,
}

impl<'a> Steps<'a> {
    pub fn new(random: &'a mut Random) -> Steps<'a> {
        let locks = [Locks::Flock, Locks::Fcntl][random.below(2) as usize];
        Steps { random, locks }
    }

    /// The next line.
    pub fn draw(&mut self) -> String {
        match self.below(100) {
            0..30 => self.name(),
            30..47 => self.attribute(),
            47..58 => self.content(),
            58..66 => self.open(),
            66..84 => self.data(),
            84..88 => self.lock(),
            88..94 => self.mapping(),
            94..96 => self.open_attribute(),
            96..99 => self.watched(),
            _ => self.not_passed(),
        }
    }

    /// A number below another.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A path, quoted.
    fn path(&mut self) -> String {
        let depth = self.one(&[1, 1, 1, 2, 2, 3]);
        let names: Vec<&str> = (0..depth).map(|_| self.one(&NAMES)).collect();
        format!("'{}'", names.join("/"))
    }

    /// The seed of bytes and their number.
    fn bytes(&mut self) -> String {
        let most = self.one(&[600, 5_000, 70_000, 200_000]);
        format!("{}, {}", self.below(1 << 30), self.below(most))
    }

    fn flag(&mut self) -> &'static str {
        self.one(&["True", "False"])
    }

    fn name(&mut self) -> String {
        let (path, other) = (self.path(), self.path());
        let mode = self.one(&MODES);
        match self.below(30) {
            0..7 => format!("mkdir({path}, {mode})"),
            7..9 => format!("rmdir({path})"),
            9..13 => format!("unlink({path})"),
            13..17 => format!("rename({path}, {other}, {})", self.one(&[0, 0, 1, 2])),
            17..20 => format!("link({path}, {other}, {})", self.flag()),
            20..22 => format!("symlink({path}, {other})"),
            22 => format!("readlink({path})"),
            23 | 24 => {
                let kind = self.one(&["fifo", "fifo", "socket", "char", "block", "file"]);
                format!("mknod({path}, '{kind}', {mode})")
            }
            25 => format!("bind({path})"),
            26 => format!("umask({})", self.one(&[0o022, 0o077, 0, 0o027])),
            _ => format!("listing({path}, {})", self.one(&[300, 600, 4096])),
        }
    }

    fn attribute(&mut self) -> String {
        let (path, xattr) = (self.path(), self.one(&XATTRS));
        match self.below(20) {
            0 | 1 => format!("chmod({path}, {})", self.one(&MODES)),
            // Not to -1:-1, of which the kernel does not tell.
            2 => {
                let (user, group) = (self.one(&[0, 1001, 1002]), self.one(&[-1, 0, 1001, 1002]));
                format!("chown({path}, {user}, {group}, {})", self.flag())
            }
            3 | 4 => format!("truncate({path}, {})", self.below(REACH)),
            5 | 6 => format!("access({path}, {}, {})", self.below(8), self.flag()),
            7 | 8 => {
                let (length, flags) = (self.one(&[0, 5, 300]), self.one(&[0, 0, 1, 2]));
                format!(
                    "setxattr({path}, '{xattr}', {}, {length}, {flags})",
                    self.below(99)
                )
            }
            9 => format!("getxattr({path}, '{xattr}')"),
            10 => format!("removexattr({path}, '{xattr}')"),
            11 => format!("listxattr({path})"),
            12 | 13 => {
                let (accessed, modified) = (self.one(&TIMES), self.one(&TIMES));
                let flags = self.one(&["0", "AT_SYMLINK_NOFOLLOW"]);
                format!("utimensat({path}, {accessed}, {modified}, {flags})")
            }
            14 | 15 => format!("set_acl({path}, {}, {})", self.flag(), self.acl()),
            16 => format!("acl({path}, {})", self.flag()),
            17 => {
                let flags = self.one(&["0", "AT_SYMLINK_NOFOLLOW"]);
                format!(
                    "statx({path}, {flags}, {})",
                    self.one(&["0x7ff", "0x1", "0x2", "0x200"])
                )
            }
            _ => format!("look({path}, {})", self.flag()),
        }
    }

    /// Owner, perhaps a user and a group with a mask, group and others; now and then a broken list.
    fn acl(&mut self) -> String {
        let mut entries = vec![(1, -1)];
        let named = self.below(3);
        if named > 0 {
            entries.push((2, self.one(&[1001, 1002])));
        }
        entries.push((4, -1));
        if named > 1 {
            entries.push((8, self.one(&[1001, 1002])));
        }
        if named > 0 && self.below(10) > 0 {
            entries.push((16, -1));
        }
        entries.push((32, -1));
        let entries = entries.iter().map(|(tag, who)| {
            let bits = self.below(8);
            format!("({tag}, {who}, {bits})")
        });
        format!("[{}]", entries.collect::<Vec<_>>().join(", "))
    }

    fn content(&mut self) -> String {
        let path = self.path();
        if self.below(4) == 0 {
            return format!("read({path})");
        }
        let flags = self.one(&[
            "O_CREAT | O_EXCL",
            "O_CREAT",
            "O_CREAT",
            "0",
            "O_APPEND",
            "O_CREAT | O_TRUNC",
            "O_NOFOLLOW",
            "O_SYNC",
        ]);
        let (at, bytes) = (self.below(REACH), self.bytes());
        format!("put({path}, {at}, {bytes}, {flags})")
    }

    fn open(&mut self) -> String {
        let (handle, path) = (self.below(HANDLES), self.path());
        let mut flags = self
            .one(&["O_RDWR", "O_RDWR", "O_RDWR", "O_RDONLY", "O_WRONLY"])
            .to_owned();
        let more = [
            "O_CREAT",
            "O_CREAT",
            "O_CREAT",
            "O_EXCL",
            "O_TRUNC",
            "O_APPEND",
            "O_DIRECT",
            "O_NOFOLLOW",
            "O_SYNC",
            "O_DSYNC",
            "O_NOATIME",
            "O_DIRECTORY",
        ];
        for _ in 0..self.below(4) {
            flags += &format!(" | {}", self.one(&more));
        }
        match self.below(12) {
            0 | 1 => format!("close({handle})"),
            // Not kept open: the kernel tells of no such open, and the file may lose its name.
            2 => format!(
                "place_of({path}, {})",
                self.one(&["0", "O_NOFOLLOW", "O_DIRECTORY"])
            ),
            // What is done with both goes by the kernel's version; an end of a file is no whole block.
            _ if flags.contains("O_CREAT") && flags.contains("O_DIRECTORY") => self.open(),
            _ if flags.contains("O_APPEND") && flags.contains("O_DIRECT") => self.open(),
            _ => format!("opens({handle}, {path}, {flags}, {})", self.one(&MODES)),
        }
    }

    /// A call on an open file.
    fn on(&mut self, call: &str) -> String {
        format!("on({}, lambda file: {call})", self.below(HANDLES))
    }

    fn data(&mut self) -> String {
        let (at, bytes) = (self.below(REACH), self.bytes());
        let length = self.below(200_000);
        let call = match self.below(24) {
            0..5 => {
                let flags = ["0", "0", "RWF_APPEND", "RWF_DSYNC", "RWF_SYNC", "RWF_HIPRI"];
                format!("pwrite(file, {at}, {bytes}, {})", self.one(&flags))
            }
            5..8 => format!("pread(file, {at}, {length})"),
            8..10 => format!("write_on(file, {bytes})"),
            10 => format!("read_on(file, {length})"),
            11 => {
                let whence = self.one(&["SEEK_SET", "SEEK_CUR", "SEEK_END", "99"]);
                let to = self.one(&[0, at as i64, -(at as i64)]);
                format!("lseek(file, {to}, {whence})")
            }
            12 | 13 => format!("holes(file, {at})"),
            14..17 => {
                // 0, KEEP_SIZE, PUNCH_HOLE with it, ZERO_RANGE with and without.
                let mode = self.one(&[0, 1, 3, 3, 16, 17]);
                format!("fallocate(file, {mode}, {at}, {})", self.below(100_000))
            }
            17 => format!("ftruncate(file, {at})"),
            18 => self.one(&["fsync(file)", "fdatasync(file)"]).to_owned(),
            19 => format!("syncrange(file, {})", self.below(8)),
            20 => format!("advise(file, {})", self.below(6)),
            21 => format!("send(file, {at}, {}, {length})", self.below(HANDLES)),
            _ => {
                let (to, to_at) = (self.below(HANDLES), self.below(REACH));
                format!("copy(file, {}, {to}, {to_at}, {length})", at / 2)
            }
        };
        self.on(&call)
    }

    fn lock(&mut self) -> String {
        let call = match self.locks {
            Locks::Flock => format!("flock(file, {})", self.one(&[1, 2, 2, 8])),
            Locks::Fcntl => {
                let kind = self.one(&["read", "write", "write", "unlock"]);
                let (start, length) = (self.below(20), self.below(10));
                let (of_file, call) = (self.flag(), self.one(&["lock", "lock", "is_free"]));
                let kind = if call == "is_free" && kind == "unlock" {
                    "read"
                } else {
                    kind
                };
                format!("{call}(file, '{kind}', {start}, {length}, {of_file})")
            }
        };
        self.on(&call)
    }

    fn mapping(&mut self) -> String {
        let (page, offset, length) = (self.below(PAGES), self.below(4096), 1 + self.below(4096));
        let call = match self.below(6) {
            0 | 1 => format!("map(file, {})", 1 + self.below(PAGES)),
            2 | 3 => format!("store(file, {page}, {offset}, {page}, {length})"),
            _ => format!("load(file, {page}, {offset}, {length})"),
        };
        self.on(&call)
    }

    fn open_attribute(&mut self) -> String {
        let xattr = self.one(&XATTRS);
        let call = match self.below(8) {
            0 => format!("fchmod(file, {})", self.one(&MODES)),
            1 => format!(
                "fchown(file, {}, {})",
                self.one(&[0, 1001]),
                self.one(&[-1, 1001])
            ),
            2 => format!("futimens(file, {}, {})", self.one(&TIMES), self.one(&TIMES)),
            3 => format!("fsetxattr(file, '{xattr}', {}, 30)", self.below(99)),
            4 => format!("fgetxattr(file, '{xattr}')"),
            5 => format!("relink(file, {})", self.path()),
            _ => "fstat(file)".to_owned(),
        };
        self.on(&call)
    }

    /// A call and which times of its nodes, and of the directory, it changes.
    fn watched(&mut self) -> String {
        let line = match self.below(3) {
            0 => self.name(),
            1 => self.attribute(),
            _ => self.content(),
        };
        let mut paths: Vec<String> = line
            .split('\'')
            .skip(1)
            .step_by(2)
            .map(|path| format!("'{path}'"))
            .collect();
        paths.retain(|path| NAMES.iter().any(|name| path.contains(name)) && !path.contains('.'));
        format!("watched({line:?}, '.', {})", paths.join(", "))
    }

    fn not_passed(&mut self) -> String {
        match self.below(3) {
            0 => format!("tmpfile({})", self.path()),
            1 => format!("whiteout({}, {})", self.path(), self.path()),
            _ => self.on("collapse(file)"),
        }
    }
}

/// What the kernel does not pass on for FUSE, and what is said instead; ext4 is not asked.
pub fn instead(line: &str) -> Option<&'static [&'static str]> {
    // Paths are looked up first.
    let files: &[&str] = &["'ENOTSUP'", "'ENOENT'", "'ENOTDIR'", "'EACCES'", "'ELOOP'"];
    // So are both names, and between two of one file a rename does nothing, whatever its flags.
    let renames: &[&str] = &[
        "None",
        "'EINVAL'",
        "'ENOENT'",
        "'ENOTDIR'",
        "'EISDIR'",
        "'ENOTEMPTY'",
        "'EACCES'",
        "'ELOOP'",
        "'EPERM'",
    ];
    let open: &[&str] = &[
        "'ENOTSUP'",
        "'EBADF'",
        "'ESPIPE'",
        "'ENODEV'",
        "'EISDIR'",
        "'not open'",
    ];
    match line {
        _ if line.starts_with("tmpfile(") => Some(files),
        _ if line.starts_with("whiteout(") => Some(renames),
        _ if line.contains(": collapse(") => Some(open),
        _ => None,
    }
}
