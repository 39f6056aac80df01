//! Loads an S3 server over many connections at once, checks every byte that comes back, and measures how fast it was.
//!
//! Requests are signed in their query with an unsigned payload, so that what is measured is the server and not the
//! hashing of its client. Prints one JSON object: for each row the operations, bytes, keys and percentiles.

#![forbid(unsafe_code)]

mod client;
mod content;
mod rows;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use rusty_s3::{Bucket, Credentials, UrlStyle};

use client::Server;
use content::Contents;
use rows::{Load, Row};

#[derive(Debug, Parser)]
#[command(
    about = "Load an S3 server, check every byte, and measure. Access key and secret come from the environment"
)]
struct Arguments {
    /// The server, as http://HOST:PORT
    endpoint: String,
    /// Bucket to work in; it is made if it is missing
    #[arg(long, default_value = "wolfdisk-load")]
    bucket: String,
    /// Region that requests are signed for
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Connections at once, one run for each
    #[arg(long, value_delimiter = ',', default_values_t = [8, 32])]
    connections: Vec<usize>,
    /// Seconds that each row is measured
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Keys of the listing; 0: no listing. They stay for the next run
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// Only these rows: put-4k, get-4k, delete, put-8m, get-8m, list
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let credentials =
        Credentials::from_env().context("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")?;
    let endpoint = arguments
        .endpoint
        .parse()
        .context("the endpoint is not a URL")?;
    let bucket = Bucket::new(endpoint, UrlStyle::Path, arguments.bucket, arguments.region)?;
    let server = Server::new(bucket, credentials)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let load = Load {
        server,
        contents: Contents::new(),
        time: Duration::from_secs(arguments.seconds),
    };
    let wanted =
        |row: &str| arguments.only.is_empty() || arguments.only.iter().any(|name| name == row);
    let measured = runtime.block_on(async {
        load.server.make_bucket().await?;
        let mut measured: BTreeMap<String, Row> = BTreeMap::new();
        for &connections in &arguments.connections {
            for (size, name) in [(4 << 10, "4k"), (8 << 20, "8m")] {
                let (put, get) = (format!("put-{name}"), format!("get-{name}"));
                let deletes = size == 4 << 10 && wanted("delete");
                if !(wanted(&put) || wanted(&get) || deletes) {
                    continue;
                }
                let (stored, row) = load.put(connections, size).await.context(put.clone())?;
                measured.insert(format!("{put} x{connections}"), row);
                if wanted(&get) {
                    let row = load
                        .get(connections, size, &stored)
                        .await
                        .context(get.clone())?;
                    measured.insert(format!("{get} x{connections}"), row);
                }
                let row = load.delete(connections, stored).await.context("delete")?;
                if deletes {
                    measured.insert(format!("delete x{connections}"), row);
                }
            }
        }
        if arguments.keys > 0 && wanted("list") {
            load.fill(arguments.keys)
                .await
                .context("filling the listing")?;
            measured.insert(
                "list x1".to_owned(),
                load.list(arguments.keys).await.context("list")?,
            );
        }
        anyhow::Ok(measured)
    })?;
    let shown: BTreeMap<&String, serde_json::Value> = measured
        .iter()
        .map(|(name, row)| (name, row.shown()))
        .collect();
    println!("{}", serde_json::to_string_pretty(&shown)?);
    Ok(())
}
