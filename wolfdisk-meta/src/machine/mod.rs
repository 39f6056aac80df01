//! The leader's memory of its sessions, as pure machines: (state, input, time) gives (state, outputs).
//!
//! No clock, socket or disk is inside; the service passes the time in and carries the outputs out.
//! [`coherence::Coherence`] is the whole that the service uses; the other files are its parts.

pub mod barrier;
pub mod coherence;
pub mod damping;
pub mod feed_queue;
pub mod leases;
pub mod liveness;
pub mod lock_wait;
pub mod rights;

#[cfg(test)]
mod model;
