//! How fast chunks go in, and how long a location takes, over the real socket on this machine.
//!
//! `cargo run --profile checked -p wolfdisk-chunkd --example put_bench -- SOCKET [MIB] [THREADS]` against a
//! running daemon (SHA-256 alone allows 1.76 GB/s a core).

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use parking_lot::Mutex;
use wolfdisk_proto::blocking::Connection;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::put_request::Source;
use wolfdisk_proto::v1::{self, ChunkClient};

const CHUNK_BYTES: usize = 4 << 20;
const LOCATES: usize = 20_000;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let socket = PathBuf::from(arguments.next().context("the socket's path is missing")?);
    let mib: usize = arguments.next().map_or(Ok(1024), |text| text.parse())?;
    let threads: usize = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let chunks = (mib << 20) / CHUNK_BYTES / threads;
    let start = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|number| {
            let socket = socket.clone();
            std::thread::spawn(move || put_all(&socket, number, chunks))
        })
        .collect();
    let mut ids = Vec::new();
    for worker in workers {
        ids.extend(
            worker
                .join()
                .map_err(|_| anyhow::anyhow!("a worker panicked"))??,
        );
    }
    let seconds = start.elapsed().as_secs_f64();
    let client = ChunkClient(Mutex::new(Connection::open(&socket)?));
    let status = client.status(&mut Options::default(), &v1::Empty {})?;
    let place = ids
        .iter()
        .map(|(_, place)| *place)
        .max()
        .context("no chunk was put")?;
    client.flush(
        &mut Options::default(),
        &v1::FlushRequest {
            place,
            ..Default::default()
        },
    )?;
    let durable = start.elapsed().as_secs_f64();
    let bytes = (ids.len() * CHUNK_BYTES) as f64 / 1e6;
    println!(
        "put      {:8.0} MB/s, durable {:8.0} MB/s",
        bytes / seconds,
        bytes / durable
    );
    println!(
        "store    {} chunks in {} segments",
        status.chunks, status.segments
    );
    let mut times: Vec<_> = (0..LOCATES)
        .map(|number| {
            let id = ids
                .get(number % ids.len())
                .map(|(id, _)| id.clone())
                .unwrap_or_default();
            let start = Instant::now();
            let reply = client.locate(
                &mut Options::default(),
                &v1::LocateRequest { ids: vec![id] },
            );
            reply.map(|_| start.elapsed())
        })
        .collect::<Result<_, _>>()?;
    times.sort_unstable();
    let median = times.get(LOCATES / 2).copied().unwrap_or_default();
    let slow = times.get(LOCATES * 99 / 100).copied().unwrap_or_default();
    println!("locate   median {median:?}, 99 % within {slow:?}");
    Ok(())
}

fn put_all(
    socket: &std::path::Path,
    number: usize,
    chunks: usize,
) -> anyhow::Result<Vec<(bytes::Bytes, u64)>> {
    let client = ChunkClient(Mutex::new(Connection::open(socket)?));
    let file = File::from(memfd_create(
        "bench",
        MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC,
    )?);
    file.set_len(CHUNK_BYTES as u64)?;
    file.write_all_at(&vec![number as u8; CHUNK_BYTES], 0)?;
    fcntl(
        &file,
        FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW),
    )?;
    let mut options = Options {
        send: vec![OwnedFd::from(file.try_clone()?)],
        ..Options::default()
    };
    client.attach_area(
        &mut options,
        &v1::AttachAreaRequest {
            length: CHUNK_BYTES as u64,
        },
    )?;
    let salt = std::process::id();
    let mut ids = Vec::new();
    for chunk in 0..chunks {
        file.write_all_at(format!("{salt} {number} {chunk}").as_bytes(), 0)?;
        let source = Some(Source::Area(v1::AreaSpan {
            offset: 0,
            length: CHUNK_BYTES as u32,
        }));
        let request = v1::PutRequest {
            source,
            ..Default::default()
        };
        let reply = client.put(&mut Options::default(), &request)?;
        ids.push((reply.id, reply.place));
    }
    Ok(ids)
}
