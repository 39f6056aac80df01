//! What became of what was heard.

/// Since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Beacons of this machine's own cluster.
    pub accepted: u64,
    /// Questions of others.
    pub questions: u64,
    /// Beacons of other clusters.
    pub foreign: u64,
    /// Datagrams that are no beacons.
    pub malformed: u64,
    /// Beacons of another version.
    pub other_version: u64,
    /// Beacons that name this cluster and were not signed by it.
    pub forged: u64,
    /// Beacons that were heard before, of an earlier life, or that answer no question of ours.
    pub replayed: u64,
    /// Datagrams that were too many.
    pub flooded: u64,
    /// Datagrams that could not be sent.
    pub unsent: u64,
    /// Interfaces that could not be listened to, as often as it was tried.
    pub deaf: u64,
}

impl Counts {
    /// With their names.
    pub fn named(&self) -> [(&'static str, u64); 10] {
        [
            ("discovery_accepted", self.accepted),
            ("discovery_questions", self.questions),
            ("discovery_foreign", self.foreign),
            ("discovery_malformed", self.malformed),
            ("discovery_other_version", self.other_version),
            ("discovery_forged", self.forged),
            ("discovery_replayed", self.replayed),
            ("discovery_flooded", self.flooded),
            ("discovery_unsent", self.unsent),
            ("discovery_deaf", self.deaf),
        ]
    }
}
