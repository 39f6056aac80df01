//! What the whole-system tests stand on: real daemons, real mounts, everything cleaned up.
//!
//! A test starts a [`Node`] in a directory of its own, so that tests may run side by side. What a test
//! started is ended when its values are dropped, also after a panic: processes by their own ids, mounts
//! by a lazy unmount. After a failure the node's log is shown.

#![deny(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "this is a library of tests"
)]

mod actor;
mod background;
mod cell;
mod cluster;
mod command;
mod conversation;
mod damage;
mod endpoint;
mod exerciser;
mod fsx;
mod gateway;
mod gateway_host;
mod history;
mod lan;
mod mapping;
mod mounts;
mod node;
mod numbers;
mod one_file;
mod ports;
mod processes;
mod programs;
mod random;
mod sandbox;
mod scratch;
mod second_mount;
mod small_disk;
mod steps;
mod system;
mod trace;
mod tree;
mod twins;
pub mod two_views;
mod wait;
mod watchdog;

pub use actor::Role;
pub use background::Background;
pub use cell::Cell;
pub use cluster::{Cluster, ctl, forget_nodes};
pub use command::{Outcome, STEP_DEADLINE, python, run, run_as, run_within, sh, sh_within};
pub use conversation::Conversation;
pub use damage::{damage_chunk, place_in_segments, write_durably};
pub use endpoint::{as_client, node_with_s3, suite, with_client};
pub use exerciser::Exerciser;
pub use fsx::fsx;
pub use gateway::Gateway;
pub use gateway_host::{GatewayHost, boto3_on, cluster_key, holds};
pub use history::{History, Workers};
pub use lan::{Host, Lan, Wires};
pub use mapping::Mapping;
pub use mounts::is_mounted;
pub use node::{Daemon, Node, Plan, S3};
pub use numbers::{Numbers, told};
pub use one_file::both_see_every_change;
pub use ports::free_port;
pub use processes::{
    Memory, Stopped, descendants, is_alive, kill_hard, memory_bytes, open_descriptors, signal,
    vm_rss_bytes,
};
pub use programs::{client, grafana, installed, program, public_programs, repository, tool};
pub use random::{Random, is_long_run, seed};
pub use sandbox::Sandbox;
pub use scratch::Scratch;
pub use second_mount::SecondMount;
pub use small_disk::{Df, DiskKind, SmallDisk};
pub use system::System;
pub use trace::{Effect, Fault, Trace, count};
pub use tree::{Ignore, compare, copy, names};
pub use twins::{Twins, carry_out};
pub use two_views::TwoViews;
pub use wait::{DEADLINE, joined, wait_until, wait_within};
pub use watchdog::{Threads, where_it_waits};
