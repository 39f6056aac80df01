//! What every front-end tells of the volume under it, under a prefix of its own.

use std::collections::BTreeMap;
use std::fmt::Error;

use crate::page::Page;

/// What names of a volume's numbers begin with, whichever front-end tells them.
pub const VOLUME_PREFIX: &str = "wolfdisk_volume";
/// Among the events of a volume, but no event: it is told with what the volume holds.
const DIRTY: &str = "dirty_bytes";

/// Writes what a volume counts (`events`), what it holds (`levels`: names, help, how much), and in which of `states` it is.
///
/// # Errors
/// It cannot be written.
pub fn tell_volume(
    page: &mut Page<'_>,
    mut events: BTreeMap<&'static str, u64>,
    levels: impl IntoIterator<Item = (&'static str, &'static str, u64)>,
    states: impl IntoIterator<Item = (&'static str, bool)>,
) -> Result<(), Error> {
    page.under(VOLUME_PREFIX, |page| {
        for (name, help, value) in levels {
            page.gauge(name, help, value)?;
        }
        let states = states.into_iter();
        let states = states.map(|(state, is)| ([("state", state)], u64::from(is)));
        page.gauges(
            "session",
            "1: how the volume stands with wolfdisk-meta",
            states,
        )?;
        events.remove(DIRTY);
        let events = events.iter();
        page.counters(
            "events",
            "What the volume counts, by name: calls to the daemons, hits of its caches, bytes",
            events.map(|(event, count)| ([("event", *event)], *count)),
        )
    })
}
