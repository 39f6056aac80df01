//! The alerts by themselves: promtool accepts them and the example, and shows each fire with all that it says, and clear.

use std::collections::BTreeMap;
use std::fs;

use wolfdisk_tests::{repository, sh};

use crate::deployed;

/// What is told by whom fires, and what does not.
#[derive(Debug, Default)]
struct Shown {
    fires: u32,
    is_silent: u32,
}

#[test]
fn promtool_accepts_rules_and_example() {
    let folder = repository().join("deploy/prometheus");
    sh(
        &folder,
        "promtool check rules --lint-fatal wolfdisk.rules.yml",
    );
    sh(&folder, "promtool check config scrape.yml");
}

#[test]
fn each_alert_fires_and_clears() {
    let folder = repository().join("deploy/prometheus");
    sh(&folder, "promtool test rules wolfdisk.rules*.test.yml");
    let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
    for entry in fs::read_dir(&folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.to_string_lossy().ends_with(".test.yml") {
            look(&fs::read_to_string(path).expect("a text"), &mut shown);
        }
    }
    let alerts = alerts();
    let names: Vec<&String> = alerts.keys().collect();
    assert_eq!(names, shown.keys().collect::<Vec<_>>());
    for (name, Shown { fires, is_silent }) in shown {
        assert!(fires > 0 && is_silent > 0, "{name}: {fires}, {is_silent}");
    }
}

/// Which alerts a file of tests shows, and how.
fn look(text: &str, shown: &mut BTreeMap<String, Shown>) {
    let mut name = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(found) = line.strip_prefix("alertname: ") {
            name = found.to_owned();
        }
        let of = shown.entry(name.clone()).or_default();
        match line {
            "exp_alerts:" => of.fires += 1,
            "exp_alerts: []" => of.is_silent += 1,
            _ => {}
        }
    }
    // Lines before the first.
    shown.remove("");
}

/// The text of each alert by its name.
fn alerts() -> BTreeMap<String, String> {
    let text = deployed("prometheus/wolfdisk.rules.yml");
    let parts = text.split("- alert: ").skip(1);
    let named = parts.map(|part| {
        let (name, rest) = part.split_once('\n').expect("a name");
        (name.to_owned(), rest.to_owned())
    });
    named.collect()
}

#[test]
fn each_alert_says_how_bad_it_is_and_what_to_do() {
    let documented = fs::read_to_string(repository().join("docs/metrics.md")).expect("a text");
    for (name, text) in alerts() {
        let severities = ["critical", "warning"].map(|severity| {
            let is_so = text.contains(&format!("severity: {severity}\n"));
            (severity, is_so)
        });
        let told: Vec<&str> = severities
            .into_iter()
            .filter_map(|(severity, is_so)| is_so.then_some(severity))
            .collect();
        assert_eq!(told.len(), 1, "{name}");
        for part in ["summary: ", "description: ", "runbook: docs/"] {
            assert!(text.contains(part), "{name}: {part}");
        }
        let row = format!("| `{name}` | {} | ", told.concat());
        assert!(documented.contains(&row), "docs/metrics.md has no {row}");
    }
}

#[test]
fn the_limit_that_no_metric_tells_is_that_of_the_gateway() {
    let limit = wolfdisk_s3::limits::CONNECTIONS_MAX;
    let compared = format!("wolfdisk_s3_connections_open / {limit} > ");
    assert!(deployed("prometheus/wolfdisk.rules.yml").contains(&compared));
}
