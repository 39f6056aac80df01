//! Measures the small-file path on a running node: median microseconds of each step, and the round
//! trips it took.
//!
//! `cargo run --profile checked -p wolfdisk-client --example roundtrip -- D`, with D its data directory; that of a machine
//! that joined measures the network as well.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use wolfdisk_client::{FileKind, Lookup, NewNode, OpenFlags, Reach, Volume, VolumeConfig};
use wolfdisk_common::config::{Arguments, Config};

const ROUNDS: usize = 2000;
const LARGE_BYTES: usize = 256 * 1024 * 1024;

fn node(kind: FileKind) -> NewNode {
    NewNode {
        kind,
        permissions: 0o755,
        umask: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        symlink: Bytes::new(),
    }
}

fn report(what: &str, mut samples: Vec<f64>) {
    samples.sort_by(f64::total_cmp);
    let at = |share: f64| {
        samples
            .get((samples.len() as f64 * share) as usize)
            .copied()
            .unwrap_or(0.0)
    };
    println!(
        "{what:24} median {:8.1} us   p99 {:8.1} us",
        at(0.5),
        at(0.99)
    );
}

fn timed<T>(samples: &mut Vec<f64>, body: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = body();
    samples.push(start.elapsed().as_secs_f64() * 1e6);
    value
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let Some(data_dir) = arguments.next() else {
        return Err("usage: roundtrip DATA_DIRECTORY".into());
    };
    let config = Config::load(&Arguments {
        data_dir: Some(data_dir),
        ..Arguments::default()
    })?;
    let reach = Reach::of(&config)?;
    let volume = Volume::connect(VolumeConfig::new(reach.clone(), "ctl", "roundtrip"))?;
    let name = format!("roundtrip-{}", std::process::id());
    let directory = volume.create(volume.root(), name.as_bytes(), node(FileKind::Directory))?;
    let directory = directory.attr.ino;
    small_files(&volume, directory)?;
    large_file(&volume, directory)?;
    second_mount(
        &volume,
        VolumeConfig::new(reach, "ctl", "second"),
        directory,
    )?;
    for index in 0..ROUNDS {
        volume.unlink(directory, format!("f{index}").as_bytes())?;
    }
    volume.unlink(directory, b"large")?;
    volume.rmdir(volume.root(), name.as_bytes())?;
    for (name, count) in volume.counters() {
        println!("  {name:24} {count}");
    }
    volume.shutdown()?;
    Ok(())
}

fn small_files(
    volume: &Volume,
    directory: wolfdisk_common::ids::Ino,
) -> Result<(), Box<dyn std::error::Error>> {
    let (mut lookups, mut creates, mut writes, mut syncs) = (vec![], vec![], vec![], vec![]);
    let (mut opens, mut reads) = (vec![], vec![]);
    let body = vec![7u8; 4096];
    let flags = OpenFlags {
        read: true,
        write: true,
        ..OpenFlags::default()
    };
    for index in 0..ROUNDS {
        let name = format!("f{index}");
        let found = timed(&mut lookups, || volume.lookup(directory, name.as_bytes()))?;
        assert!(matches!(found, Lookup::Missing { .. }));
        let made = timed(&mut creates, || {
            volume.create_open(directory, name.as_bytes(), node(FileKind::File), flags)
        })?;
        timed(&mut writes, || {
            volume.write(made.1.handle, 0, &body, false)?;
            volume.flush(made.1.handle, None)
        })?;
        if index % 20 == 0 {
            volume.write(made.1.handle, 0, &body, false)?;
            timed(&mut syncs, || volume.fsync(made.1.handle, false))?;
        }
        volume.release(made.1.handle)?;
        let opened = timed(&mut opens, || volume.open(made.0.attr.ino, flags))?;
        let data = timed(&mut reads, || volume.read(opened.handle, 0, 4096))?;
        assert_eq!(data.contiguous(&mut Vec::new())?, body);
        volume.release(opened.handle)?;
    }
    report("lookup, missing", lookups);
    report("create and open", creates);
    report("write 4 KiB and flush", writes);
    report("fsync of 4 KiB", syncs);
    report("open again", opens);
    report("read 4 KiB", reads);
    Ok(())
}

fn large_file(
    volume: &Volume,
    directory: wolfdisk_common::ids::Ino,
) -> Result<(), Box<dyn std::error::Error>> {
    let flags = OpenFlags {
        read: true,
        write: true,
        ..OpenFlags::default()
    };
    let (_, opened) = volume.create_open(directory, b"large", node(FileKind::File), flags)?;
    let mut block = vec![0u8; 1024 * 1024];
    let start = Instant::now();
    for index in 0..LARGE_BYTES / block.len() {
        block.fill((index % 251) as u8);
        volume.write(opened.handle, (index * block.len()) as u64, &block, false)?;
    }
    volume.fsync(opened.handle, false)?;
    let rate = |start: Instant| LARGE_BYTES as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!("write and fsync          {:8.0} MB/s", rate(start));
    let start = Instant::now();
    let mut scratch = Vec::new();
    for index in 0..LARGE_BYTES / block.len() {
        let data = volume.read(opened.handle, (index * block.len()) as u64, block.len())?;
        let bytes = data.contiguous(&mut scratch)?;
        assert!(
            bytes.len() == block.len() && bytes.iter().all(|byte| *byte == (index % 251) as u8)
        );
    }
    println!("read                     {:8.0} MB/s", rate(start));
    volume.release(opened.handle)?;
    Ok(())
}

/// What one mount changes the other sees at once, with caches warm.
fn second_mount(
    first: &Volume,
    config: VolumeConfig,
    directory: wolfdisk_common::ids::Ino,
) -> Result<(), Box<dyn std::error::Error>> {
    let second = Volume::connect(config)?;
    let flags = OpenFlags {
        read: true,
        write: true,
        ..OpenFlags::default()
    };
    let mut samples = vec![];
    for index in 0..200 {
        let name = format!("shared{index}");
        assert!(matches!(
            second.lookup(directory, name.as_bytes())?,
            Lookup::Missing { .. }
        ));
        let made = timed(&mut samples, || {
            first.create_open(directory, name.as_bytes(), node(FileKind::File), flags)
        })?;
        first.write(made.1.handle, 0, name.as_bytes(), false)?;
        first.flush(made.1.handle, None)?;
        let Lookup::Found(entry) = second.lookup(directory, name.as_bytes())? else {
            return Err("a name that was created is missing on the other mount".into());
        };
        let opened = second.open(entry.attr.ino, flags)?;
        let data = second.read(opened.handle, 0, 100)?;
        assert_eq!(data.contiguous(&mut Vec::new())?, name.as_bytes());
        second.write(opened.handle, 0, b"S", false)?;
        second.flush(opened.handle, None)?;
        let data = first.read(made.1.handle, 0, 1)?;
        assert_eq!(data.contiguous(&mut Vec::new())?, b"S");
        first.release(made.1.handle)?;
        second.release(opened.handle)?;
        second.unlink(directory, name.as_bytes())?;
        assert!(matches!(
            first.lookup(directory, name.as_bytes())?,
            Lookup::Missing { .. }
        ));
    }
    report("create, name cached away", samples);
    second.shutdown()?;
    Ok(())
}
