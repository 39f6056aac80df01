//! Raft over our store in simulated time: machines that lose power, messages and each other, as a seed decides.
//!
//! - [`runtime`]: one thread, tasks in an order that is drawn, a clock that jumps.
//! - [`time`]: clocks of machines, and waiting.
//! - [`trace`]: what happened, to compare and to read.
//! - [`network`]: messages that are late, lost, doubled and overtaken.
//! - [`machine`]: the state that entries are applied to.
//! - [`record`]: what clients and nodes saw, and what must hold of it.
//! - [`faulty`]: the store with a mistake, which must be found out.
//! - [`world`]: the machines, and starting and stopping them.
//! - [`clients`]: who writes and reads.
//! - [`daemon`]: the index over such a log, as a daemon has it.
//! - [`sessions`]: who asks daemons for mutations, once each, and looks what became of them.
//! - [`rights`]: what sessions keep of what they have seen, as long as they may.
//! - [`events`]: what goes wrong.
//! - [`tests`]: how many seeds, and what they prove.

mod clients;
mod daemon;
mod events;
mod faulty;
mod machine;
mod network;
mod record;
mod rights;
mod runtime;
mod sessions;
mod tests;
mod time;
mod trace;
mod world;

use super::raft_types;

raft_types!(
    /// The types of daemons, on another runtime.
    SimTypes on runtime::Sim
);

/// A node that is simulated.
type Node = openraft::Raft<SimTypes, machine::State>;
