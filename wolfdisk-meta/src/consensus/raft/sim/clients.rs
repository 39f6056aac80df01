//! Who writes and reads: through the node that seems to lead, or through any.

use std::time::Duration;

use bytes::Bytes;
use openraft::ReadPolicy;
use openraft::type_config::TypeConfigExt;
use rand::Rng;
use wolfdisk_common::time::Timestamp;

use super::super::{Proposal, Voter};
use super::SimTypes;
use super::faulty::Fault;
use super::network::{Net, Peer};
use super::record::Record;
use super::runtime::{Machine, by_chance, note, spawn_on};
use crate::consensus::Ticket;
use crate::index::op::{Entry, Op};

/// A client waits so long for an answer. What it wrote may still come to be.
const PATIENCE: Duration = Duration::from_millis(1500);
/// It thinks at most so long between two.
const THINKING_MS: u64 = 120;
/// Writes of a client have numbers of their own.
const WRITES_MAX: i64 = 1_000_000;

/// See the module. Goes on until the run ends.
pub async fn client(number: i64, net: Net, record: Record, fault: Option<Fault>) {
    for write in 1..WRITES_MAX {
        let thinking = by_chance(|random| random.random_range(1..=THINKING_MS));
        SimTypes::sleep(Duration::from_millis(thinking)).await;
        let Some((voter, peer)) = choose(&net) else {
            continue;
        };
        let asked = async {
            match by_chance(|random| random.random_ratio(1, 3)) {
                true => read(voter, peer, &record, fault).await,
                false => {
                    let payload = mutation(number * WRITES_MAX + write);
                    write_one(voter, peer, &record, payload, Ticket(write as u64)).await;
                }
            }
        };
        if SimTypes::timeout(PATIENCE, asked).await.is_err() {
            note(format_args!("a client gives up on {voter}"));
        }
    }
}

fn choose(net: &Net) -> Option<(Voter, Peer)> {
    let mut peers = net.peers();
    let any = by_chance(|random| random.random_ratio(1, 10));
    if !any && peers.iter().any(|(_, peer)| peer.node.is_leader()) {
        peers.retain(|(_, peer)| peer.node.is_leader());
    }
    match peers.len() {
        0 => None,
        count => Some(peers.swap_remove(by_chance(|random| random.random_range(0..count)))),
    }
}

fn mutation(number: i64) -> Bytes {
    let entry = Entry {
        time: Timestamp {
            seconds: number,
            nanos: 0,
        },
        origin: None,
        op: Op::MakeSystemRoot,
    };
    entry.encode()
}

async fn write_one(voter: Voter, peer: Peer, record: &Record, payload: Bytes, ticket: Ticket) {
    let begun = record.begin();
    let urgent = by_chance(|random| random.random_ratio(1, 2));
    let proposal = Proposal {
        payload: payload.clone(),
        ticket: Some(ticket),
    };
    let written = spawn_on(Machine(voter.0.0), async move {
        if urgent {
            peer.store.sync_with(ticket);
        }
        peer.node.client_write(proposal).await
    });
    if let Ok(Ok(answer)) = written.await {
        record.wrote(begun, answer.log_id, voter, payload);
    }
}

async fn read(voter: Voter, peer: Peer, record: &Record, fault: Option<Fault>) {
    let begun = record.begin();
    let seen = spawn_on(Machine(voter.0.0), async move {
        let sure = match fault {
            Some(Fault::ReadsAlone) => peer.node.is_leader(),
            _ => {
                let asked = peer.node.ensure_linearizable(ReadPolicy::ReadIndex).await;
                asked.is_ok()
            }
        };
        sure.then(|| peer.state.last())
    });
    if let Ok(Some(at)) = seen.await {
        record.read(begun, at);
    }
}
