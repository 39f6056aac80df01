//! Puts and flushes at a follower.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use wolfdisk_chunkd::limits;
use wolfdisk_common::hash::chunk_id;
use wolfdisk_common::ids::ChunkId;
use wolfdisk_proto::call::{Call, Peer};
use wolfdisk_proto::failure::Failure;
use wolfdisk_proto::v1::put_request::Source;
use wolfdisk_proto::v1::{self, ChunkService};

use super::cluster::{CLIENT, Node, cluster, content, data, local, remote, tell, until, whose};

const CACHE: usize = 24 << 20;

fn holds(node: &Node, put: &v1::PutReply) -> bool {
    let id = ChunkId::from_slice(&put.id).expect("an id");
    node.store.locate(&id).expect("a store").is_some()
}

#[test]
fn what_is_put_at_a_follower_is_durable_at_the_leader_and_named_so() {
    let nodes = cluster::<3>(1, CACHE);
    for (seed, length) in [(1, 1), (2, 65_536), (3, 65_537), (4, 4 << 20)] {
        let bytes = content(seed, length);
        let put = nodes[1].put(&bytes).expect("a put");
        assert_eq!(put.id.as_ref(), chunk_id(&bytes).0);
        assert_eq!((put.node, put.epoch), (1, nodes[0].store.epoch()));
        assert!(holds(&nodes[0], &put) && !holds(&nodes[1], &put));
        let flushed = nodes[1].flush(whose(&put)).expect("a flush");
        assert_eq!((flushed.node, flushed.incarnation), (1, put.incarnation));
        assert!(flushed.durable_place >= put.place);
        assert!(nodes[1].put(&bytes).expect("a put").deduplicated);
    }
    assert_eq!(nodes[1].count("relay_puts"), 8);
    // A claim is checked where the chunk is stored.
    let wrong = v1::PutRequest {
        claimed_id: vec![1; 32].into(),
        ..data(&content(9, 10))
    };
    let refused = nodes[1].ask(nodes[1].server.put(&mut local(), wrong));
    assert_eq!(refused, Err(Failure::Errno(libc::EBADMSG)));
    // What its own wolfdisk-meta moves out of the log stays here, whatever it was told.
    let moved = v1::PutRequest {
        privileged: true,
        ..data(&content(5, 100))
    };
    let put = nodes[1].ask(nodes[1].server.put(&mut local(), moved));
    let put = put.expect("a put");
    assert!(put.node == 2 && holds(&nodes[1], &put));
    let flushed = nodes[1].flush(whose(&put)).expect("a flush");
    assert!(flushed.node == 2 && flushed.durable_place >= put.place);
    // What other nodes put is stored by whom they ask.
    assert_eq!(nodes[1].put_from(3, &content(6, 100)).node, 2);
}

#[test]
fn shared_memory_is_copied_and_sent() {
    let nodes = cluster::<2>(1, CACHE);
    let bytes = content(7, 3 << 20);
    let fd = memfd_create("area", MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC);
    let file = File::from(fd.expect("a memfd"));
    file.set_len(4 << 20).expect("a length");
    file.write_all_at(&bytes, 4096).expect("bytes");
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).expect("seals");
    let peer = Peer {
        pid: 1,
        uid: 0,
        gid: 0,
    };
    let mut call = Call::framed(5, peer, vec![OwnedFd::from(file)]);
    let follower = &nodes[1];
    let attach = v1::AttachAreaRequest { length: 4 << 20 };
    follower
        .ask(follower.server.attach_area(&mut call, attach))
        .expect("an area");
    let request = v1::PutRequest {
        source: Some(Source::Area(v1::AreaSpan {
            offset: 4096,
            length: 3 << 20,
        })),
        ..v1::PutRequest::default()
    };
    let put = follower.ask(follower.server.put(&mut call, request));
    let put = put.expect("a put");
    assert_eq!((put.node, put.id.as_ref()), (1, &chunk_id(&bytes).0[..]));
}

#[test]
fn a_leader_that_changes_makes_front_ends_put_again() {
    let nodes = cluster::<3>(1, CACHE);
    let follower = &nodes[2];
    let bytes = content(1, 100_000);
    let first = follower.put(&bytes).expect("a put");
    // Both stores are in their first life, and the second has gone further.
    for seed in 0..3 {
        let put = nodes[1].put_from(1, &content(seed, 300_000));
        assert_eq!(put.incarnation, first.incarnation);
    }
    // One that is under way is given up, and is to be put again.
    nodes[0].twist.hold(true);
    let asked = nodes[0].twist.asked();
    std::thread::scope(|scope| {
        let put = scope.spawn(|| follower.put(&content(2, 100_000)));
        let flush = scope.spawn(|| follower.flush(whose(&first)));
        nodes[0].twist.wait_for(asked + 2);
        tell(follower, &nodes, 2);
        let put = put.join().expect("ended");
        assert!(matches!(put, Err(Failure::Unavailable(_))), "{put:?}");
        // The flush was for the first store: the second does not answer for it.
        let flushed = flush.join().expect("ended").expect("an answer");
        assert_eq!((flushed.node, flushed.durable_place), (2, 0));
    });
    let again = follower.put(&bytes).expect("a put");
    assert_eq!(again.node, 2);
    let flushed = follower.flush(whose(&again)).expect("a flush");
    assert!(flushed.node == 2 && flushed.durable_place >= again.place);
    // When this node leads itself, neither place is its own.
    tell(follower, &nodes, 3);
    let flushed = follower.flush(whose(&again)).expect("an answer");
    assert_eq!((flushed.node, flushed.durable_place), (3, 0));
    assert_eq!(follower.put(&bytes).expect("a put").node, 3);
}

#[test]
fn a_leader_that_starts_again_has_other_places() {
    let [mut leader, follower] = cluster::<2>(1, CACHE);
    let bytes = content(1, 100_000);
    let put = follower.put(&bytes).expect("a put");
    leader.stop();
    let refused = follower.put(&content(2, 10));
    assert!(
        matches!(refused, Err(Failure::Unavailable(_))),
        "{refused:?}"
    );
    let silent = follower.count("relay_unanswered");
    std::thread::scope(|scope| {
        // It waits for the leader to come back.
        let flush = scope.spawn(|| follower.flush(whose(&put)));
        until("the flush waits", || {
            follower.count("relay_unanswered") > silent
        });
        leader.start_again();
        let flushed = flush.join().expect("ended").expect("an answer");
        assert_eq!((flushed.node, flushed.durable_place), (1, 0));
        assert!(flushed.incarnation > put.incarnation);
        let again = follower.put(&bytes).expect("a put");
        assert_eq!(again.incarnation, flushed.incarnation);
    });
}

/// Every chunk whose flush was answered by the store that its receipt names is in that store, whoever led when.
#[test]
fn no_change_of_leaders_loses_what_was_acknowledged() {
    const THREADS: u8 = 3;
    const EACH: usize = 60;
    let nodes = cluster::<3>(1, CACHE);
    let done = std::sync::atomic::AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut leader = 1;
            let mut changes = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                leader = leader % 3 + 1;
                tell(&nodes[2], &nodes, leader);
                changes += 1;
                let asked = nodes[0].twist.asked() + nodes[1].twist.asked();
                // Something is asked under each.
                let more = || nodes[0].twist.asked() + nodes[1].twist.asked() > asked;
                let ended = || done.load(std::sync::atomic::Ordering::SeqCst);
                until("puts go on", || more() || ended() || leader == 3);
            }
            changes
        });
        let putting: Vec<_> = (0..THREADS)
            .map(|thread| {
                let follower = &nodes[2];
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for number in 0..EACH {
                        let bytes = content(thread, 50_000 + number);
                        until("a put is acknowledged", || {
                            let Ok(put) = follower.put(&bytes) else {
                                return false;
                            };
                            let Ok(flushed) = follower.flush(whose(&put)) else {
                                return false;
                            };
                            let by = (flushed.node, flushed.incarnation);
                            let is_durable = by == (put.node, put.incarnation)
                                && flushed.durable_place >= put.place;
                            kept.extend(is_durable.then_some(put));
                            is_durable
                        });
                    }
                    kept
                })
            })
            .collect();
        let kept: Vec<_> = putting
            .into_iter()
            .flat_map(|thread| thread.join().expect("ended"))
            .collect();
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(changing.join().expect("ended") > 3);
        kept
    });
    assert_eq!(acknowledged.len(), usize::from(THREADS) * EACH);
    for put in acknowledged {
        let holder = &nodes[put.node as usize - 1];
        assert!(holds(holder, &put), "{put:?}");
        let durable = holder.store.watermark().durable().position.0;
        assert!(durable >= put.place);
    }
}

#[test]
fn more_puts_than_go_at_a_time_are_all_stored() {
    let nodes = cluster::<2>(1, CACHE);
    const THREADS: u8 = 24;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let follower = &nodes[1];
            scope.spawn(move || {
                for number in 0..2 {
                    let bytes = content(thread * 2 + number, 2 << 20);
                    let put = follower.put(&bytes).expect("a put");
                    assert_eq!(put.id.as_ref(), chunk_id(&bytes).0);
                }
            });
        }
    });
    assert_eq!(nodes[0].store.summary().chunks, u64::from(THREADS) * 2);
    let status = nodes[0].ask(nodes[0].server.status(&mut local(), v1::Empty {}));
    let open = status.expect("a status").counters["connections_open"];
    assert!(open <= limits::PEER_PUTS_MAX as u64, "{open} connections");
}

#[test]
fn a_node_that_is_no_member_any_more_stores_nothing_and_neither_does_one_with_another_key() {
    let nodes = cluster::<2>(1, CACHE);
    let follower = &nodes[1];
    follower.put(&content(1, 10)).expect("a put");
    nodes[0].admit(vec![super::cluster::listed(1)]);
    let refused = follower.put(&content(2, 10));
    assert!(
        matches!(refused, Err(Failure::Unavailable(_))),
        "{refused:?}"
    );
    nodes[0].admit(vec![super::cluster::listed(1), super::cluster::listed(2)]);
    follower.put(&content(2, 10)).expect("a put");
    // Whoever is at the leader's address and holds the cluster's key is not the leader for that.
    let stranger = v1::PeerNode {
        public_key: super::cluster::listed(3).public_key,
        ..nodes[0].as_peer()
    };
    let request = v1::PeersRequest {
        among_others: true,
        nodes: vec![stranger],
        leader: 1,
    };
    follower.tell(request).expect("told");
    let before = nodes[0].store.summary().chunks;
    let refused = follower.put(&content(3, 10));
    assert!(
        matches!(refused, Err(Failure::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(nodes[0].store.summary().chunks, before);
}

#[test]
fn a_member_at_a_follower_proves_what_the_leader_stored() {
    let nodes = cluster::<2>(1, CACHE);
    let follower = &nodes[1];
    let mut call = remote(CLIENT);
    let bytes = content(1, 200_000);
    // Nothing of it was put: there is no store to wait for.
    let early = v1::FlushRequest {
        place: 0,
        node: 1,
        incarnation: 1,
    };
    let flushed = follower.ask(follower.server.flush(&mut call, early));
    assert_eq!(flushed.expect("an answer").incarnation, 0);
    // It has no log to move anything out of.
    let request = v1::PutRequest {
        privileged: true,
        ..data(&bytes)
    };
    let put = follower.ask(follower.server.put(&mut call, request));
    let put = put.expect("a put");
    assert_eq!((put.node, put.place, put.deduplicated), (1, 0, false));
    assert!(!put.proof.is_empty() && !put.ticket.is_empty());
    let flushed = follower.ask(follower.server.flush(&mut call, whose(&put)));
    let flushed = flushed.expect("a flush");
    assert_eq!((flushed.node, flushed.incarnation), (1, put.incarnation));
    let leader = nodes[0].store.watermark().durable().position;
    assert_eq!(leader, nodes[0].store.end(), "what it put is durable there");
    let read = |ticket: &bytes::Bytes| v1::ReadRequest {
        id: put.id.clone(),
        offset: 100_000,
        length: 100_000,
        ticket: ticket.clone(),
        ticket_length: 200_000,
        with_leaves: true,
        ..v1::ReadRequest::default()
    };
    let got = follower.ask(follower.server.read(&mut call, read(&put.ticket)));
    let got = got.expect("a read");
    assert_eq!(got.data, bytes.slice(100_000..));
    assert_eq!(got.leaves.len(), 4 * 32);
    let none = bytes::Bytes::new();
    let denied = follower.ask(follower.server.read(&mut call, read(&none)));
    assert!(matches!(denied, Err(Failure::Denied(_))));
}
