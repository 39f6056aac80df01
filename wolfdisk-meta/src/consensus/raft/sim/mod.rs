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
//! - [`events`]: what goes wrong.
//! - [`tests`]: how many seeds, and what they prove.

mod clients;
mod events;
mod faulty;
mod machine;
mod network;
mod record;
mod runtime;
mod tests;
mod time;
mod trace;
mod world;

use openraft::impls::EmptyNode;

use super::{Proposal, Voter};

openraft::declare_raft_types!(
    /// The types of daemons, on another runtime.
    pub SimTypes:
        D = Proposal,
        R = (),
        NodeId = Voter,
        Node = EmptyNode,
        AsyncRuntime = runtime::Sim,
);

/// A node that is simulated.
type Node = openraft::Raft<SimTypes, machine::State>;
