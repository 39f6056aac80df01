//! What a session keeps of what it has seen: as long as its lease lasts, and until it is told that something changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openraft::type_config::TypeConfigExt;
use parking_lot::Mutex;
use rand::Rng;
use wolfdisk_common::ids::{SessionId, Version};

use super::super::Voter;
use super::SimTypes;
use super::daemon::times;
use super::network::{Net, Peer};
use super::runtime::{Machine, by_chance, note, spawn_on};
use super::time::Moment;
use crate::machine::feed_queue::{Notice, Numbered};
use crate::service::Seen;

/// A session is heard of so often.
const BEAT_MS: u64 = 300;
/// A beat that is not answered by then is given up.
const PATIENCE: Duration = Duration::from_millis(1000);
/// Taken off a lease, since clocks do not run alike.
const DRIFT: Duration = Duration::from_millis(10);
const WAY_US: u64 = 5_000;

/// See the module. All copies are the same one.
#[derive(Clone, Default)]
pub struct Held(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    until: Option<Moment>,
    confirmed: u64,
    /// What was seen before this version may have changed since.
    floor: Version,
    names: BTreeMap<String, (Version, bool)>,
    /// Whom it asks, as long as that one says that it decides.
    node: Option<Voter>,
}

impl Inner {
    fn is_live(&self) -> bool {
        self.until.is_some_and(|until| SimTypes::now() < until)
    }

    fn told(&mut self, notice: Numbered) {
        self.confirmed = self.confirmed.max(notice.number);
        self.floor = self.floor.max(notice.version);
        match notice.notice {
            Notice::Name { name, .. } => {
                self.names
                    .retain(|kept, _| kept.as_bytes() != name.as_bytes());
            }
            Notice::Directory(_) | Notice::Everything => self.names.clear(),
            Notice::Attr(_) | Notice::AccessTime(_) | Notice::Data(_) | Notice::WriteBack(_) => {}
        }
    }
}

impl Held {
    /// What it may answer for itself: whether there is such a name, as of which version.
    pub fn seen(&self, name: &str) -> Option<(Version, bool)> {
        let held = self.0.lock();
        let known = held.names.get(name).copied();
        known.filter(|_| held.is_live())
    }

    /// What a node has answered.
    pub fn keep(&self, name: &str, seen: &Seen) {
        let mut held = self.0.lock();
        if seen.may_be_kept && held.is_live() && seen.version >= held.floor {
            let value = (seen.version, seen.found.is_some());
            held.names.insert(name.to_owned(), value);
        }
    }

    /// Whom it asks: as before, or another that decides, as far as that knows.
    pub fn choose(&self, net: &Net) -> Option<(Voter, Peer)> {
        let mut peers = net.peers();
        peers.retain(|(_, peer)| peer.daemon.as_ref().is_some_and(|daemon| daemon.leads()));
        let mut held = self.0.lock();
        let stays = peers
            .iter()
            .position(|(voter, _)| Some(*voter) == held.node);
        let at = match peers.len() {
            0 => return None,
            count => stays.unwrap_or_else(|| by_chance(|random| random.random_range(0..count))),
        };
        let chosen = peers.swap_remove(at);
        held.node = Some(chosen.0);
        Some(chosen)
    }

    /// It changes this name itself.
    pub fn forget(&self, name: &str) {
        self.0.lock().names.remove(name);
    }

    /// An answer has come to what was sent at `sent`. Says whether there is something to confirm.
    fn beaten(&self, sent: Moment, lease: Duration, told: Vec<Numbered>) -> bool {
        let mut held = self.0.lock();
        if !held.is_live() {
            held.names.clear();
        }
        held.until = Some(sent + lease.saturating_sub(DRIFT));
        let confirms = !told.is_empty();
        told.into_iter().for_each(|notice| held.told(notice));
        confirms
    }
}

/// As long as a message takes to a node or back.
pub async fn way() {
    let delay = by_chance(|random| random.random_range(100..=WAY_US));
    SimTypes::sleep(Duration::from_micros(delay)).await;
}

/// Has nodes hear of a session, until the run ends.
pub async fn beat(session: SessionId, held: Held, net: Net) {
    let mut confirms = false;
    loop {
        if !std::mem::take(&mut confirms) {
            let pause = by_chance(|random| random.random_range(1..=BEAT_MS));
            SimTypes::sleep(Duration::from_millis(pause)).await;
        }
        let Some((voter, peer)) = held.choose(&net) else {
            continue;
        };
        let Some(daemon) = peer.daemon else {
            continue;
        };
        let (sent, confirmed) = (SimTypes::now(), held.0.lock().confirmed);
        let asked = async {
            way().await;
            let beat = spawn_on(Machine(voter.0.0), async move {
                daemon.heartbeat(session, confirmed, times().1)
            });
            let answer = beat.await;
            way().await;
            answer
        };
        if let Ok(Ok(Some((lease, told)))) = SimTypes::timeout(PATIENCE, asked).await {
            note(format_args!("{session:?} beats at {voter}: {lease:?}"));
            confirms = held.beaten(sent, lease, told);
        }
    }
}
