//! Listening before a machine decides what it becomes.

use std::io;
use std::time::Instant;

use wolfdisk_common::config;

use crate::discovery::Discovery;
use crate::heard::{Sight, Trust};
use crate::interfaces::SystemInterfaces;
use crate::limits::ANYBODY_WITHIN;

/// The first node that is heard, of whatever cluster; `None`: nobody in [`ANYBODY_WITHIN`], or there is no group to listen
/// to. Nothing that it says is proven.
///
/// # Errors
/// The system has no thread, descriptor or random number left.
pub fn anybody(group: config::Discovery) -> io::Result<Option<Sight>> {
    let nobody = Trust::default();
    let discovery = Discovery::start(group, nobody, None, Box::new(SystemInterfaces))?;
    let until = Instant::now() + ANYBODY_WITHIN;
    match discovery.is_listening() {
        true => Ok(discovery.view().wait_for_anybody(until)),
        false => Ok(None),
    }
}
