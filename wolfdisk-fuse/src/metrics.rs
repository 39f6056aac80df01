//! What a mount tells on its admin address: `docs/metrics.md` says what each number is.
//!
//! Nothing here asks the mount itself, or a daemon: whoever watches gets an answer also from one that is stuck.

use std::fmt::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Instant;

use wolfdisk_admin::{Page, Tell, Watched, tell_volume};
use wolfdisk_client::{Level, SessionState, Volume};
use wolfdisk_common::mounts;

use crate::calls::Counted;
use crate::gate::Gate;
use crate::limits::LOCK_WAITERS_MAX;
use crate::locks::Waiters;
use crate::mount::{Mount, threads};
use crate::outcome::OUTCOMES;

/// See the module.
#[derive(Debug)]
struct Metrics {
    volume: Weak<Volume>,
    gate: Arc<Gate>,
    waiters: Waiters,
    /// The mount's number at the kernel, if it is known.
    device: Option<String>,
    started: Instant,
}

/// Tells health and numbers at `address` until what is given is dropped. A mount that cannot is a mount all the same: none.
pub fn watch(address: SocketAddr, volume: &Arc<Volume>, mount: &Mount) -> Option<Watched> {
    let mounted = mounts::at(mount.path()).ok().flatten();
    let teller = Metrics {
        volume: Arc::downgrade(volume),
        gate: Arc::clone(mount.gate()),
        waiters: mount.waiters().clone(),
        device: mounted.map(|mounted| mounted.device),
        started: Instant::now(),
    };
    let asked = Arc::downgrade(volume);
    let ready = move || std::future::ready(ready(&asked));
    // Of several mounts of a machine one has the usual address, whatever the configuration says.
    let watched = wolfdisk_admin::watch(address, false, teller, ready);
    watched.unwrap_or_else(|error| {
        tracing::warn!(%error, "no health and no metrics are told");
        None
    })
}

/// Whether the mount does its work: wolfdisk-meta has been heard of within the lease.
fn ready(volume: &Weak<Volume>) -> Result<(), String> {
    let state = match volume.upgrade() {
        Some(volume) => volume.session_state(),
        None => SessionState::Ended,
    };
    match state {
        SessionState::Live => Ok(()),
        SessionState::Lapsed => Err("wolfdisk-meta does not answer".to_owned()),
        SessionState::Ended => Err("the volume is shut down; mount anew".to_owned()),
    }
}

impl Tell for Metrics {
    const PREFIX: &'static str = "wolfdisk_fuse";
    const SETTING: &'static str = "-o admin=ADDRESS";

    fn tell(&self, page: &mut Page<'_>) -> Result<(), Error> {
        requests(page, &self.gate.calls().snapshot())?;
        self.under_way(page)?;
        page.gauge_seconds(
            "uptime_seconds",
            "Since the mount, or since it was taken over",
            self.started.elapsed().as_secs_f64(),
        )?;
        let Some(volume) = self.volume.upgrade() else {
            return Ok(());
        };
        let levels = volume.levels().into_iter().map(Level::parts);
        let states = volume.session_state().among_all();
        tell_volume(page, volume.counters(), levels, states)
    }
}

/// Of operations that there were.
fn requests(page: &mut Page<'_>, counted: &[Counted]) -> Result<(), Error> {
    let ended = counted.iter().flat_map(|of| {
        let outcomes = OUTCOMES.iter().zip(of.ended);
        outcomes
            .map(move |(outcome, count)| ([("operation", of.name), ("outcome", *outcome)], count))
    });
    page.counters(
        "requests",
        "The kernel's requests by operation and how they ended",
        ended,
    )?;
    let took = counted.iter();
    page.histograms(
        "request_duration_seconds",
        "From the request to its answer, with what it waits for",
        took.map(|of| ([("operation", of.name)], of.timed.clone())),
    )
}

impl Metrics {
    fn under_way(&self, page: &mut Page<'_>) -> Result<(), Error> {
        page.gauge(
            "requests_in_flight",
            "The kernel's requests that are being carried out",
            self.gate.in_flight(),
        )?;
        page.gauge(
            "requests_in_flight_limit",
            "Above this they wait in the kernel",
            threads() as u64,
        )?;
        if let Some(waiting) = self.kernel_waiting() {
            page.gauge(
                "kernel_requests_waiting",
                "Requests that the kernel waits for, carried out or not",
                waiting,
            )?;
        }
        page.gauge(
            "lock_waiters",
            "Requests that wait for a lock, each on a thread",
            self.waiters.count() as u64,
        )?;
        page.gauge(
            "lock_waiters_limit",
            "How many may",
            LOCK_WAITERS_MAX as u64,
        )
    }

    /// None: the kernel does not say.
    fn kernel_waiting(&self) -> Option<u64> {
        mounts::waiting(self.device.as_deref()?).ok()
    }
}
