//! Reads of what another node holds.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wolfdisk_chunkd::limits;
use wolfdisk_common::hash::chunk_id;
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1::{self, ChunkService};

use super::cluster::{DEADLINE, Node, cluster, content, local, tell, until};

const CACHE: usize = 24 << 20;
const LEAF: u32 = 64 << 10;

/// Stores a chunk at a node, as another that relies on it.
fn store(node: &Node, bytes: &Bytes) -> Bytes {
    let put = node.put_from(1, bytes);
    assert_eq!(u64::from(put.node), node.number);
    put.id
}

fn name(bytes: &Bytes) -> Bytes {
    Bytes::copy_from_slice(&chunk_id(bytes).0)
}

#[test]
fn what_one_put_another_reads_at_all_its_ranges() {
    let nodes = cluster::<3>(1, CACHE);
    let (putter, reader) = (&nodes[1], &nodes[2]);
    for (seed, length) in [(1, 1), (2, 65_536), (3, 65_537), (4, 1 << 20), (5, 4 << 20)] {
        let bytes = content(seed, length as usize);
        let id = putter.put(&bytes).expect("a put").id;
        let whole = reader.read(&id, 0, length).expect("a read");
        assert_eq!(whole, bytes);
        for (offset, count) in [(0, 0), (0, 1), (length - 1, 1), (length / 3, length / 2)] {
            let got = reader.read(&id, offset, count).expect("a read");
            let range = offset as usize..(offset + count) as usize;
            assert_eq!(got, bytes.slice(range), "{length}: {offset}, {count}");
        }
        for (offset, count) in [(length, 1), (0, length + 1), (8 << 20, 1), (u32::MAX, 2)] {
            let got = reader.read(&id, offset, count);
            assert!(got.is_err(), "{length}: {offset}, {count}: {got:?}");
        }
        // It is no copy of this node's.
        let located = v1::LocateRequest { ids: vec![id] };
        let located = reader.ask(reader.server.locate(&mut local(), located));
        assert!(!located.expect("an answer").locations[0].found);
    }
    assert_eq!(reader.store.summary().chunks, 0);
    let listed = v1::InventoryRequest {
        max: 10,
        stamp_at_most: u64::MAX,
        ..v1::InventoryRequest::default()
    };
    let listed = reader.ask(reader.server.inventory(&mut local(), listed));
    assert!(listed.expect("an inventory").ids.is_empty());
    // What was read once is not asked for again.
    let asked = nodes[0].twist.asked();
    let bytes = content(5, 4 << 20);
    let got = reader.read(&name(&bytes), 0, 4 << 20).expect("a read");
    assert_eq!((got, nodes[0].twist.asked()), (bytes, asked));
}

#[test]
fn a_chunk_of_any_other_node_is_found_and_one_of_nobody_is_missing_at_once() {
    let nodes = cluster::<3>(1, CACHE);
    let bytes = content(1, 200_000);
    let id = store(&nodes[1], &bytes);
    assert_eq!(
        nodes[2].read(&id, 7, 190_000).expect("a read"),
        bytes.slice(7..190_007)
    );
    assert_eq!(
        nodes[0].read(&id, 7, 10).expect("a read"),
        bytes.slice(7..17)
    );
    let begun = Instant::now();
    let asked: Vec<u64> = nodes.iter().map(|node| node.twist.asked()).collect();
    let missing = nodes[2].read(&name(&content(9, 9)), 0, 9);
    assert_eq!(missing, Err(Failure::Errno(libc::ENOENT)));
    assert!(begun.elapsed() < limits::RELAY_READ_DEADLINE);
    // Each was asked once, and asked nobody.
    let now: Vec<u64> = nodes.iter().map(|node| node.twist.asked()).collect();
    assert_eq!(now, [asked[0] + 1, asked[1] + 1, asked[2]]);
}

#[test]
fn who_jumps_about_fetches_leaves_and_who_reads_on_windows() {
    let nodes = cluster::<2>(1, CACHE);
    let bytes = content(1, 4 << 20);
    let id = store(&nodes[0], &bytes);
    let reader = &nodes[1];
    let fetched = || reader.count("relay_fetched_bytes");
    reader
        .read(&id, (3 << 20) + 5 * LEAF + 9, 4096)
        .expect("a read");
    assert_eq!(fetched(), u64::from(LEAF));
    let mut at = 0;
    while at < 4 << 20 {
        let got = reader.read(&id, at, 32 << 10).expect("a read");
        assert_eq!(got, bytes.slice(at as usize..at as usize + (32 << 10)));
        at += 32 << 10;
    }
    assert!(
        reader.count("relay_fetches") < 12,
        "{}",
        reader.count("relay_fetches")
    );
}

#[test]
fn damaged_bytes_are_never_served() {
    let nodes = cluster::<3>(1, CACHE);
    let reader = &nodes[2];
    let alone = content(1, 300_000);
    let twice = content(2, 300_000);
    let small = content(3, 100);
    let id = store(&nodes[0], &alone);
    store(&nodes[0], &twice);
    store(&nodes[1], &twice);
    store(&nodes[0], &small);
    nodes[0].twist.lies.store(true, Ordering::SeqCst);
    for chunk in [&alone, &small] {
        let got = reader.read(&name(chunk), 0, chunk.len() as u32);
        assert!(matches!(got, Err(Failure::Corrupt(_))), "{got:?}");
    }
    // The next node is asked.
    let got = reader.read(&name(&twice), 0, 300_000).expect("a read");
    assert_eq!((got, reader.count("relay_damaged")), (twice, 3));
    // A failure is not kept.
    nodes[0].twist.lies.store(false, Ordering::SeqCst);
    assert_eq!(reader.read(&id, 0, 300_000).expect("a read"), alone);
}

#[test]
fn a_holder_that_goes_away_in_the_middle_of_a_read_and_comes_back_is_waited_for() {
    let [mut holder, other, reader] = cluster::<3>(1, CACHE);
    let bytes = content(1, 4 << 20);
    let id = store(&holder, &bytes);
    assert_eq!(
        reader.read(&id, 0, LEAF).expect("a read"),
        bytes.slice(..LEAF as usize)
    );
    holder.twist.hold(true);
    let asked = holder.twist.asked();
    let others = other.twist.asked();
    std::thread::scope(|scope| {
        let read = scope.spawn(|| reader.read(&id, 0, 4 << 20));
        holder.twist.wait_for(asked + 1);
        holder.stop();
        // It does not answer, so the other is asked, once for each range.
        other.twist.wait_for(others + 1);
        holder.start_again();
        assert_eq!(read.join().expect("ended").expect("a read"), bytes);
    });
    assert!(reader.count("relay_unanswered") > 0);
    assert!(other.twist.asked() - others <= 4, "once for each range");
}

#[test]
fn whoever_is_among_others_and_knows_none_yet_waits_for_them() {
    let nodes = cluster::<2>(1, CACHE);
    let bytes = content(1, 1000);
    let id = store(&nodes[0], &bytes);
    let reader = &nodes[1];
    let nobody = v1::PeersRequest {
        among_others: true,
        ..v1::PeersRequest::default()
    };
    reader.tell(nobody.clone()).expect("told");
    std::thread::scope(|scope| {
        let read = scope.spawn(|| reader.read(&id, 0, 1000));
        // What is here is read meanwhile, and what is put is stored here.
        let own = reader.put(&content(2, 10)).expect("a put");
        assert_eq!(own.node, 2);
        reader.read(&own.id, 0, 10).expect("a read");
        assert!(!read.is_finished());
        tell(reader, &nodes, 1);
        assert_eq!(read.join().expect("ended").expect("a read"), bytes);
    });
}

#[test]
fn a_node_remembers_over_a_start_that_it_is_among_others() {
    let [holder, mut reader] = cluster::<2>(1, CACHE);
    let bytes = content(1, 1000);
    let id = store(&holder, &bytes);
    reader.start_again();
    assert!(reader.relay.is_among_others());
    std::thread::scope(|scope| {
        let read = scope.spawn(|| reader.read(&id, 0, 1000));
        let others = v1::PeersRequest {
            among_others: true,
            nodes: vec![holder.as_peer()],
            leader: 0,
        };
        assert!(!read.is_finished());
        reader.tell(others).expect("told");
        assert_eq!(read.join().expect("ended").expect("a read"), bytes);
    });
    reader.tell(v1::PeersRequest::default()).expect("told");
    reader.start_again();
    assert!(!reader.relay.is_among_others());
}

#[test]
fn one_fetches_for_all_who_wait() {
    let nodes = cluster::<2>(1, CACHE);
    let bytes = content(1, 64 << 10);
    let id = store(&nodes[0], &bytes);
    let reader = &nodes[1];
    nodes[0].twist.hold(true);
    let asked = nodes[0].twist.asked();
    std::thread::scope(|scope| {
        let reads: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| reader.read(&id, 0, LEAF)))
            .collect();
        nodes[0].twist.wait_for(asked + 1);
        nodes[0].twist.hold(false);
        for read in reads {
            assert_eq!(read.join().expect("ended").expect("a read"), bytes);
        }
    });
    assert_eq!(nodes[0].twist.asked(), asked + 1);
    assert_eq!(reader.count("relay_fetches"), 1);
}

#[test]
fn a_slow_peer_holds_up_nobody_who_reads_what_is_here() {
    let nodes = cluster::<2>(1, CACHE);
    let reader = &nodes[1];
    let chunks: Vec<Bytes> = (0..20).map(|seed| content(seed, 4 << 20)).collect();
    let ids: Vec<Bytes> = chunks.iter().map(|bytes| store(&nodes[0], bytes)).collect();
    let own = content(99, 4 << 20);
    let own_id = store(reader, &own);
    nodes[0].twist.hold(true);
    let asked = nodes[0].twist.asked();
    std::thread::scope(|scope| {
        // More than may be in flight here altogether.
        let reads: Vec<_> = (ids.iter())
            .map(|id| scope.spawn(move || reader.read(id, 0, 4 << 20)))
            .collect();
        nodes[0]
            .twist
            .wait_for(asked + limits::PEER_READS_MAX as u64);
        let begun = Instant::now();
        for _ in 0..20 {
            assert_eq!(reader.read(&own_id, 0, 4 << 20).expect("a read"), own);
        }
        assert!(
            begun.elapsed() < limits::RELAY_READ_ATTEMPT,
            "{:?}",
            begun.elapsed()
        );
        let in_flight = nodes[0].twist.asked() - asked;
        assert!(in_flight <= limits::PEER_READS_MAX as u64, "{in_flight}");
        nodes[0].twist.hold(false);
        for (read, bytes) in reads.into_iter().zip(&chunks) {
            assert!(read.join().expect("ended").expect("a read") == *bytes);
        }
    });
}

#[test]
fn what_is_kept_has_a_bound() {
    const FEW: usize = 3 << 20;
    let nodes = cluster::<2>(1, FEW);
    let reader = &nodes[1];
    for seed in 0..4 {
        let bytes = content(seed, 4 << 20);
        let id = store(&nodes[0], &bytes);
        for at in 0..4 {
            let got = reader.read(&id, at << 20, 1 << 20).expect("a read");
            assert_eq!(
                got,
                bytes.slice((at as usize) << 20..(at as usize + 1) << 20)
            );
            let (kept, limit) = reader.relay.kept();
            assert!(kept <= limit && limit == FEW, "{kept}");
        }
    }
    until("what was fetched ahead lands", || {
        reader.relay.kept().0 > 1 << 20
    });
}

#[test]
fn a_node_that_stands_alone_is_as_it_was() {
    let [node] = cluster::<1>(1, CACHE);
    for alone in [true, false] {
        if alone {
            node.tell(v1::PeersRequest::default()).expect("told");
        }
        let bytes = content(u8::from(alone), 100_000);
        let put = node.put(&bytes).expect("a put");
        assert_eq!(put.node, 1);
        let flush = |node, incarnation| v1::FlushRequest {
            place: put.place,
            node,
            incarnation,
        };
        for asked in [flush(0, 0), flush(1, put.incarnation)] {
            let flushed = node.flush(asked).expect("a flush");
            assert!(flushed.durable_place >= put.place && flushed.node == 1);
        }
        // The place of another life, or another store, is nothing to wait for.
        for asked in [flush(1, put.incarnation + 1), flush(2, put.incarnation)] {
            let flushed = node.flush(asked).expect("an answer");
            assert_eq!((flushed.durable_place, flushed.node), (0, 1));
        }
        assert_eq!(
            node.read(&put.id, 5, 10).expect("a read"),
            bytes.slice(5..15)
        );
        if alone {
            let begun = Instant::now();
            let missing = node.read(&name(&content(9, 9)), 0, 9);
            assert_eq!(missing, Err(Failure::Errno(libc::ENOENT)));
            assert!(begun.elapsed() < Duration::from_secs(5).min(DEADLINE));
            assert!(!node.relay.is_among_others());
        } else {
            node.tell(v1::PeersRequest {
                among_others: true,
                ..v1::PeersRequest::default()
            })
            .expect("told");
        }
    }
    assert_eq!(node.relay.known(), (0, false));
}
