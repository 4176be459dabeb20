use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::server::Limits;
use crate::server::metrics::ConnectionMetrics;
use crate::server::places::Places;

const HEADERS: u8 = 1;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

struct World {
    client: DuplexStream,
    gate: Gate<DuplexStream>,
    activity: Arc<Activity>,
}

fn world() -> World {
    let places = Places::new(Limits::default(), ConnectionMetrics::default());
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let place = places.take(address, &CancellationToken::new()).unwrap();
    let activity = Arc::clone(place.activity());
    let (client, stream) = tokio::io::duplex(1 << 20);
    World {
        client,
        gate: Gate::new(stream, place),
        activity,
    }
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

impl World {
    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    /// Returns the bytes that the gate passes until it has no more.
    fn passed(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut buffer = vec![0; 20_000];
            let mut buffer = ReadBuf::new(&mut buffer);
            let mut cx = Context::from_waker(std::task::Waker::noop());
            match Pin::new(&mut self.gate).poll_read(&mut cx, &mut buffer) {
                Poll::Ready(Ok(())) => all.extend_from_slice(buffer.filled()),
                _ => return all,
            }
        }
    }
}

#[tokio::test]
async fn every_byte_of_http1_is_passed_and_charged() {
    let mut world = world();
    world.send(b"PRI * HTTP/1.1\r\n\r\n").await;
    assert_eq!(world.passed(), b"PRI * HTTP/1.1\r\n\r\n");
    world.send(b"GET").await;
    assert_eq!(world.passed(), b"GET");
    assert_eq!(world.activity.charge(), HTTP1_LEAST + 21 * HTTP1_FACTOR);
    world.send(&[b'x'; 100_000]).await;
    assert_eq!(world.passed().len(), 100_000);
    assert_eq!(world.activity.charge(), HTTP1_LEAST + HTTP1_MOST);
    world.activity.authenticated();
    world.send(b"more").await;
    assert_eq!(world.passed(), b"more");
    assert_eq!(world.activity.charge(), 0);
}

#[tokio::test]
async fn a_second_head_waits_until_the_first_is_done() {
    let mut world = world();
    let ping = frame(PING, 0, &[0; 8]);
    let head = frame(HEADERS, END_HEADERS, &[0x82; 10]);
    let first = [PREFACE, &ping, &head, &ping].concat();
    world.send(&[&first[..], &head, &head].concat()).await;
    assert_eq!(world.passed(), first);
    assert_eq!(world.activity.charge(), HTTP2_LEAST + 10 * HTTP2_FACTOR);
    let request = world.activity.begin_request(77);
    assert_eq!(world.passed(), b"");
    drop(request);
    assert_eq!(world.passed(), head);
    let request = world.activity.begin_request(78);
    world.activity.authenticated();
    assert_eq!(world.passed(), head);
    assert_eq!(world.activity.charge(), 0);
    drop(request);
}

#[tokio::test]
async fn a_head_of_which_no_request_came_is_the_last() {
    let mut world = world();
    let head = frame(HEADERS, END_HEADERS, &[0x82; 10]);
    world.send(&[PREFACE, &head, &head].concat()).await;
    assert_eq!(world.passed(), [PREFACE, &head].concat());
    assert!(!world.activity.ending.is_cancelled(), "h2 has had no time");
    assert_eq!(world.passed(), b"");
    assert!(world.activity.ending.is_cancelled());
}

#[tokio::test]
async fn continuations_belong_to_their_head() {
    let mut world = world();
    let head = frame(HEADERS, 0, &[0x8f; 100]);
    let next = frame(CONTINUATION, 0, &[0x8f; 16_000]);
    world.send(&[PREFACE, &head, &next].concat()).await;
    assert_eq!(world.passed(), [PREFACE, &head, &next].concat());
    assert_eq!(world.activity.charge(), HTTP2_LEAST + HTTP2_MOST);
    let last = frame(CONTINUATION, END_HEADERS, &[0x8f]);
    world.send(&last).await;
    assert_eq!(world.passed(), last);
    let _request = world.activity.begin_request(5000);
    world.send(&frame(PING, 0, &[0; 8])).await;
    world.passed();
    assert_eq!(
        world.activity.charge(),
        HTTP2_LEAST + 5000,
        "no estimate any more"
    );
}

#[tokio::test]
async fn an_evicted_connection_reads_nothing() {
    let mut world = world();
    world.send(b"GET /").await;
    world.activity.evicted.cancel();
    let read = world.gate.read_u8().await;
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
}
