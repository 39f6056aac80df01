//! What was heard, without socket and clock: whom to believe, what to remember and for how long, and what to count.
//!
//! A holder of the cluster's key believes signed beacons only. To any other they are hints: where to connect to, and
//! find out. A recorded beacon that is played again is noticed by its number; of a life that was not heard before it is
//! not told from a new one, unless a newer life is known or has answered a question of ours.

mod counts;
mod life;
mod sight;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use uuid::Uuid;
use wolfdisk_common::node_id::NodeId;

pub use self::counts::Counts;
use self::life::Life;
pub use self::life::Now;
pub use self::sight::{Sight, skewed};
use crate::beacon::{Beacon, BeaconError, BeaconKey, Presence, Question};
use crate::limits::{ANSWER_DEADLINE, FORGOTTEN_AFTER, NODES_MAX, QUESTIONS_MAX, STRANGERS_MAX};
use crate::rate::{Excess, Rates};

/// Whom to believe.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The own cluster; none: whichever holds the key.
    pub cluster: Option<Uuid>,
    /// Its key; none: what is heard is hints.
    pub key: Option<BeaconKey>,
}

/// Who listens, if it is a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Myself {
    /// Its name.
    pub node: NodeId,
    /// Drawn at its start.
    pub start: u64,
}

/// What a datagram calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing.
    Nothing,
    /// An answer with this nonce.
    Answer(u64),
    /// There is somebody new: whoever waits may look, and it is to be asked whether it lives.
    New,
    /// There is somebody new of another cluster: whoever waits may look.
    Foreign,
    /// There is more than can be looked at.
    Pause,
}

/// A node of another cluster.
#[derive(Debug)]
struct Stranger(Life);

/// See the module.
#[derive(Debug)]
pub struct Heard {
    trust: Trust,
    myself: Option<Myself>,
    lives: Vec<Life>,
    strangers: Vec<Stranger>,
    questions: VecDeque<(u64, Duration)>,
    rates: Rates,
    counts: Counts,
}

impl Heard {
    /// Nothing, yet.
    pub fn new(trust: Trust, myself: Option<Myself>) -> Heard {
        Heard {
            trust,
            myself,
            lives: Vec::new(),
            strangers: Vec::new(),
            questions: VecDeque::new(),
            rates: Rates::default(),
            counts: Counts::default(),
        }
    }

    /// What became of everything.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The same, to count what is not heard.
    pub fn counts_mut(&mut self) -> &mut Counts {
        &mut self.counts
    }

    /// A question to send. `nonce` cannot be guessed.
    pub fn ask(&mut self, now: Duration, nonce: u64) -> Question {
        self.questions.push_back((nonce, now));
        if self.questions.len() > QUESTIONS_MAX {
            self.questions.pop_front();
        }
        Question {
            cluster: self.trust.cluster.unwrap_or_default(),
            nonce,
        }
    }

    /// Takes what came from somewhere.
    pub fn receive(&mut self, now: Now, from: SocketAddr, datagram: &[u8]) -> Reaction {
        if let Err(excess) = self.rates.take(now.monotonic, from.ip()) {
            self.counts.flooded += 1;
            return match excess {
                Excess::Source => Reaction::Nothing,
                Excess::Total => Reaction::Pause,
            };
        }
        match Beacon::decode(datagram) {
            Err(BeaconError::Malformed) => self.counts.malformed += 1,
            Err(BeaconError::Version(_)) => self.counts.other_version += 1,
            Ok(Beacon::Question(question)) => return self.asked(question),
            Ok(Beacon::Presence(presence)) => return self.presence(now, from, presence, datagram),
        }
        Reaction::Nothing
    }

    /// Forgets who was not heard of for long.
    pub fn forget(&mut self, now: Duration) {
        let kept = |life: &Life| now.saturating_sub(life.last) < FORGOTTEN_AFTER;
        self.lives.retain(kept);
        self.strangers.retain(|Stranger(life)| kept(life));
        let waited = |at: Duration| now.saturating_sub(at) < ANSWER_DEADLINE;
        self.questions.retain(|(_, at)| waited(*at));
    }

    fn is_myself(&self, node: &NodeId) -> bool {
        self.myself.as_ref().is_some_and(|own| own.node == *node)
    }

    fn asked(&mut self, question: Question) -> Reaction {
        // One's own questions come back too: they were not asked by others.
        if self.questions.iter().any(|(own, _)| *own == question.nonce) {
            return Reaction::Nothing;
        }
        self.counts.questions += 1;
        let ours = question.cluster.is_nil() || Some(question.cluster) == self.trust.cluster;
        match ours && self.myself.is_some() {
            true => Reaction::Answer(question.nonce),
            false => Reaction::Nothing,
        }
    }

    fn presence(
        &mut self,
        now: Now,
        from: SocketAddr,
        presence: Presence,
        datagram: &[u8],
    ) -> Reaction {
        let signed = self.trust.key.as_ref().map(|key| key.signed(datagram));
        let ours = match (self.trust.cluster, signed) {
            (Some(own), _) => own == presence.cluster,
            (None, signed) => signed == Some(true),
        };
        if !ours {
            return self.stranger(now, from, presence);
        }
        if signed == Some(false) {
            self.counts.forged += 1;
            return Reaction::Nothing;
        }
        if self
            .myself
            .as_ref()
            .is_some_and(|own| own.start == presence.start)
        {
            return Reaction::Nothing;
        }
        let proof = presence
            .answers
            .map(|nonce| self.is_awaited(nonce, now.monotonic));
        if proof == Some(false) {
            self.counts.replayed += 1;
            return Reaction::Nothing;
        }
        self.own(now, from, presence, proof.is_some())
    }

    fn is_awaited(&self, nonce: u64, now: Duration) -> bool {
        self.questions
            .iter()
            .any(|(asked, at)| *asked == nonce && now.saturating_sub(*at) < ANSWER_DEADLINE)
    }

    /// A beacon of this cluster; `proof`: it answers a question of ours.
    fn own(&mut self, now: Now, from: SocketAddr, presence: Presence, proof: bool) -> Reaction {
        let known = self.lives.iter_mut().find(|life| {
            life.presence.node == presence.node && life.presence.start == presence.start
        });
        if let Some(life) = known {
            let before = (life.is_live(now.monotonic), life.is_found());
            if !life.hear(presence, from, now) {
                self.counts.replayed += 1;
                return Reaction::Nothing;
            }
            self.counts.accepted += 1;
            return match before == (true, life.is_found()) {
                true => Reaction::Nothing,
                false => Reaction::New,
            };
        }
        let others = self
            .lives
            .iter()
            .filter(|life| life.presence.node == presence.node);
        let newest = others.map(|life| life.presence.about.incarnation).max();
        let earlier = newest.is_some_and(|newest| newest >= presence.about.incarnation);
        let myself = self.is_myself(&presence.node);
        if (earlier || myself) && !proof {
            // An earlier life, or a second machine of that name, which answers when it is asked.
            self.counts.replayed += u64::from(earlier);
            return Reaction::New;
        }
        self.counts.accepted += 1;
        if self.lives.len() >= NODES_MAX {
            remove_oldest(&mut self.lives, |life| life.last);
        }
        let mut life = Life::new(presence.clone(), now.monotonic);
        life.hear(presence, from, now);
        self.lives.push(life);
        Reaction::New
    }

    fn stranger(&mut self, now: Now, from: SocketAddr, presence: Presence) -> Reaction {
        self.counts.foreign += 1;
        let known = self.strangers.iter_mut().find(|Stranger(life)| {
            life.presence.cluster == presence.cluster && life.presence.node == presence.node
        });
        // Nothing is believed of it, so nothing of it can be replayed either.
        if let Some(Stranger(life)) = known {
            if life.presence.start != presence.start {
                *life = Life::new(presence.clone(), now.monotonic);
            }
            life.hear(presence, from, now);
            return Reaction::Nothing;
        }
        if self.strangers.len() >= STRANGERS_MAX {
            remove_oldest(&mut self.strangers, |Stranger(life)| life.last);
        }
        let mut life = Life::new(presence.clone(), now.monotonic);
        life.hear(presence, from, now);
        self.strangers.push(Stranger(life));
        Reaction::Foreign
    }
}

fn remove_oldest<T>(all: &mut Vec<T>, last: impl Fn(&T) -> Duration) {
    let oldest = all.iter().enumerate().min_by_key(|(_, one)| last(one));
    if let Some((at, _)) = oldest {
        all.swap_remove(at);
    }
}

#[cfg(test)]
mod tests;
