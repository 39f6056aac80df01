//! What the daemons logged, as much of it as may be shown and is of use.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::super::ask::ask;

/// The last bytes of a file, and lines of the journal.
const TAIL_BYTES: u64 = 2 << 20;
const JOURNAL_LINES: &str = "10000";

/// The last lines of the journal of all units of the node. `None`: there is no journal, or nothing in it.
pub(super) fn journal() -> Option<String> {
    let said = ask(
        "journalctl",
        &[
            "--no-pager",
            "--quiet",
            "--output=short-iso",
            "--lines",
            JOURNAL_LINES,
            "--unit",
            "wolfdisk*",
        ],
    )?;
    (said.good && !said.text.is_empty()).then(|| coarse(&said.text))
}

/// The last lines of a file.
///
/// # Errors
/// What the system says.
pub(super) fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // The first one may have lost its beginning, by which it would be judged.
    let whole = match (start, text.split_once('\n')) {
        (0, _) | (_, None) => &*text,
        (_, Some((_, rest))) => rest,
    };
    Ok(coarse(whole))
}

/// Without the lines that only somebody gets who asks for them, which tell of single files.
fn coarse(text: &str) -> String {
    let is_fine = |line: &str| {
        let mut words = line.split_whitespace().take(8);
        words.any(|word| {
            // A terminal's colours may be around it.
            let word = word.trim_matches(|letter: char| !letter.is_ascii_uppercase());
            word == "DEBUG" || word == "TRACE"
        })
    };
    let lines = text.lines().filter(|line| !is_fine(line));
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fine_lines_are_left_out() {
        let text = "2026-11-29T09:00:00Z  INFO ready\n\
                    2026-11-29T09:00:00Z DEBUG looked up name=a\n\
                    2026-11-29T09:00:00+0000 host wolfdisk-meta[7]: 2026-11-29T09:00:00Z TRACE name=a\n\
                    \u{1b}[2m2026-11-29T09:00:00Z\u{1b}[0m \u{1b}[34mDEBUG\u{1b}[0m name=a\n\
                    a panic: DEBUGGING\n";
        assert_eq!(
            coarse(text),
            "2026-11-29T09:00:00Z  INFO ready\na panic: DEBUGGING\n"
        );
    }

    #[test]
    fn of_a_long_file_the_end_is_taken() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        let line = "x".repeat(99) + "\n";
        let count = usize::try_from(TAIL_BYTES).expect("small") / line.len() + 10;
        std::fs::write(&path, line.repeat(count) + "last\n").expect("written");
        let tail = tail(&path).expect("read");
        assert!(tail.ends_with("last\n") && tail.starts_with(&line));
        assert!(tail.len() as u64 <= TAIL_BYTES);
    }
}
