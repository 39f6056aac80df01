//! Starts daemons as processes, keeps them running, stops them in order.
//!
//! One thread, one loop over poll(2): signals, readiness and deaths all arrive as readable descriptors.
//! The daemons are started one after the other and stopped in the opposite order. Each holds the
//! reading end of a pipe (its lifeline); the writing ends are held by the supervisor and by the daemons
//! started later. So if the supervisor is killed, the last one ends first, and each of the others as
//! soon as nothing that needs it is left.

mod backoff;
mod child;
mod daemon;
mod error;
mod lifeline;
mod readiness;
mod run;
mod signals;

pub use daemon::Daemon;
pub use error::SupervisorError;
pub use run::{Outcome, Supervisor};
