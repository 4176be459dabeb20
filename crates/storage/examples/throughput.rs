//! Measures the speed of a store and the watch cache on this machine.
//!
//! `cargo run --release -p storage --features etcd --example throughput -- [DIRECTORY | URL]`:
//! SQLite in a directory, or etcd at `http://HOST:PORT`, which keeps the written data. Runs creates
//! with 1, 16 and 64 writers, then a sustained load for the tail latency, then the start of a
//! cache. Prints a table.

#![expect(
    clippy::print_stdout,
    reason = "a program that prints what it measured"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use storage::{
    Key, Revision, Store,
    cache::{CacheBuilder, CacheOptions, Decode},
    etcd::{Etcd, EtcdOptions, TlsFiles},
    sqlite::{Sqlite, SqliteOptions},
};
use tempfile::TempDir;

/// Size of a value in bytes: about that of a kubeconfig record.
const VALUE: usize = 1200;

/// The location of the stores.
enum Place {
    Sqlite(TempDir),
    /// A URL, and the common prefix of all stores of this run.
    Etcd(String, String),
}

impl Place {
    fn of(argument: Option<String>) -> anyhow::Result<Self> {
        match argument {
            Some(url) if url.starts_with("http") => {
                let run = std::process::id();
                Ok(Self::Etcd(url, format!("/throughput-{run}")))
            }
            Some(directory) => Ok(Self::Sqlite(TempDir::new_in(directory)?)),
            None => Ok(Self::Sqlite(TempDir::new()?)),
        }
    }

    fn open(&self, name: &str) -> anyhow::Result<Arc<dyn Store>> {
        Ok(match self {
            Self::Sqlite(home) => {
                let options = SqliteOptions::default();
                Arc::new(Sqlite::open(&home.path().join(name), options)?)
            }
            Self::Etcd(url, run) => Arc::new(Etcd::open(&EtcdOptions {
                endpoints: vec![url.clone()],
                prefix: format!("{run}/{name}"),
                tls: TlsFiles::default(),
            })?),
        })
    }

    fn print_log(&self, name: &str) -> anyhow::Result<()> {
        if let Self::Sqlite(home) = self {
            let log = home.path().join(name).join("state.db-wal");
            let log = std::fs::metadata(log)?.len() >> 20;
            println!("        write-ahead log at most {log} MiB");
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let place = Place::of(std::env::args().nth(1))?;
    println!("writers  writes/s   p50 us   p99 us  p99.9 us   max us");
    for (writers, each) in [(1, 4_000), (16, 4_000), (64, 2_000), (16, 40_000)] {
        let name = format!("{writers}-{each}");
        create_many(place.open(&name)?, writers, each).await?;
        place.print_log(&name)?;
    }
    read_back(&place, "16-40000").await
}

/// Creates `each` records in each of `writers` tasks.
async fn create_many(store: Arc<dyn Store>, writers: usize, each: usize) -> anyhow::Result<()> {
    // Connecting to etcd is not measured.
    store.current_revision().await?;
    let start = Instant::now();
    let mut tasks = Vec::with_capacity(writers);
    for writer in 0..writers {
        tasks.push(tokio::spawn(create_some(store.clone(), writer, each)));
    }
    let mut times = Vec::with_capacity(writers * each);
    for task in tasks {
        times.extend(task.await??);
    }
    let elapsed = start.elapsed();
    times.sort_unstable();
    let rate = times.len() as f64 / elapsed.as_secs_f64();
    let at = |part: f64| times[(part * (times.len() - 1) as f64) as usize].as_micros();
    let [p50, p99, p999, max] = [0.5, 0.99, 0.999, 1.0].map(at);
    println!("{writers:7} {rate:9.0} {p50:8} {p99:8} {p999:9} {max:8}");
    Ok(())
}

async fn create_some(
    store: Arc<dyn Store>,
    writer: usize,
    count: usize,
) -> anyhow::Result<Vec<Duration>> {
    let value = Bytes::from(vec![b'x'; VALUE]);
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        // Random-looking names, as a server generates them.
        let name = (writer * count + number).wrapping_mul(0x9E37_79B9_7F4A_7C15) as u32;
        let key = Key::parse(&format!(
            "/example.com/things/{writer}/n{name:08x}-{number}"
        ))?;
        let start = Instant::now();
        store.create(&key, value.clone()).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}

struct KeepBytes;

impl Decode<Bytes> for KeepBytes {
    fn decode(&self, _: &Key, value: &Bytes, _: Revision) -> Bytes {
        value.clone()
    }
}

/// Opens the store again and loads all of it.
async fn read_back(place: &Place, name: &str) -> anyhow::Result<()> {
    let start = Instant::now();
    let store = place.open(name)?;
    let opened = start.elapsed();
    let mut builder = CacheBuilder::new(store, CacheOptions::default());
    let things = builder.collection("/example.com/things/", Arc::new(KeepBytes));
    builder.start().await?;
    let loaded = start.elapsed() - opened;
    let view = things.view();
    println!(
        "opened in {opened:?}, {} records cached in {loaded:?}",
        view.len()
    );
    let start = Instant::now();
    let bytes: usize = view.iter().map(|(_, value)| value.len()).sum();
    println!("{bytes} bytes visited in {:?}", start.elapsed());
    Ok(())
}
