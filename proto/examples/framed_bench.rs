//! Measures one round trip over a Unix socket between two processes, framed and by gRPC.
//!
//! ```text
//! cargo run --release -p wolfdisk-proto --example framed_bench
//! ```
//!
//! Prints the median and the 99th percentile in microseconds; ends with an error if the framed median
//! is above the 25 us that small-file work was promised.

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use wolfdisk_proto::blocking::Pool;
use wolfdisk_proto::call::Options;
use wolfdisk_proto::v1::{self, ChunkClient, chunk_client::ChunkClient as GrpcClient};

const WARM_UP: usize = 2_000;
const CALLS: usize = 20_000;
const PROMISED_US: f64 = 25.0;

fn main() {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("serve"), Some(path)) => serve(Path::new(&path)),
        _ => measure(),
    }
}

/// Serves until the standard input ends.
fn serve(path: &Path) {
    let _server = common::Server::start(path);
    println!("ready");
    let mut rest = Vec::new();
    std::io::stdin()
        .read_to_end(&mut rest)
        .expect("standard input");
}

struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("the server ends");
    }
}

fn measure() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("bench.sock");
    let own = std::env::current_exe().expect("a program");
    let child = Command::new(own)
        .arg("serve")
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a server");
    let mut serving = Serving(child);
    let mut line = [0; 6];
    let said = serving
        .0
        .stdout
        .as_mut()
        .expect("a pipe")
        .read_exact(&mut line);
    said.expect("the server is ready");

    let client = ChunkClient(Pool::new(path.clone()));
    let framed = timed(|| {
        client
            .hello(&mut Options::default(), &v1::Empty {})
            .expect("an answer");
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let mut client = runtime.block_on(async {
        let address = format!("unix://{}", path.display());
        let endpoint = tonic::transport::Endpoint::from_shared(address).expect("an address");
        GrpcClient::new(endpoint.connect().await.expect("a connection"))
    });
    let grpc = timed(|| {
        runtime
            .block_on(client.hello(v1::Empty {}))
            .expect("an answer");
    });
    for (name, figures) in [("framed", &framed), ("gRPC", &grpc)] {
        let at = |part: f64| figures[((figures.len() - 1) as f64 * part) as usize];
        println!(
            "{name:8} median {:6.1} us   99 % {:6.1} us",
            at(0.5),
            at(0.99)
        );
    }
    drop(serving);
    if framed[framed.len() / 2] > PROMISED_US {
        eprintln!("the framed median is above {PROMISED_US} us");
        std::process::exit(1);
    }
}

/// Microseconds of each call, sorted.
fn timed(mut call: impl FnMut()) -> Vec<f64> {
    (0..WARM_UP).for_each(|_| call());
    let mut figures: Vec<f64> = (0..CALLS)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    figures
}
