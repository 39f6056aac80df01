//! Health and numbers of a daemon for programs that watch it: `/healthz`, `/readyz` and `/metrics` over HTTP, on an
//! address of its own (`admin.bind` and ports above).

#![forbid(unsafe_code)]

mod answers;
mod limits;
mod listen;
mod page;
mod process;
mod services;
mod volume;

pub use answers::service;
pub use listen::{Watched, bind, serve, watch};
pub use page::{Page, Tell};
pub use process::tell_process;
pub use services::{tell_calls, tell_guests};
pub use volume::tell_volume;
