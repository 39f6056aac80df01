//! What is measured: each row by a number of connections that take turns at a counter until the time is over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::client::{Connection, Server};
use crate::content::Contents;

/// Connections that put the keys of the listing, which is not measured.
const FILLERS: usize = 32;
/// Below it lie the keys of the listing.
const LISTED: &str = "list/";
/// Their size.
const LISTED_BYTES: usize = 16;

/// See the module.
#[derive(Debug)]
pub struct Load {
    /// Whom it loads.
    pub server: Server,
    /// With what.
    pub contents: Contents,
    /// How long each row takes.
    pub time: Duration,
}

/// What came out of a row.
#[derive(Debug)]
pub struct Row {
    /// Of each operation.
    latencies: Vec<Duration>,
    time: Duration,
    /// Of all operations.
    bytes: u64,
    /// Keys that were listed, where that is what counts.
    keys: Option<u64>,
}

/// Objects that a row stored: numbers from 0 to this, of a size that is in their names.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    count: u64,
    size: usize,
}

impl Stored {
    fn key(self, number: u64) -> String {
        // In 256 directories, as programs that store many objects do.
        format!("load/{}/{:02x}/{number}", self.size, number % 256)
    }
}

impl Row {
    /// For people and programs.
    pub fn shown(&self) -> Value {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        let percentile = |share: usize| {
            let at = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
            sorted.get(at).map(|time| time.as_secs_f64() * 1000.0)
        };
        let per_second = |count: f64| count / self.time.as_secs_f64();
        let keys = self.keys.map(|keys| per_second(keys as f64));
        json!({
            "operations_per_s": per_second(sorted.len() as f64),
            "mb_per_s": per_second(self.bytes as f64) / 1e6,
            "keys_per_s": keys,
            "p50_ms": percentile(50),
            "p99_ms": percentile(99),
        })
    }
}

impl Load {
    /// Puts objects until the time is over.
    ///
    /// # Errors
    /// One was not stored.
    pub async fn put(&self, connections: usize, size: usize) -> anyhow::Result<(Stored, Row)> {
        let next = AtomicU64::new(0);
        let stored = Stored {
            count: u64::MAX,
            size,
        };
        let row = self.run(
            connections,
            size,
            async |connection: &mut Connection<'_>, time| {
                if time > self.time {
                    return Ok(false);
                }
                let number = next.fetch_add(1, Ordering::Relaxed);
                connection
                    .put(&stored.key(number), self.contents.of(number, size))
                    .await?;
                Ok(true)
            },
        );
        let row = row.await?;
        Ok((
            Stored {
                count: next.into_inner(),
                size,
            },
            row,
        ))
    }

    /// Gets them, over and over, until the time is over.
    ///
    /// # Errors
    /// One has wrong bytes.
    pub async fn get(
        &self,
        connections: usize,
        size: usize,
        stored: &Stored,
    ) -> anyhow::Result<Row> {
        let next = AtomicU64::new(0);
        self.run(
            connections,
            size,
            async |connection: &mut Connection<'_>, time| {
                if time > self.time {
                    return Ok(false);
                }
                // Not in the order in which they were put.
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let number = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) % stored.count.max(1);
                connection
                    .get(&stored.key(number), &self.contents.of(number, size))
                    .await?;
                Ok(true)
            },
        )
        .await
    }

    /// Deletes all of them.
    ///
    /// # Errors
    /// One is there afterwards.
    pub async fn delete(&self, connections: usize, stored: Stored) -> anyhow::Result<Row> {
        let next = AtomicU64::new(0);
        let row = self.run(
            connections,
            0,
            async |connection: &mut Connection<'_>, _| {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= stored.count {
                    return Ok(false);
                }
                connection.delete(&stored.key(number)).await?;
                Ok(true)
            },
        );
        let row = row.await?;
        let left = self
            .server
            .connect()
            .await?
            .list(&format!("load/{}/", stored.size), None)
            .await?;
        ensure!(left.contents.is_empty(), "deleted objects are still listed");
        Ok(row)
    }

    /// Sees to it that there are so many keys to list.
    ///
    /// # Errors
    /// One was not stored.
    pub async fn fill(&self, keys: u64) -> anyhow::Result<()> {
        if self.walk(keys).await.is_ok() {
            return Ok(());
        }
        let next = AtomicU64::new(0);
        self.run(
            FILLERS,
            LISTED_BYTES,
            async |connection: &mut Connection<'_>, _| {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= keys {
                    return Ok(false);
                }
                connection
                    .put(&listed(number), self.contents.of(number, LISTED_BYTES))
                    .await?;
                Ok(true)
            },
        )
        .await
        .map(drop)
    }

    /// Lists all of them, page by page, as a client does.
    ///
    /// # Errors
    /// One is missing, twice there or out of order.
    pub async fn list(&self, keys: u64) -> anyhow::Result<Row> {
        let (start, latencies) = (Instant::now(), self.walk(keys).await?);
        Ok(Row {
            latencies,
            time: start.elapsed(),
            bytes: 0,
            keys: Some(keys),
        })
    }

    async fn walk(&self, keys: u64) -> anyhow::Result<Vec<Duration>> {
        let mut connection = self.server.connect().await?;
        let (mut latencies, mut token, mut seen) = (Vec::new(), None, 0);
        loop {
            let start = Instant::now();
            let page = connection.list(LISTED, token.take()).await?;
            latencies.push(start.elapsed());
            for entry in &page.contents {
                ensure!(
                    entry.key == listed(seen),
                    "{} is listed where {} belongs",
                    entry.key,
                    listed(seen)
                );
                seen += 1;
            }
            token = page.next_continuation_token;
            if token.is_none() {
                ensure!(seen == keys, "{seen} keys are listed of {keys}");
                return Ok(latencies);
            }
        }
    }

    /// Has each of `connections` repeat `step` until that says that it is over.
    async fn run<F>(&self, connections: usize, size: usize, step: F) -> anyhow::Result<Row>
    where
        F: AsyncFn(&mut Connection<'_>, Duration) -> anyhow::Result<bool>,
    {
        let opened = try_join_all((0..connections).map(|_| self.server.connect())).await?;
        let start = Instant::now();
        let work = opened.into_iter().map(async |mut connection| {
            let mut latencies = Vec::new();
            loop {
                let begun = Instant::now();
                if !step(&mut connection, start.elapsed()).await? {
                    return anyhow::Ok(latencies);
                }
                latencies.push(begun.elapsed());
            }
        });
        let latencies: Vec<Duration> = try_join_all(work).await?.into_iter().flatten().collect();
        let bytes = latencies.len() as u64 * size as u64;
        Ok(Row {
            latencies,
            time: start.elapsed(),
            bytes,
            keys: None,
        })
    }
}

/// A key of the listing, in the order of their numbers.
fn listed(number: u64) -> String {
    format!("{LISTED}{:06}/{:09}", number / 1000, number)
}
