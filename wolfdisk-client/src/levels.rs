//! What a volume holds at a moment, beside what it counts: for metrics.

/// Something that a volume holds, or how much of it there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its name, as of a metric: one in bytes ends with `_bytes`.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// How much.
    pub value: u64,
}

impl Level {
    /// Its parts, for who tells it.
    pub fn parts(self) -> (&'static str, &'static str, u64) {
        (self.name, self.about, self.value)
    }
}

/// How a volume stands with wolfdisk-meta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// wolfdisk-meta answered within the lease: what is cached may be used.
    Live,
    /// It did not: calls wait for it.
    Lapsed,
    /// There will be no other answer: the volume is shut down, or was exclusive and its session is lost.
    Ended,
}

impl SessionState {
    /// All of them.
    pub const ALL: [SessionState; 3] = [
        SessionState::Live,
        SessionState::Lapsed,
        SessionState::Ended,
    ];

    /// The names of all, and whether it is this one.
    pub fn among_all(self) -> [(&'static str, bool); 3] {
        SessionState::ALL.map(|state| (state.as_str(), state == self))
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            SessionState::Live => "live",
            SessionState::Lapsed => "lapsed",
            SessionState::Ended => "ended",
        }
    }
}
