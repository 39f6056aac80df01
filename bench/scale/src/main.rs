//! Fills the index of a running node with small files, each with a chunk of its own, and measures how fast it creates
//! and looks up names at that size.
//!
//! It asks the daemons as a front-end does, but keeps nothing: what is measured is the index, not a cache. Files are
//! numbered; number n is the file `n` of directory `n / 1000` of the filler that made it. A run goes on where the last
//! one ended. Prints one line: files, and creations and lookups a second. `bench/scale.sh` makes a table of it.

#![forbid(unsafe_code)]

mod filler;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use filler::Filler;

/// How often what is measured is done: seldom enough that an empty index stays a small one.
const MEASURED: u32 = 20_000;

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
    let created = rate(|| filler.create_next())?;
    let mut random = StdRng::from_os_rng();
    let count = filler.count();
    let found = rate(|| filler.look_up(random.random_range(0..count)))?;
    println!("{} {created:.0} {found:.0}", arguments.files);
    filler.close()
}

/// How often a second `work` can be done, one after the other.
fn rate(mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let start = Instant::now();
    for _ in 0..MEASURED {
        work().context("while measuring")?;
    }
    Ok(f64::from(MEASURED) / start.elapsed().as_secs_f64())
}
