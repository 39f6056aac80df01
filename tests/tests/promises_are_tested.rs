//! What `docs/guarantees.md` promises names the tests behind it, and they are there.

use std::fs;

use wolfdisk_tests::repository;

/// How the names of tests are short for paths; where there are two, either may be meant.
const SHORT: [(&str, &str); 11] = [
    ("tests/", "tests/tests/"),
    ("tests/s3/", "tests/s3/"),
    ("fs/", "tests/tests/file_system/"),
    ("meta/", "wolfdisk-meta/src/"),
    ("meta/tests/", "wolfdisk-meta/tests/"),
    ("chunkd/", "wolfdisk-chunkd/tests/"),
    ("client/", "wolfdisk-client/src/"),
    ("proto/", "proto/"),
    ("s3/", "wolfdisk-s3/src/"),
    ("common/", "wolfdisk-common/src/"),
    ("wolfdiskctl/", "wolfdiskctl/"),
];
const PROMISES: [&str; 8] = ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8"];

#[test]
fn each_promise_names_tests_that_are_there() {
    let text = fs::read_to_string(repository().join("docs/guarantees.md")).expect("readable");
    for promise in PROMISES {
        let (_, section) = text
            .split_once(&format!("\n## {promise}: "))
            .unwrap_or_else(|| panic!("{promise} is not there"));
        let section = section.split("\n## ").next().unwrap_or_default();
        let named: Vec<&str> = section.split('`').skip(1).step_by(2).collect();
        let found = named.iter().filter(|name| is_there(name)).count();
        assert_ne!(found, 0, "{promise} names no test");
        let lost: Vec<&&str> = named
            .iter()
            .filter(|name| is_short(name) && !is_there(name))
            .collect();
        assert!(
            lost.is_empty(),
            "{promise} names what is not there: {lost:?}"
        );
    }
}

fn is_short(name: &str) -> bool {
    SHORT.iter().any(|(short, _)| name.starts_with(short))
}

fn is_there(name: &str) -> bool {
    SHORT.iter().any(|(short, folder)| {
        let rest = name.strip_prefix(short);
        rest.is_some_and(|rest| {
            let path = repository().join(folder).join(rest);
            path.exists()
                || path
                    .with_file_name(format!("{}.rs", last_of(rest)))
                    .exists()
        })
    })
}

fn last_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
