//! What people and programs do with a node: set it up, start and stop it, mount it, look at it.
//!
//! [`cli`] is the command line, [`command`] holds one file for each group of commands, [`supervisor`]
//! starts the daemons as processes of their own, restarts them and stops them in order. Nothing here
//! touches data: that is the daemons' business alone, and what a command changes it asks them to.

#![forbid(unsafe_code)]

pub mod cli;
pub mod command;
pub mod error;
mod live;
mod output;
pub mod supervisor;
mod users;
