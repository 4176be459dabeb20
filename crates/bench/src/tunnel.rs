//! One upgraded connection that carries bytes to its client, as fast as all on the way can.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::endpoint::{Endpoint, Stream};
use crate::process::Meter;
use crate::sample::Sample;

/// What counts as one operation, in bytes.
const UNIT: usize = 1 << 20;

/// Bytes read at once.
const BUFFER: usize = 64 * 1024;

/// The head of an answer is shorter.
const HEAD: usize = 4096;

/// Bytes without end behind an upgrade.
pub(crate) struct Tunnel {
    /// Where to.
    pub(crate) endpoint: Arc<Endpoint>,
    /// What asks for the upgrade.
    pub(crate) request: Bytes,
}

impl Tunnel {
    /// Opens it and reads for `duration`: an operation is a MiB.
    ///
    /// # Errors
    /// The upgrade is refused, or the tunnel ends.
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

    /// Asks for the upgrade and reads the head of the answer, and not a byte beyond it.
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
            "not upgraded, but answered {head:?}"
        );
        Ok(stream)
    }
}
