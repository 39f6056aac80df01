//! A mount beside a real ext4 file system: the same rows of system calls are carried out on both by
//! `rows.py`, whose head says what a row is, and must give the same.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::sh;
use crate::node::Node;
use crate::scratch::Scratch;
use crate::second_mount::SecondMount;

/// The program that carries out rows.
const PROGRAM: &str = include_str!("rows.py");
/// A row that hangs is a failure, not a hang.
const LIMIT_SECONDS: &str = "300";
/// Size of the ext4 file system; sparse.
const EXT4_BYTES: u64 = 8 << 30;
/// Rows that are shown after a failure, and lines of each.
const SHOWN: (usize, usize) = (10, 12);

/// See the module. Needs root.
pub struct Twins {
    ext4: Scratch,
    mount: SecondMount,
    node: Node,
}

impl Twins {
    /// Both mounted with the same options.
    pub fn start(options: &str) -> Twins {
        let ext4 = Scratch::new();
        ext4.directory("ext4");
        let image = std::fs::File::create_new(ext4.path().join("image")).expect("a file");
        image.set_len(EXT4_BYTES).expect("a sparse file");
        let script = "mkfs.ext4 -q -F -E lazy_itable_init=1 image && mount -o loop,";
        sh(ext4.path(), &format!("{script}{options} image ext4"));
        let node = Node::start();
        Twins {
            mount: node.second_mount_with(options),
            ext4,
            node,
        }
    }

    /// Panics with what differs unless every row gives the same on both.
    pub fn same(&self, rows: &str) {
        let expected = carry_out(&self.ext4(), rows);
        compare(&expected, &carry_out(self.mount(), rows));
    }

    /// The same for rows that reach their directory by another mount too: on ext4 that is the same one.
    pub fn same_on_two_mounts(&self, rows: &str) {
        let expected = carry_out_on(&self.ext4(), &self.ext4(), rows);
        let found = carry_out_on(self.mount(), self.node.mount(), rows);
        compare(&expected, &found);
    }

    /// The same for rows whose other mount is read-only.
    pub fn same_beside_read_only(&self, rows: &str) {
        self.ext4.directory("read-only");
        let script = "mount --bind -o ro,nodev,nosuid ext4 read-only";
        sh(self.ext4.path(), script);
        let other = self.node.second_mount_with("ro,nodev,nosuid");
        let expected = carry_out_on(&self.ext4(), &self.ext4.path().join("read-only"), rows);
        compare(&expected, &carry_out_on(self.mount(), other.mount(), rows));
    }

    /// The node of the mount.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The root of the mount.
    pub fn mount(&self) -> &Path {
        self.mount.mount()
    }

    /// The root of the other file system.
    pub fn ext4(&self) -> PathBuf {
        self.ext4.path().join("ext4")
    }
}

/// Panics with what differs.
fn compare(expected: &str, found: &str) {
    let (expected, found) = (by_row(expected), by_row(found));
    assert!(!expected.is_empty(), "a table has rows");
    let names = |rows: &[Vec<String>]| rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "the same rows and cases");
    let differing: Vec<String> = expected
        .iter()
        .zip(&found)
        .filter(|(expected, found)| expected != found)
        .map(|(expected, found)| differences(expected, found))
        .collect();
    assert!(
        differing.is_empty(),
        "{} of {} differ from ext4 (-: ext4, +: here)\n{}",
        differing.len(),
        expected.len(),
        differing[..differing.len().min(SHOWN.0)].join("\n")
    );
}

/// Carries out rows in a new directory below `root` and gives what they printed.
pub fn carry_out(root: &Path, rows: &str) -> String {
    carry_out_on(root, root, rows)
}

/// `other`: where the root is mounted too.
fn carry_out_on(root: &Path, other: &Path, rows: &str) -> String {
    let directory = tempfile::Builder::new()
        .prefix("table-")
        .tempdir_in(root)
        .expect("a directory")
        .keep();
    sh(&directory, "chmod 755 .");
    let mut child = Command::new("timeout")
        .args(["--kill-after=5", LIMIT_SECONDS, "python3", "-c", PROGRAM])
        .arg(&directory)
        .arg(other.join(directory.file_name().expect("it was just made")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("timeout and python3 are installed");
    let mut input = child.stdin.take().expect("a pipe");
    let rows = rows.to_owned();
    let writer = std::thread::spawn(move || input.write_all(rows.as_bytes()));
    let output = child.wait_with_output().expect("a child");
    writer.join().expect("no panic").expect("it reads all rows");
    let said = String::from_utf8(output.stdout).expect("text");
    assert!(
        output.status.success(),
        "{}: {}\n{}\nthe last lines before it:\n{}",
        root.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr),
        said.lines()
            .rev()
            .take(SHOWN.1)
            .collect::<Vec<_>>()
            .join("\n")
    );
    said
}

/// What was printed for each row, and for each case within one, its name first.
fn by_row(said: &str) -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in said.lines() {
        match rows.last_mut() {
            Some(row) if !line.starts_with("# ") && !line.starts_with("-- ") => {
                row.push(line.to_owned());
            }
            _ => rows.push(vec![line.to_owned()]),
        }
    }
    rows
}

fn differences(expected: &[String], found: &[String]) -> String {
    let same = expected
        .iter()
        .zip(found)
        .take_while(|(a, b)| a == b)
        .count();
    let context = &expected[same.min(3).min(expected.len())..same];
    let mut lines = vec![expected[0].clone()];
    lines.extend(
        context
            .iter()
            .rev()
            .take(3)
            .rev()
            .map(|line| format!("  {line}")),
    );
    for (sign, side) in [("-", expected), ("+", found)] {
        let rest = side.iter().skip(same).take(SHOWN.1);
        lines.extend(rest.map(|line| format!("{sign} {line}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_begin_where_their_names_are() {
        let rows = by_row("# one\na\n-- case\nb\nc\n# two\n");
        assert_eq!(
            rows,
            [vec!["# one", "a"], vec!["-- case", "b", "c"], vec!["# two"]]
        );
    }

    #[test]
    fn differences_are_shown_from_the_first_on() {
        let row = |lines: &[&str]| {
            lines
                .iter()
                .map(|line| (*line).to_owned())
                .collect::<Vec<_>>()
        };
        let said = differences(&row(&["# x", "same", "a"]), &row(&["# x", "same", "b"]));
        assert_eq!(said, "# x\n- a\n+ b");
    }
}
