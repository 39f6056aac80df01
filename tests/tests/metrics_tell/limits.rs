//! Limits that are told are those that are documented.

use std::fs;

use wolfdisk_tests::{Gateway, Node, Numbers, repository};

use crate::{chunkd, meta, mount};

/// What is told, the heading in `docs/constants.md` that it is under, and its name there. All of them on a large disk.
const LIMITS: [(&str, &str, &str); 16] = [
    (
        "wolfdisk_meta_local_connections_limit",
        "wolfdisk-common",
        "CONNECTIONS_MAX",
    ),
    (
        "wolfdisk_meta_lan_connections_limit",
        "wolfdisk-common",
        "CONNECTIONS_MAX",
    ),
    (
        "wolfdisk_meta_queued_mutations_limit",
        "wolfdisk-meta",
        "MUTATIONS_QUEUED_MAX",
    ),
    (
        "wolfdisk_meta_sessions_limit",
        "wolfdisk-meta",
        "SESSIONS_MAX",
    ),
    (
        "wolfdisk_meta_undestaged_limit_bytes",
        "wolfdisk-common",
        "UNDESTAGED_MAX_BYTES",
    ),
    (
        "wolfdisk_chunk_local_connections_limit",
        "wolfdisk-common",
        "CONNECTIONS_MAX",
    ),
    (
        "wolfdisk_chunk_lan_connections_limit",
        "wolfdisk-common",
        "CONNECTIONS_MAX",
    ),
    (
        "wolfdisk_chunk_in_flight_limit_bytes",
        "wolfdisk-chunkd",
        "IN_FLIGHT_MAX_BYTES",
    ),
    (
        "wolfdisk_chunk_pool_jobs_limit",
        "wolfdisk-chunkd",
        "POOL_QUEUE_MAX",
    ),
    ("wolfdisk_chunk_areas_limit", "wolfdisk-chunkd", "AREAS_MAX"),
    ("wolfdisk_chunk_relay_cache_limit_bytes", "", "23456789"),
    (
        "wolfdisk_fuse_lock_waiters_limit",
        "wolfdisk-fuse",
        "LOCK_WAITERS_MAX",
    ),
    (
        "wolfdisk_volume_cached_names_limit",
        "wolfdisk-client",
        "NAMES_MAX",
    ),
    // Of wolfdisk-s3; a mount may have four times as much.
    (
        "wolfdisk_volume_dirty_limit_bytes",
        "wolfdisk-s3",
        "DIRTY_MAX_BYTES",
    ),
    ("wolfdisk_volume_cached_inodes_limit", "", "262144"),
    ("wolfdisk_volume_cached_data_limit_bytes", "", "23456789"),
];

/// What the configuration says of the last.
const CACHE: &str = "[cache]\nsize_bytes = 23456789\n";

/// What `docs/constants.md` says.
fn documented(text: &str, of: &str, name: &str) -> f64 {
    let value = match of {
        "" => name,
        _ => {
            let heading = format!("\n## {of}");
            let (_, section) = text.split_once(&heading).expect("a heading");
            let row = format!("| `{name}` | ");
            let (_, row) = section.split_once(&row).expect("a row");
            row.split(" |").next().expect("a value")
        }
    };
    let factors = value.split(" * ").map(|factor| factor.replace('_', ""));
    factors
        .map(|factor| factor.parse::<f64>().expect("a number"))
        .product()
}

#[test]
fn limits_are_told_as_they_are_documented() {
    let text = fs::read_to_string(repository().join("docs/constants.md")).expect("the document");
    let mut node = Node::prepare(Default::default());
    let config = node.scratch().path().join("config.toml");
    let before = fs::read_to_string(&config).expect("a file");
    fs::write(&config, before + CACHE).expect("a file");
    node.up();
    let gateway = Gateway::start(&node, "");
    let of_gateway = Numbers::at(&gateway.admin());
    for (name, section, constant) in LIMITS {
        let numbers = match name.split('_').nth(1) {
            Some("meta") => meta(&node),
            Some("chunk") => chunkd(&node),
            _ if section == "wolfdisk-s3" => Numbers::at(&gateway.admin()),
            _ => mount(&node),
        };
        let (told, expected) = (numbers.of(name), documented(&text, section, constant));
        assert!(
            (told - expected).abs() < 0.5,
            "{name}: {told}, not {expected}"
        );
    }
    let four = mount(&node).of("wolfdisk_volume_dirty_limit_bytes")
        / of_gateway.of("wolfdisk_volume_dirty_limit_bytes");
    assert!((four - 4.0).abs() < 0.01, "{four}");
    gateway.stop();
}
