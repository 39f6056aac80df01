//! What is told is documented and the other way round, and follows the rules of the format.

use std::collections::BTreeSet;
use std::fs;

use wolfdisk_tests::{Gateway, Node, Numbers, repository, told};

use crate::mounts::KernelTells;
use crate::{chunkd, meta, mount};

/// What both of these tell is documented once.
const DAEMONS: [&str; 2] = ["wolfdisk_meta", "wolfdisk_chunk"];
/// What names of metrics begin with.
const PREFIXES: [&str; 5] = [
    "wolfdisk_meta",
    "wolfdisk_chunk",
    "wolfdisk_fuse",
    "wolfdisk_s3",
    "wolfdisk_volume",
];
/// Ends of what a histogram tells.
const OF_HISTOGRAM: [&str; 2] = ["_count", "_sum"];

/// Names of metrics in back ticks, with `*_` as one of the two daemons that it stands for.
fn documented(prefix: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(repository().join("docs/metrics.md")).expect("the document");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`'));
    let names = names.map(|name| match name.strip_prefix("*_") {
        Some(rest) if DAEMONS.contains(&prefix) => format!("{prefix}_{rest}"),
        _ => name.to_owned(),
    });
    names
        .filter(|name| name.starts_with(prefix) || name.starts_with("process_"))
        .collect()
}

#[test]
fn what_is_told_is_documented_and_what_is_documented_is_told() {
    let _kernel = KernelTells::begin();
    let node = Node::start();
    let gateway = Gateway::start(&node, "");
    // So that there are requests to tell.
    let (_, status) = told(&gateway.address(), "");
    assert_eq!(status, "200");
    let volume = documented("wolfdisk_volume");
    for (numbers, prefix) in [
        (meta(&node), "wolfdisk_meta"),
        (chunkd(&node), "wolfdisk_chunk"),
        (mount(&node), "wolfdisk_fuse"),
        (Numbers::at(&gateway.admin()), "wolfdisk_s3"),
    ] {
        let told: BTreeSet<String> = numbers.names().into_iter().collect();
        let mut known = documented(prefix);
        if ["wolfdisk_fuse", "wolfdisk_s3"].contains(&prefix) {
            known.extend(volume.iter().cloned());
        }
        // No connection was ended here.
        known.remove("wolfdisk_s3_connections_ended_total");
        assert_eq!(told, known, "{prefix}");
        follows_the_rules(&node, &numbers);
    }
    gateway.stop();
}

/// Whether `text` has `begin` and then `name` as a whole, or what is told of it as a histogram.
fn names(text: &str, begin: &str, name: &str) -> bool {
    let wanted = format!("{begin}{name}");
    text.match_indices(&wanted).any(|(at, _)| {
        let rest = text.get(at + wanted.len()..).unwrap_or_default();
        let ended = OF_HISTOGRAM.iter().find_map(|end| rest.strip_prefix(end));
        let next = ended.unwrap_or(rest).chars().next();
        next.is_none_or(|next| !next.is_ascii_alphanumeric() && next != '_')
    })
}

/// The text of all comparisons; of the connections that wolfdisk-s3 ends some are made where clients are slow anyway.
fn comparisons() -> String {
    let tests = repository().join("tests/tests");
    let here = fs::read_dir(tests.join("metrics_tell")).expect("a folder");
    let here = here.map(|file| file.expect("a file").path());
    let others = here.filter(|path| !path.ends_with("pages.rs"));
    let all = others.chain([tests.join("s3_slow_clients.rs")]);
    all.map(|path| fs::read_to_string(path).expect("a text"))
        .collect()
}

#[test]
fn everything_that_is_documented_is_compared_with_another_count() {
    let text = comparisons();
    for prefix in PREFIXES {
        for name in documented(prefix) {
            // Where it is the same of both daemons, it is compared without what its name begins with.
            let short = name.strip_prefix(&format!("{prefix}_"));
            let short = short.filter(|_| DAEMONS.contains(&prefix));
            let of_both = short.is_some_and(|short| {
                let of_both = documented(DAEMONS[0]).contains(&format!("{}_{short}", DAEMONS[0]))
                    && documented(DAEMONS[1]).contains(&format!("{}_{short}", DAEMONS[1]));
                let full = DAEMONS.map(|daemon| format!("{daemon}_{short}"));
                of_both
                    && (["\"", "{prefix}_"]
                        .iter()
                        .any(|begin| names(&text, begin, short))
                        || full.iter().any(|name| names(&text, "", name)))
            });
            assert!(
                of_both || names(&text, "", &name),
                "{name} is compared with nothing: add it where tests/tests/metrics_tell compares its like"
            );
        }
    }
    let document = fs::read_to_string(repository().join("docs/metrics.md")).expect("the document");
    let events = document
        .lines()
        .find_map(|line| line.strip_prefix("| `wolfdisk_chunk_events_total` |"));
    let events = events.expect("a row").split('|').next().expect("labels");
    for event in events.split('`').skip(1).step_by(2).skip(1) {
        assert!(
            text.contains(&format!("\"{event}\"")),
            "the event {event} is compared with nothing"
        );
    }
}

/// Strictly, as OpenMetrics; then what Prometheus itself says of names and help texts.
fn follows_the_rules(node: &Node, numbers: &Numbers) {
    let text = &numbers.text;
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut with_times = String::new();
    let mut classic = String::new();
    for line in text.lines() {
        let is_sample = !line.starts_with('#');
        with_times += line;
        with_times += if is_sample { " 1700000000\n" } else { "\n" };
        // There the name of a counter has its `_total` also where its type and its help are told.
        let mut words: Vec<String> = line.splitn(4, ' ').map(str::to_owned).collect();
        let of_counter = words
            .get(2)
            .is_some_and(|name| !is_sample && text.contains(&format!("# TYPE {name} counter\n")));
        if of_counter && let Some(name) = words.get_mut(2) {
            *name += "_total";
        }
        classic += &(words.join(" ") + "\n");
    }
    let scratch = node.scratch().path();
    fs::write(scratch.join("numbers"), with_times).expect("a file");
    fs::write(scratch.join("classic"), classic).expect("a file");
    let blocks =
        "promtool tsdb create-blocks-from openmetrics numbers blocks > out 2>&1 || cat out";
    let said = wolfdisk_tests::sh(scratch, blocks);
    assert_eq!(said, "", "{text}");
    let said = wolfdisk_tests::sh(scratch, "promtool check metrics < classic 2>&1 || true");
    assert_eq!(said, "", "{text}");
}
