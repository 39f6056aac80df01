//! What the volume holds now, and how it stands: asked of each part of it without waiting for a daemon.

use super::Volume;
use crate::levels::{Level, SessionState};
use crate::limits;

impl Volume {
    /// What is held now, each beside what there may be of it at the most.
    pub fn levels(&self) -> Vec<Level> {
        let (ranges, ranges_max) = self.chunks.remote().map_or((0, 0), |remote| remote.kept());
        let (data, data_max) = self.kept.used();
        let (inodes, names) = self.table.counted();
        let level = |name, about, value: usize| Level {
            name,
            about,
            value: value as u64,
        };
        vec![
            level(
                "dirty_bytes",
                "Written and not yet with the daemons",
                self.budget.used(),
            ),
            level(
                "dirty_limit_bytes",
                "Above this writers wait",
                self.budget.max(),
            ),
            level(
                "waiting_writers",
                "Writes that wait until others are with the daemons",
                self.budget.waiting(),
            ),
            level("open_files", "Files that are open", self.handles.len()),
            level(
                "cached_inodes",
                "Inodes of which something is kept, as attributes",
                inodes,
            ),
            level(
                "cached_inodes_limit",
                "Above this those go that were not used for longest, unless they are in use",
                self.table.max(),
            ),
            level("cached_names", "Names of directories that are kept", names),
            level(
                "cached_names_limit",
                "How many there may be",
                limits::NAMES_MAX,
            ),
            level("cached_data_bytes", "Content of files in memory", data),
            level("cached_data_limit_bytes", "How much there may be", data_max),
            level(
                "cached_range_bytes",
                "Chunks of another machine in memory",
                ranges,
            ),
            level(
                "cached_range_limit_bytes",
                "How much there may be; 0: the chunks are on this machine",
                ranges_max,
            ),
        ]
    }

    /// How the volume stands with wolfdisk-meta, without asking it: a live one has heard of it within the lease.
    pub fn session_state(&self) -> SessionState {
        if self.session.is_stopped() {
            SessionState::Ended
        } else if self.session.lease.is_live() {
            SessionState::Live
        } else {
            SessionState::Lapsed
        }
    }
}
