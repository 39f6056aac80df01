//! The dashboard by itself: Grafana knows each of its properties, and a person finds their way in it.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;
use wolfdisk_tests::{Scratch, grafana, run};

use crate::{deployed, metrics_in};

/// How many columns Grafana has.
const COLUMNS: u64 = 24;
/// The types, and what they are of.
const TYPES: &str = include_str!("dashboard.ts");
const COMPILER: &str = r#"{
  "compilerOptions": {"noEmit": true, "strict": true, "skipLibCheck": true, "types": [],
                      "module": "nodenext", "moduleResolution": "nodenext"},
  "files": ["dashboard.ts"]
}"#;
/// What a person chooses machines by.
const CHOSEN: &str = "instance=~\"$instance\"";

fn dashboard() -> Value {
    serde_json::from_str(&deployed("grafana/wolfdisk.json")).expect("an object")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Panels that show something: rows are headings.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = list(&dashboard["panels"]).iter();
    all.filter(|panel| panel["type"] != "row").collect()
}

/// Title and expression of each query, with what Grafana puts in place of its variables.
pub fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut found = Vec::new();
    for panel in panels(&dashboard) {
        for target in list(&panel["targets"]) {
            let expression = text(&target["expr"])
                .replace("$__rate_interval", "1m")
                .replace("$instance", ".+");
            assert!(!expression.contains('$'), "{expression}");
            found.push((text(&panel["title"]).to_owned(), expression));
        }
    }
    found
}

#[test]
fn grafana_knows_each_property() {
    let scratch = Scratch::new();
    let dashboard = dashboard();
    let mut program = format!("{TYPES}export const all: Written<Dashboard> = {dashboard};\n");
    for panel in panels(&dashboard) {
        let mut own = serde_json::Map::new();
        for part in ["options", "targets"] {
            own.insert(part.to_owned(), panel[part].clone());
        }
        let custom = &panel["fieldConfig"]["defaults"]["custom"];
        if !custom.is_null() {
            own.insert("custom".to_owned(), custom.clone());
        }
        let (id, kind) = (&panel["id"], &panel["type"]);
        let own = Value::from(own);
        program += &format!("export const panel{id}: Written<Own[{kind}]> = {own};\n");
    }
    let at = |name: &str| scratch.path().join(name);
    fs::write(at("dashboard.ts"), program).expect("a file");
    fs::write(at("tsconfig.json"), COMPILER).expect("a file");
    symlink(grafana("node_modules"), at("node_modules")).expect("a link");
    let compiler = grafana("node_modules/.bin/tsc");
    let said = run(Command::new(compiler).arg("--project").arg(scratch.path()));
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
}

#[test]
fn panels_have_their_own_place_and_say_what_they_show() {
    let dashboard = dashboard();
    let mut ids = HashSet::new();
    let mut taken = HashSet::new();
    for panel in list(&dashboard["panels"]) {
        let title = text(&panel["title"]);
        assert!(
            ids.insert(panel["id"].as_u64().expect("a number")),
            "{title}"
        );
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a number"));
        assert!(x + w <= COLUMNS, "{title}");
        for column in x..x + w {
            for row in y..y + h {
                assert!(taken.insert((column, row)), "{title} lies on another");
            }
        }
    }
    for panel in panels(&dashboard) {
        let title = text(&panel["title"]);
        assert!(text(&panel["description"]).ends_with('.'), "{title}");
        assert_ne!(
            text(&panel["fieldConfig"]["defaults"]["unit"]),
            "",
            "{title}"
        );
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let mut names = HashSet::new();
        for target in list(&panel["targets"]) {
            assert!(names.insert(text(&target["refId"])), "{title}");
        }
    }
}

#[test]
fn machines_can_be_chosen_in_every_query() {
    let dashboard = dashboard();
    for panel in panels(&dashboard) {
        for target in list(&panel["targets"]) {
            let expression = text(&target["expr"]);
            let chosen = expression.matches(CHOSEN).count();
            assert_eq!(metrics_in(expression).count(), chosen, "{expression}");
        }
    }
}
