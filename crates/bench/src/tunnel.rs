//! One upgraded connection that carries bytes to its client, as fast as all components permit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::endpoint::{Endpoint, Stream};
use crate::process::Meter;
use crate::sample::Sample;

/// Size of one operation, in bytes.
const UNIT: usize = 1 << 20;

/// Size of the read buffer, in bytes.
const BUFFER: usize = 64 * 1024;

/// Maximum size of the head of an answer.
const HEAD: usize = 4096;

/// An endless stream of bytes after an upgrade.
pub(crate) struct Tunnel {
    /// The server.
    pub(crate) endpoint: Arc<Endpoint>,
    /// The upgrade request.
    pub(crate) request: Bytes,
}

impl Tunnel {
    /// Opens the tunnel and reads for `duration`. An operation is a MiB.
    ///
    /// # Errors
    /// Fails if the upgrade is rejected, or the tunnel ends.
    pub(crate) async fn run(&self, duration: Duration, server: Meter) -> anyhow::Result<Sample> {
        let mut stream = self.open().await?;
        let mut sample = Sample::default();
        let mut buffer = vec![0; BUFFER];
        let cpu = server.cpu()?;
        let started = Instant::now();
        let mut now = started;
        while started.elapsed() < duration {
            let mut left = UNIT;
            while left > 0 {
                let room = left.min(buffer.len());
                let read = stream.read(&mut buffer[..room]).await?;
                ensure!(read > 0, "the tunnel ended");
                left -= read;
            }
            let then = Instant::now();
            sample.latencies.push(then - now);
            sample.bytes += UNIT as u64;
            now = then;
        }
        sample.elapsed = started.elapsed();
        sample.cpu = server.cpu()?.saturating_sub(cpu);
        Ok(sample)
    }

    /// Sends the upgrade request and reads the head of the answer, without a byte beyond it.
    async fn open(&self) -> anyhow::Result<Box<dyn Stream>> {
        let mut stream = self.endpoint.connect().await?;
        stream.write_all(&self.request).await?;
        stream.flush().await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head);
        ensure!(
            head.starts_with("HTTP/1.1 101 "),
            "not upgraded; responded {head:?}"
        );
        Ok(stream)
    }
}
