//! What was heard, for people and for whoever connects: who is there, where, and what is wrong with it.

use std::net::SocketAddr;
use std::time::Duration;

use uuid::Uuid;
use wolfdisk_common::node_id::NodeId;
use wolfdisk_proto::PROTOCOL_VERSION;

use super::life::Life;
use super::{Heard, Stranger};
use crate::beacon::About;
use crate::limits::{CLOCK_SKEW_MAX, SILENT_AFTER};

/// A node that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Its cluster.
    pub cluster: Uuid,
    /// Whether that is this machine's.
    pub own: bool,
    /// Its name.
    pub node: NodeId,
    /// What it says of itself.
    pub about: About,
    /// Where its wolfdisk-meta is, the surest first.
    pub addresses: Vec<SocketAddr>,
    /// When it was last heard: so long ago.
    pub last_seen: Duration,
    /// What is wrong with it, and what to do.
    pub trouble: Option<String>,
}

impl Sight {
    /// Whether it is still heard.
    pub fn is_live(&self) -> bool {
        self.last_seen <= SILENT_AFTER
    }
}

impl Heard {
    /// All nodes that are remembered: of this cluster by their names, then strangers.
    pub fn sights(&self, now: Duration) -> Vec<Sight> {
        let own = self.lives.iter().map(|life| Sight {
            own: true,
            trouble: self.trouble(life, now),
            ..sight(life, now)
        });
        let mut own: Vec<_> = own.collect();
        own.sort_by(|a, b| (&a.node, a.last_seen).cmp(&(&b.node, b.last_seen)));
        // An earlier life of a node is of no interest, unless it has not ended.
        let mut shown: Vec<Sight> = Vec::with_capacity(own.len());
        for sight in own {
            let again = shown.last().is_some_and(|last| last.node == sight.node);
            if !again || (sight.is_live() && sight.trouble.is_some()) {
                shown.push(sight);
            }
        }
        let strangers = self.strangers.iter().map(|Stranger(life)| Sight {
            own: false,
            trouble: distant(&life.presence.about),
            ..sight(life, now)
        });
        shown.extend(strangers);
        shown
    }

    /// Where the nodes of this cluster are, those that are still heard first.
    pub fn addresses(&self, now: Duration) -> Vec<SocketAddr> {
        let mut lives: Vec<&Life> = self.lives.iter().collect();
        lives.sort_by_key(|life| (!life.is_live(now), life.presence.node.clone()));
        lives.iter().flat_map(|life| life.addresses()).collect()
    }

    /// Whether the node that was heard at an address is heard at others only.
    pub fn has_left(&self, address: SocketAddr, now: Duration) -> bool {
        let mut there = self
            .lives
            .iter()
            .filter_map(|life| life.has_left(address, now));
        there
            .next()
            .is_some_and(|first| first && there.all(|left| left))
    }

    /// What is wrong in this cluster, and what to do about it.
    pub fn troubles(&self, now: Duration) -> Vec<String> {
        let live = self.lives.iter().filter(|life| life.is_live(now));
        let mut troubles: Vec<_> = live.filter_map(|life| self.trouble(life, now)).collect();
        troubles.sort();
        troubles.dedup();
        troubles
    }

    /// What one may want to know, though nothing is wrong.
    pub fn notes(&self, now: Duration) -> Vec<String> {
        let live = self.strangers.iter().map(|Stranger(life)| life);
        let mut clusters: Vec<_> = live
            .filter(|life| life.is_live(now))
            .map(|life| (life.presence.cluster, life.presence.node.clone()))
            .collect();
        clusters.sort();
        clusters.dedup_by_key(|(cluster, _)| *cluster);
        let note = |(cluster, node)| {
            format!(
                "another cluster is on this network: {cluster} (node {node}); they do not mix, and with another \
                 cluster.discovery group they do not hear each other either"
            )
        };
        clusters.into_iter().map(note).collect()
    }

    fn trouble(&self, life: &Life, now: Duration) -> Option<String> {
        let node = &life.presence.node;
        if self.is_myself(node) && life.proven.is_some() {
            return Some(format!(
                "another machine, {}, also runs as node {node}: stop it, remove its data directory and let it join under \
                 another name (wolfdiskctl init --id NAME)",
                places(life)
            ));
        }
        let twin = self.lives.iter().find(|other| {
            let same = other.presence.node == *node && other.presence.start != life.presence.start;
            same && other.is_live(now) && other.overlaps(life)
        });
        if let Some(twin) = twin {
            let mut both = [places(life), places(twin)];
            both.sort();
            return Some(format!(
                "two machines, {}, run as node {node}: stop one, remove its data directory and let it join under another \
                 name (wolfdiskctl init --id NAME)",
                both.join(" and ")
            ));
        }
        distant(&life.presence.about)
            .map(|what| format!("node {node}: {what}"))
            .or_else(|| skewed(node.as_str(), life.skew_ms))
    }
}

fn sight(life: &Life, now: Duration) -> Sight {
    Sight {
        cluster: life.presence.cluster,
        own: false,
        node: life.presence.node.clone(),
        about: life.presence.about.clone(),
        addresses: life.addresses(),
        last_seen: now.saturating_sub(life.last),
        trouble: None,
    }
}

fn places(life: &Life) -> String {
    match life.addresses().first() {
        Some(address) => address.ip().to_string(),
        None => "of unknown address".to_owned(),
    }
}

fn distant(about: &About) -> Option<String> {
    (about.protocol.abs_diff(PROTOCOL_VERSION) > 1).then(|| {
        format!(
            "it speaks protocol {} (release {}), this machine {PROTOCOL_VERSION}: run releases that are at most one apart",
            about.protocol, about.release
        )
    })
}

/// What is wrong with a clock that differs so much from this machine's, and what to do; none: it differs little.
pub fn skewed(node: &str, skew_ms: i64) -> Option<String> {
    let skew = Duration::from_millis(skew_ms.unsigned_abs());
    (skew > CLOCK_SKEW_MAX).then(|| {
        let direction = match skew_ms > 0 {
            true => "ahead of",
            false => "behind",
        };
        format!(
            "the clock of node {node} is {} s {direction} this machine's: let both keep time (NTP)",
            skew.as_secs()
        )
    })
}
