//! What a service counts of its calls, and a listener of those who connect.

use std::fmt::Error;
use std::sync::atomic::{AtomicU64, Ordering};

use wolfdisk_common::limits::CONNECTIONS_MAX;
use wolfdisk_proto::calls::{Calls, OUTCOMES};
use wolfdisk_proto::noise::Guests;

use crate::page::Page;

/// Writes what a service counts of its calls and of connections of this machine. Of outcomes those are told that there
/// were, and that calls went well.
///
/// # Errors
/// It cannot be written.
pub fn tell_calls(page: &mut Page<'_>, calls: &Calls) -> Result<(), Error> {
    let counted = calls.counted();
    let ended = counted.iter().flat_map(|of| {
        let operation = ("operation", of.operation);
        let outcomes = OUTCOMES.iter().zip(of.ended);
        let told = outcomes.filter(|(outcome, count)| *count > 0 || **outcome == "ok");
        told.map(move |(outcome, count)| ([operation, ("outcome", *outcome)], count))
    });
    page.counters(
        "requests",
        "Calls by what is called and how it ended",
        ended,
    )?;
    let took = counted
        .iter()
        .map(|of| ([("operation", of.operation)], of.timed.clone()));
    page.histograms(
        "request_duration_seconds",
        "From a call to its answer, with what it waits for",
        took,
    )?;
    page.gauge(
        "requests_in_flight",
        "Calls that have no answer yet",
        calls.in_flight(),
    )?;
    let local = &calls.local;
    page.gauge(
        "local_connections_open",
        "Connections of this machine",
        read(&local.open),
    )?;
    page.gauge(
        "local_connections_limit",
        "How many there may be",
        CONNECTIONS_MAX as u64,
    )?;
    page.counter(
        "local_connections",
        "Connections of this machine that were accepted",
        read(&local.accepted),
    )?;
    let refused = [
        ([("reason", "over_limit")], read(&local.over_limit)),
        ([("reason", "stranger")], read(&local.strangers)),
    ];
    page.counters(
        "local_connections_refused",
        "Connections of this machine that were turned away, by reason",
        refused,
    )
}

/// Writes what a listener for other machines counts, and how many calls behind the handshake were `denied`.
///
/// # Errors
/// It cannot be written.
pub fn tell_guests(page: &mut Page<'_>, guests: &Guests, denied: u64) -> Result<(), Error> {
    let counted = guests.counters();
    let of = |wanted: &str| {
        let mut found = counted.iter().filter(|(name, _)| *name == wanted);
        found.next().map_or(0, |(_, value)| *value)
    };
    page.gauge(
        "lan_connections_open",
        "Connections of other machines",
        of("connections_open"),
    )?;
    page.gauge(
        "lan_connections_limit",
        "How many there may be",
        CONNECTIONS_MAX as u64,
    )?;
    page.gauge(
        "lan_handshakes_open",
        "Of other machines that have not said who they are",
        of("handshakes_open"),
    )?;
    page.counter(
        "lan_connections",
        "Connections of other machines that were let in",
        of("connections_accepted"),
    )?;
    let reasons = ["over_limit", "late", "garbled", "denied"];
    let refused = reasons.map(|reason| {
        let count = match reason {
            "over_limit" => of("connections_over_limit"),
            other => of(&format!("handshakes_{other}")),
        };
        ([("reason", reason)], count)
    });
    page.counters(
        "lan_connections_refused",
        "Connections of other machines that were not let in, by reason",
        refused,
    )?;
    page.counter(
        "lan_calls_denied",
        "Calls of members that they may not make",
        denied,
    )
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
