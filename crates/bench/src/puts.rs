//! Raw puts into etcd, as its own clients send them, without anything around them.
//!
//! The protocol is gRPC over HTTP/2 with TLS, implemented by hand: a `PutRequest` of etcd's
//! `rpc.proto` is a key and a value. Clients share connections like those of etcd.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::try_join_all;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;

use crate::endpoint::Endpoint;
use crate::sample::Sample;

/// Number of clients that share a connection.
const SHARE: usize = 16;

/// The first byte of a string field: the field number, and wire type 2.
const KEY: u8 = 1 << 3 | 2;
const VALUE: u8 = 2 << 3 | 2;

/// The writes of one operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Writes {
    /// Number of concurrent puts. The operation is over when all are.
    pub(crate) count: usize,
    /// Size of each put, key and value, in bytes.
    pub(crate) size: usize,
}

impl Writes {
    /// Computes the writes of each of `operations` from the metrics of a member before and after.
    pub(crate) fn between(before: &str, after: &str, operations: usize) -> anyhow::Result<Self> {
        let grown = |name: &str| Ok::<_, anyhow::Error>(value(after, name)? - value(before, name)?);
        let puts = grown("etcd_mvcc_put_total")?;
        let bytes = grown("etcd_debugging_mvcc_total_put_size_in_bytes")?;
        ensure!(puts > 0.0 && operations > 0, "nothing was written");
        Ok(Self {
            count: (puts / operations as f64).round() as usize,
            size: (bytes / puts).round() as usize,
        })
    }
}

fn value(metrics: &str, name: &str) -> anyhow::Result<f64> {
    let found = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(found
        .with_context(|| format!("etcd does not report {name}"))?
        .parse()?)
}

/// A closed loop of clients that put, like [`crate::load::Load`].
pub(crate) struct Puts {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) writes: Writes,
    pub(crate) clients: usize,
    /// The prefix of the keys of this load.
    pub(crate) prefix: String,
}

impl Puts {
    /// Runs the load for `duration`. Does not measure CPU time.
    ///
    /// # Errors
    /// Fails if the connection broke, or a put was rejected.
    pub(crate) async fn run(&self, duration: Duration) -> anyhow::Result<Sample> {
        let mut connections = Vec::new();
        for _ in 0..self.clients.div_ceil(SHARE) {
            connections.push(connect(&self.endpoint).await?);
        }
        let mut sample = Sample::default();
        let started = Instant::now();
        let mut clients = JoinSet::new();
        for (index, connection) in connections.iter().cycle().take(self.clients).enumerate() {
            let puts = (0..self.writes.count).map(|put| Put {
                authority: self.endpoint.authority(),
                key: format!("{}/{index}/{put}", self.prefix),
                size: self.writes.size,
            });
            clients.spawn(client(
                connection.clone(),
                puts.collect(),
                started + duration,
            ));
        }
        while let Some(observed) = clients.join_next().await {
            sample.extend(observed??);
        }
        sample.elapsed = started.elapsed();
        Ok(sample)
    }
}

async fn connect(endpoint: &Endpoint) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TokioIo::new(endpoint.connect().await?);
    let (requests, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(connection);
    Ok(requests)
}

/// Runs one client: the concurrent puts of an operation, then those of the next.
async fn client(
    connection: SendRequest<Full<Bytes>>,
    puts: Vec<Put>,
    deadline: Instant,
) -> anyhow::Result<Sample> {
    let mut sample = Sample::default();
    let mut now = Instant::now();
    for number in 0_u64.. {
        if now >= deadline {
            break;
        }
        let each = puts.iter().map(|put| put.send(connection.clone(), number));
        try_join_all(each).await?;
        let then = Instant::now();
        sample.latencies.push(then - now);
        now = then;
    }
    Ok(sample)
}

/// A put that is repeated with another key each time.
struct Put {
    authority: String,
    key: String,
    /// Size of key and value, in bytes.
    size: usize,
}

impl Put {
    async fn send(
        &self,
        mut connection: SendRequest<Full<Bytes>>,
        number: u64,
    ) -> anyhow::Result<()> {
        let request = Request::post(format!("https://{}/etcdserverpb.KV/Put", self.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(self.message(number)))?;
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        ensure!(
            response.status() == StatusCode::OK,
            "etcd responded {}",
            response.status()
        );
        let head = response.headers().get("grpc-status").cloned();
        let body = response.into_body().collect().await?;
        let tail = body
            .trailers()
            .and_then(|fields| fields.get("grpc-status"))
            .cloned();
        let status = head.or(tail).context("etcd gave no status")?;
        ensure!(status == "0", "etcd refused a put: {status:?}");
        Ok(())
    }

    /// Returns a gRPC message: an uncompressed flag, the length, and a `PutRequest`.
    fn message(&self, number: u64) -> Bytes {
        let key = format!("{}/{number}", self.key);
        let mut request = BytesMut::with_capacity(self.size + 16);
        field(&mut request, KEY, key.as_bytes());
        field(
            &mut request,
            VALUE,
            &vec![b'x'; self.size.saturating_sub(key.len())],
        );
        let mut message = BytesMut::with_capacity(request.len() + 5);
        message.put_u8(0);
        message.put_u32(u32::try_from(request.len()).unwrap_or(u32::MAX));
        message.put(request);
        message.freeze()
    }
}

/// Appends a string field of protobuf: its tag, its length as a varint, its bytes.
fn field(message: &mut BytesMut, tag: u8, value: &[u8]) {
    message.put_u8(tag);
    let mut length = value.len();
    while length > 0x7f {
        message.put_u8((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    message.put_u8(length as u8);
    message.put_slice(value);
}

#[cfg(test)]
mod tests {
    use super::{Put, Writes};

    #[test]
    fn a_put_is_a_message_of_grpc() {
        let put = Put {
            authority: String::new(),
            key: "/k".to_owned(),
            size: 140,
        };
        let message = put.message(7);
        // Not compressed, 141 + 4 bytes follow: key of 4 bytes, value of 136.
        assert_eq!(message[..5], [0, 0, 0, 0, 145]);
        assert_eq!(message[5..11], *b"\x0a\x04/k/7");
        assert_eq!(message[11..14], [0x12, 0x88, 0x01]);
        assert_eq!(message[14..], [b'x'; 136]);
    }

    #[test]
    fn writes_are_what_a_member_has_counted() {
        let metrics = |puts: &str, bytes: &str| {
            format!(
                "# HELP etcd_mvcc_put_total a\netcd_mvcc_put_total {puts}\n\
                 etcd_debugging_mvcc_total_put_size_in_bytes {bytes}\n"
            )
        };
        let between =
            |puts, bytes| Writes::between(&metrics("10", "1e+03"), &metrics(puts, bytes), 4);
        let expect = Writes {
            count: 2,
            size: 1200,
        };
        assert_eq!(between("18", "10600").unwrap(), expect);
        assert!(between("10", "1e+03").is_err());
    }
}
