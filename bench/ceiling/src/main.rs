//! The ceiling that WolfDisk is measured against: a file system that keeps everything in memory, mounted
//! with the library settings, the kernel flags and the lifetimes of `wolfdisk-fuse`. Whatever it takes is
//! the kernel's and the library's share; nothing that stores can be faster through FUSE.
//!
//! It is complete enough for `bench/workloads.py` and no more: locks are always granted, times are not
//! kept beyond what programs set, and nothing survives the end of the process.

#![forbid(unsafe_code)]

mod adapter;
mod tree;

use std::path::PathBuf;

use anyhow::Context;
use fuser::Session;
use wolfdisk_common::mounts;
use wolfdisk_common::shutdown::{Shutdown, Turn};
use wolfdisk_fuse::options::Options;
use wolfdisk_fuse::{mount, readahead};

fn main() -> anyhow::Result<()> {
    let path: PathBuf = std::env::args_os()
        .nth(1)
        .context("usage: wolfdisk-ceiling MOUNTPOINT")?
        .into();
    let shutdown = Shutdown::install(Turn::First)?;
    let config = mount::library_config(&Options::default());
    let session = Session::new(adapter::Adapter::default(), &path, &config)
        .with_context(|| format!("cannot mount {}", path.display()))?
        .spawn()?;
    readahead::raise(&path);
    println!("ready mount={}", path.display());
    shutdown.wait();
    // Whoever has a file open keeps it until then; a dead mount would be left.
    mounts::take_off(&path, true)?;
    session.join()?;
    Ok(())
}
