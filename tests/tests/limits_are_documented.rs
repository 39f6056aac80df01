//! Every limit of every crate is in `docs/constants.md`, with its value, and nothing is there that is none.

use std::collections::BTreeMap;
use std::fs;

use wolfdisk_tests::repository;

const CRATES: [&str; 9] = [
    "wolfdisk-common",
    "proto",
    "wolfdisk-client",
    "wolfdisk-admin",
    "wolfdisk-discovery",
    "wolfdisk-meta",
    "wolfdisk-chunkd",
    "wolfdisk-fuse",
    "wolfdisk-s3",
];
/// How documents write durations, in microseconds.
const UNITS: [(&str, u128); 7] = [
    (" us", 1),
    (" ms", 1000),
    (" min", 60_000_000),
    (" s", 1_000_000),
    (" h", 3_600_000_000),
    (" days", 86_400_000_000),
    (" d", 86_400_000_000),
];
/// How the code does.
const CONSTRUCTORS: [(&str, u128); 3] = [
    ("from_micros(", 1),
    ("from_millis(", 1000),
    ("from_secs(", 1_000_000),
];

/// What two ways to write it must have in common: the number it is worth, else its text.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Number(u128),
    Text(String),
}

impl Value {
    fn of(text: &str) -> Value {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text.replace(['`', '_'], "");
        let text = text.trim_end_matches(" as u64").trim_end_matches(" as u32");
        let code = CONSTRUCTORS.iter().find_map(|(begin, unit)| {
            let begin = begin.replace('_', "");
            let (_, rest) = text.split_once(&format!("Duration::{begin}"))?;
            Some((rest.strip_suffix(')')?, *unit))
        });
        let written = || {
            let found = UNITS
                .iter()
                .find_map(|(end, unit)| Some((text.strip_suffix(end)?, *unit)));
            found.unwrap_or((text, 1))
        };
        let (amount, unit) = code.unwrap_or_else(written);
        match product(amount) {
            Some(number) => Value::Number(number * unit),
            None => Value::Text(format!("{amount} x {unit}")),
        }
    }
}

/// A product or a shift of numbers.
fn product(text: &str) -> Option<u128> {
    if let Some((left, right)) = text.split_once("<<") {
        return Some(product(left)? << product(right)?);
    }
    text.split('*')
        .map(|factor| factor.trim().parse::<u128>().ok())
        .product()
}

/// The limits of a crate as its code has them.
fn in_code(name: &str) -> BTreeMap<String, Value> {
    let path = repository().join(name).join("src/limits.rs");
    let code = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let declared = code.split("pub const ").skip(1);
    let mut found = BTreeMap::new();
    for item in declared {
        let (constant, rest) = item.split_once(':').expect("a type");
        let (_, rest) = rest.split_once('=').expect("a value");
        let (value, _) = rest.split_once(';').expect("an end");
        found.insert(constant.to_owned(), Value::of(value));
    }
    assert!(!found.is_empty(), "{path:?} declares nothing");
    found
}

/// As the document has them.
fn in_document(name: &str, document: &str) -> BTreeMap<String, Value> {
    let sections = document
        .split("\n## ")
        .filter(|section| section.starts_with(&format!("{name}:")));
    let rows = sections
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("| `"));
    let mut found = BTreeMap::new();
    for row in rows {
        let (constant, rest) = row.split_once('`').expect("a name");
        let value = rest.split('|').nth(1).expect("a value");
        let twice = found.insert(constant.to_owned(), Value::of(value));
        assert_eq!(twice, None, "{name} has {constant} twice");
    }
    found
}

#[test]
fn every_limit_is_documented_with_its_value() {
    let path = repository().join("docs/constants.md");
    let document = fs::read_to_string(path).expect("the document");
    let mut wrong = Vec::new();
    for name in CRATES {
        let (code, mut shown) = (in_code(name), in_document(name, &document));
        for (constant, value) in &code {
            match shown.remove(constant) {
                Some(there) if there == *value => {}
                there => wrong.push(format!(
                    "{name}: {constant} is {value:?}, documented {there:?}"
                )),
            }
        }
        wrong.extend(
            shown
                .keys()
                .map(|constant| format!("{name}: there is no {constant}")),
        );
    }
    assert!(wrong.is_empty(), "docs/constants.md:\n{}", wrong.join("\n"));
}

#[test]
fn ways_to_write_a_value_are_told_apart_from_values() {
    assert_eq!(Value::of("Duration::from_secs(5 * 60)"), Value::of("5 min"));
    assert_eq!(
        Value::of("std::time::Duration::from_millis(1_000)"),
        Value::of("1 s")
    );
    assert_eq!(Value::of("64 * 1024"), Value::of("65_536"));
    assert_eq!(Value::of("1 << 30"), Value::of("1073741824"));
    assert_ne!(Value::of("Duration::from_secs(5)"), Value::of("5 ms"));
    assert_ne!(
        Value::of("CONNECTIONS_MAX / 2"),
        Value::of("CONNECTIONS_MAX / 3")
    );
}
