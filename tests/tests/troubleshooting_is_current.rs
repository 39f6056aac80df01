//! What `docs/troubleshooting.md` quotes is what the programs say, and what those files say whose work it is to tell people
//! what is wrong is in it.
//!
//! A quotation is a heading of the third level that is nothing but code. In it `..` stands for what varies: where the code has
//! a placeholder. It may be a part of a message. Backticks inside are left out, on both sides.

use std::fs;
use std::path::{Path, PathBuf};

use wolfdisk_tests::repository;

/// Every message of an error here is quoted.
const ERRORS: [&str; 9] = [
    "wolfdiskctl/src/error.rs",
    "wolfdiskctl/src/supervisor/error.rs",
    "wolfdisk-fuse/src/error.rs",
    "wolfdisk-fuse/src/options.rs",
    "wolfdisk-common/src/config/error.rs",
    "wolfdisk-common/src/identity/error.rs",
    "wolfdisk-common/src/join_token.rs",
    "wolfdisk-common/src/lock.rs",
    "wolfdisk-common/src/node_id.rs",
];
/// Every sentence here is quoted: `status` may show it.
const PROBLEMS: [&str; 8] = [
    "wolfdisk-meta/src/service/status.rs",
    "wolfdisk-meta/src/service/lan.rs",
    "wolfdisk-chunkd/src/store/status.rs",
    "wolfdisk-chunkd/src/store/load.rs",
    "wolfdisk-chunkd/src/store/presence.rs",
    "wolfdisk-chunkd/src/lan.rs",
    "wolfdisk-discovery/src/heard/sight.rs",
    "wolfdiskctl/src/command/distance.rs",
];
/// A text with so many blanks is a sentence.
const BLANKS: usize = 3;
/// Of those, what is not for `status`.
const UNSAID: [&str; 6] = [
    "leads cluster .., .. inodes, .. sessions",
    "other machines are answered",
    "the node has no keys",
    "a torn tail is cut",
    "its header is unreadable",
    "the next start cannot tell whether segment files are missing",
];

/// A text in the code.
struct Literal {
    text: String,
    /// It is what an error says.
    is_error: bool,
}

/// The texts of a file without its tests, as quotations have them.
fn literals(code: &str) -> Vec<Literal> {
    let code = code
        .split_once("#[cfg(test)]\nmod tests {")
        .map_or(code, |(before, _)| before);
    let mut found = Vec::new();
    let mut rest = code;
    let mut before = String::new();
    while let Some(next) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(after) = character(rest) {
            rest = after;
        } else if let Some(after) = rest.strip_prefix('"') {
            let (text, after) = quoted(after);
            found.push(Literal {
                text: as_quoted(&text),
                is_error: before.trim_end().ends_with("#[error("),
            });
            before.clear();
            rest = after;
        } else {
            before.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    found
}

/// What follows a character in quotes, which may be a quotation mark.
fn character(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('\'')?;
    let inside = inside.strip_prefix('\\').unwrap_or(inside);
    let mut rest = inside.chars();
    rest.next()?;
    rest.as_str().strip_prefix('\'')
}

/// The text up to its end, and what follows. Of escapes only those matter that can be in a message.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '"' => break,
            '\\' => match rest.next() {
                Some('\n') => rest = rest.as_str().trim_start().chars(),
                Some(other) => value.push(other),
                None => break,
            },
            other => value.push(other),
        }
    }
    (value, rest.as_str())
}

/// With `..` for placeholders, and without backticks.
fn as_quoted(text: &str) -> String {
    let mut value = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}', '`']) {
        let (before, from) = rest.split_at(at);
        value.push_str(before);
        rest = if from.starts_with("{{") || from.starts_with("}}") {
            value.push_str(&from[..1]);
            &from[2..]
        } else if let Some(end) = from.strip_prefix('{').and_then(|inside| inside.find('}')) {
            value.push_str("..");
            &from[end + 2..]
        } else {
            &from[1..]
        };
    }
    value.push_str(rest);
    // Two placeholders side by side are one to whoever reads it.
    value.replace("....", "..")
}

/// All Rust files of the programs.
fn sources() -> Vec<PathBuf> {
    let entries = fs::read_dir(repository()).expect("the repository");
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("wolfdisk") || name == "proto"
        })
        .map(|path| path.join("src"))
        .collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.retain(|path| path.extension().is_some_and(|end| end == "rs"));
    assert!(!files.is_empty(), "no sources");
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// What the document quotes.
fn quotations() -> Vec<String> {
    let document = read(&repository().join("docs/troubleshooting.md"));
    let found: Vec<String> = document
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .map(|text| text.replace('`', ""))
        .collect();
    assert!(!found.is_empty(), "it quotes nothing");
    found
}

/// Whether there is something to be said beside what varies.
fn has_words(text: &str) -> bool {
    text.chars().filter(|letter| letter.is_alphabetic()).count() >= 2
}

#[test]
fn what_is_quoted_is_said() {
    let said: Vec<String> = sources()
        .iter()
        .flat_map(|path| literals(&read(path)))
        .map(|literal| literal.text)
        .collect();
    let unsaid: Vec<String> = quotations()
        .into_iter()
        .filter(|quotation| !said.iter().any(|text| text.contains(quotation.as_str())))
        .collect();
    assert!(
        unsaid.is_empty(),
        "docs/troubleshooting.md quotes what no program says:\n{}",
        unsaid.join("\n")
    );
}

#[test]
fn no_quotation_is_there_twice_or_says_nothing() {
    let mut all = quotations();
    all.sort();
    for pair in all.windows(2) {
        assert_ne!(pair[0], pair[1]);
    }
    let empty: Vec<&String> = all.iter().filter(|text| !has_words(text)).collect();
    assert!(empty.is_empty(), "{empty:?}");
}

#[test]
fn what_tells_people_that_something_is_wrong_is_quoted() {
    let quotations = quotations();
    let of = |file: &str| literals(&read(&repository().join(file)));
    let errors = ERRORS.iter().flat_map(|file| {
        let all = of(file).into_iter().filter(|literal| literal.is_error);
        all.map(|literal| (*file, literal.text))
    });
    let problems = PROBLEMS.iter().flat_map(|file| {
        let all = of(file).into_iter().map(|literal| (*file, literal.text));
        all.filter(|(_, text)| text.matches(' ').count() >= BLANKS)
    });
    let missing: Vec<String> = errors
        .chain(problems)
        .filter(|(_, text)| has_words(text) && !UNSAID.contains(&text.as_str()))
        .filter(|(_, text)| {
            !quotations
                .iter()
                .any(|quotation| text.contains(quotation.as_str()))
        })
        .map(|(file, text)| format!("{file}: {text}"))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/troubleshooting.md has no heading for:\n{}",
        missing.join("\n")
    );
}

#[test]
fn texts_are_found_as_the_compiler_finds_them() {
    let code = "// \"no\"\n#[error(\n \"{0} is \\\n   `{x}`; \\\"a\\\" {{b}}{c}{d}\"\n)] fn f<'a>(c: char) { c == '\"'; \"z\" }\n#[cfg(test)]\nmod tests { \"t\" }";
    let found = literals(code);
    let texts: Vec<&str> = found.iter().map(|literal| literal.text.as_str()).collect();
    assert_eq!(texts, [".. is ..; \"a\" {b}..", "z"]);
    assert!(found[0].is_error && !found[1].is_error);
}
