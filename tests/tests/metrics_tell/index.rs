//! What wolfdisk-meta tells of mutations that are sent twice, and of destaging.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{self, MetaClient, mutate_request::Op};
use wolfdisk_tests::{Node, wait_until};

use crate::{chunkd, equal, events, grown, grown_of, is_same, meta, same, sync};

const FILES: u32 = 100;
const SMALL: u32 = 1000;
/// One call.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

#[test]
fn a_mutation_that_is_sent_twice_is_done_once_and_counted_as_repeated() {
    let node = Node::start();
    let client = MetaClient(Pool::new(node.data().join("run/meta.sock")));
    let call = || Options::within(CALL_DEADLINE);
    let opening = v1::OpenSessionRequest {
        frontend: "ctl".to_owned(),
        pid: std::process::id(),
        ..Default::default()
    };
    let opened = client
        .open_session(&mut call(), &opening)
        .expect("a session");
    let before = meta(&node);
    let create = v1::Create {
        parent: opened.root,
        name: Bytes::from_static(b"once"),
        mode: libc::S_IFREG | 0o600,
        ..Default::default()
    };
    let request = v1::MutateRequest {
        session: opened.session,
        sequence: 1,
        op: Some(Op::Create(create)),
        ..Default::default()
    };
    let answers = [(); 3].map(|()| client.mutate(&mut call(), &request).expect("answered"));
    let [first, others @ ..] = &answers;
    assert!(first.errno == 0 && others.iter().all(|other| other == first));
    let after = meta(&node);
    let repeated = grown(&before, &after, "wolfdisk_meta_repeated_mutations_total");
    same(repeated, 2_u32, "repeated");
    let name = "wolfdisk_meta_mutations_total{operation=\"create\"}";
    same(grown_of(&before, &after, name), 3_u32, "creates");
    same(
        grown(&before, &after, "wolfdisk_meta_inodes"),
        1_u32,
        "inodes",
    );

    // What the call cannot do is an outcome of its own.
    let missing = v1::GetAttrRequest {
        session: opened.session + 77,
        ino: opened.root,
    };
    let refused = client.get_attr(&mut call(), &missing);
    refused.expect_err("there is no such session");
    let name = "wolfdisk_meta_requests_total{operation=\"get_attr\",outcome=\"stale_session\"}";
    same(
        grown_of(&before, &meta(&node), name),
        1_u32,
        "stale sessions",
    );
}

#[test]
fn small_files_go_from_the_log_to_the_chunk_store_as_it_counts_them() {
    let node = Node::start();
    let (before, stored) = (meta(&node), chunkd(&node));
    for number in 0..FILES {
        fs::write(
            node.path(number.to_string()),
            vec![number as u8; SMALL as usize],
        )
        .expect("written");
    }
    sync(&node);
    let after = meta(&node);
    same(
        grown(&before, &after, "wolfdisk_meta_content_bytes"),
        FILES * SMALL,
        "content",
    );
    same(
        grown(&before, &after, "wolfdisk_meta_undestaged_bytes"),
        FILES * SMALL,
        "in the log",
    );
    wait_until("it goes to the chunk store", || {
        is_same(meta(&node).of("wolfdisk_meta_undestaged_bytes"), 0.0)
    });
    let (after, filled) = (meta(&node), chunkd(&node));
    same(
        grown(&before, &after, "wolfdisk_meta_destaged_bytes_total"),
        FILES * SMALL,
        "destaged",
    );
    same(
        events(&stored, &filled, "put_bytes"),
        FILES * SMALL,
        "stored",
    );
    let passes = grown(
        &before,
        &after,
        "wolfdisk_meta_destage_duration_seconds_count",
    );
    let mutations = "wolfdisk_meta_mutations_total{operation=\"destage\"}";
    equal(
        passes,
        grown_of(&before, &after, mutations),
        "passes and mutations",
    );
    same(
        after.of("wolfdisk_meta_destage_failures_total"),
        0_u32,
        "failures",
    );
    same(after.of("wolfdisk_meta_disk_full"), 0_u32, "full");
}
