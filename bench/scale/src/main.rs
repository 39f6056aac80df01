//! Fills the index of a running node with small files, each with a chunk of its own, and measures how fast it creates
//! and looks up names at that size.
//!
//! It asks the daemons as a front-end does, but keeps nothing: what is measured is the index, not a cache. Files are
//! numbered; number n is the file `n` of directory `n / 1000` of the filler that made it. A run goes on where the last
//! one ended. Prints one line: files, and creations and lookups a second. `bench/scale.py` makes a table of it.

#![forbid(unsafe_code)]

mod filler;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use filler::Filler;

/// Files created while it is measured: few enough that an empty index stays a small one.
const CREATED: u32 = 20_000;
/// Names that one session looks up: as many as it may keep without giving any back, since it confirms nothing.
const FOUND: u32 = 60_000;
/// Sessions that look names up, of which the last is measured: the first ones warm what a start has left cold.
const LOOKERS: u32 = 4;

#[derive(Debug, Parser)]
#[command(about = "Fill an index with files and chunks, and measure what it costs by size")]
struct Arguments {
    /// Socket of wolfdisk-meta
    meta: PathBuf,
    /// Socket of wolfdisk-chunkd
    chunkd: PathBuf,
    /// Files in the end; those that are there count
    #[arg(long, default_value_t = 100_000)]
    files: u64,
    /// Fillers at the same time
    #[arg(long, default_value_t = 2)]
    fillers: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let each = arguments.files / arguments.fillers.max(1);
    std::thread::scope(|scope| {
        let fill = |number| {
            let arguments = &arguments;
            scope.spawn(move || {
                Filler::open(&arguments.meta, &arguments.chunkd, number)?.fill_up_to(each)
            })
        };
        let fillers: Vec<_> = (0..arguments.fillers.max(1)).map(fill).collect();
        fillers.into_iter().try_for_each(|filler| {
            let ended = filler.join();
            ended.map_err(|_| anyhow::anyhow!("a filler panicked"))?
        })
    })?;
    let mut filler = Filler::open(&arguments.meta, &arguments.chunkd, 0)?;
    let created = rate(CREATED, || filler.create_next())?;
    filler.close()?;
    let mut random = StdRng::from_os_rng();
    let mut found = 0.0;
    for _ in 0..LOOKERS {
        let mut looker = Filler::open(&arguments.meta, &arguments.chunkd, 0)?;
        let count = looker.count();
        found = rate(FOUND, || looker.look_up(random.random_range(0..count)))?;
        looker.close()?;
    }
    println!("{} {created:.0} {found:.0}", arguments.files);
    Ok(())
}

/// How often a second `work` can be done, from doing it so many `times`, one after the other.
fn rate(times: u32, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    for _ in 0..times {
        work().context("while measuring")?;
    }
    Ok(f64::from(times) / start.elapsed().as_secs_f64())
}
