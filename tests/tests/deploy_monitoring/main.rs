//! What is installed for those who watch a cluster: alerts and an example for Prometheus, a dashboard for Grafana. Each alert
//! fires and clears, each expression finds something in what daemons tell, Grafana knows each property, and the package
//! carries all of it.

mod dashboard;
mod prometheus;
mod real;
mod rules;

use std::fs;
use std::process::Command;

use wolfdisk_tests::{installed, program, repository, run};

/// A file of `deploy/`.
fn deployed(path: &str) -> String {
    let path = repository().join("deploy").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every metric in a text, as often as it is there.
fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|part: char| !part.is_ascii_alphanumeric() && !"_:".contains(part));
    words.filter(|word| {
        *word == "up" || word.starts_with("wolfdisk_") || word.starts_with("process_")
    })
}

#[test]
fn the_package_carries_all_of_it() {
    let package = program("dist/wolfdisk.deb");
    let listed = run(Command::new(installed("dpkg-deb"))
        .arg("--contents")
        .arg(package));
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    for path in [
        "prometheus/wolfdisk.rules.yml",
        "prometheus/scrape.yml",
        "grafana/wolfdisk.json",
    ] {
        let end = format!("usr/share/wolfdisk/{path}");
        assert!(
            listed.stdout.lines().any(|line| line.ends_with(&end)),
            "{path}: {}",
            listed.stdout
        );
    }
}
