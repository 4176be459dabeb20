//! Connections that are diverted before TLS is accepted, over raw sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use apiserver::server::{Diversion, Diverted, Rewound};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Client, Version};
use super::identity::Identity;
use super::{Listener, peers};

/// A diversion of the name `taken.example` that echoes all bytes, then sends `bye`.
struct Echo;

impl Diversion for Echo {
    fn divert(&self, server_name: &str, _from: SocketAddr) -> Option<Diverted> {
        (server_name == "taken.example").then(|| -> Diverted {
            Box::new(|stream, stop| {
                Box::pin(async move {
                    stop.run_until_cancelled(echo(stream)).await;
                })
            })
        })
    }
}

async fn echo(mut stream: Rewound) {
    let mut sent = Vec::new();
    stream.read_to_end(&mut sent).await.unwrap();
    stream.write_all(&sent).await.unwrap();
    stream.write_all(b"bye").await.unwrap();
    stream.shutdown().await.unwrap();
}

async fn diverting(identity: &Identity) -> Listener {
    Listener::with(identity, peers(), |server| server.diverting(Arc::new(Echo))).await
}

/// Returns the ClientHello of a client that requests this name. It has no server name if `name` is
/// an IP address.
fn hello(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Splits the message into records of at most this many bytes (RFC 8446, section 5.1).
fn in_records(hello: &[u8], size: usize) -> Vec<u8> {
    let (head, message) = hello.split_at(5);
    let record = |part: &[u8]| {
        let length = u16::try_from(part.len()).unwrap().to_be_bytes();
        [&head[..3], &length, part].concat()
    };
    message.chunks(size).flat_map(record).collect()
}

/// Sends `at_once` bytes at a time, closes the sending side, and returns the received bytes.
async fn exchange(listener: &Listener, bytes: &[u8], at_once: usize) -> Vec<u8> {
    let stream = TcpStream::connect(listener.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let sending = async {
        for part in bytes.chunks(at_once) {
            // The server may have closed the connection already.
            if writer.write_all(part).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        let _ = writer.shutdown().await;
    };
    let mut read = Vec::new();
    let (_, result) = tokio::join!(sending, reader.read_to_end(&mut read));
    // The server may also reset the connection because of bytes that it does not read.
    let _ = result;
    read
}

#[tokio::test]
async fn a_connection_is_taken_with_every_byte_of_it() {
    let listener = diverting(&Identity::new("localhost")).await;
    let (plain, shouted) = (hello("taken.example"), hello("TAKEN.example"));
    let fragmented = in_records(&plain, 7);
    let beyond = [plain.as_slice(), b"\x14\x03\x03\x00\x01\x01and more"].concat();
    for (sent, at_once) in [
        (&plain, usize::MAX),
        (&plain, 1),
        (&shouted, 100),
        (&fragmented, usize::MAX),
        (&fragmented, 3),
        (&beyond, usize::MAX),
    ] {
        let expected = [sent.as_slice(), b"bye"].concat();
        assert_eq!(exchange(&listener, sent, at_once).await, expected);
    }
}

#[tokio::test]
async fn other_names_and_none_are_served() {
    let identity = Identity::new("localhost");
    let listener = diverting(&identity).await;
    for (version, expected) in [
        (Version::Http1, "HTTP/1.1 127.0.0.1 0 localhost"),
        (Version::Http2, "HTTP/2.0 127.0.0.1 0 localhost"),
    ] {
        let client = Client::connect(listener.address, &identity, None, version).await;
        assert_eq!(client.unwrap().text("/").await, expected);
    }
    // The start of a handshake: a record of type 22.
    let answer = exchange(&listener, &hello("127.0.0.1"), usize::MAX).await;
    assert_eq!(answer.first(), Some(&22));
}

#[tokio::test]
async fn what_is_no_hello_is_refused() {
    let listener = diverting(&Identity::new("localhost")).await;
    let mut cut = hello("taken.example");
    cut.truncate(cut.len() - 1);
    // A message with an announced length of 60 000 bytes that never arrives completely.
    let long = in_records(
        &[&[22, 3, 1, 0, 0, 1, 0, 0xea, 0x60][..], &[0; 59_000]].concat(),
        4096,
    );
    let garbage = b"GET / HTTP/1.1\r\nHost: taken.example\r\n\r\n".to_vec();
    // The response is at most an alert, which is a record of type 21.
    for sent in [cut, long, garbage, Vec::new()] {
        let answer = exchange(&listener, &sent, usize::MAX).await;
        assert!(matches!(answer.as_slice(), [] | [21, ..]), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hello_that_does_not_end_is_cut_off() {
    let listener = diverting(&Identity::new("localhost")).await;
    let mut slow = TcpStream::connect(listener.address).await.unwrap();
    let hello = hello("taken.example");
    slow.write_all(&hello[..hello.len() - 1]).await.unwrap();
    let mut read = Vec::new();
    assert_eq!(slow.read_to_end(&mut read).await.unwrap(), 0);
}

#[tokio::test]
async fn the_end_of_the_server_ends_what_was_taken() {
    let listener = diverting(&Identity::new("localhost")).await;
    let mut open = TcpStream::connect(listener.address).await.unwrap();
    open.write_all(&hello("taken.example")).await.unwrap();
    listener.stop.cancel();
    listener.running.await.unwrap();
    let mut read = Vec::new();
    // The connection is reset if it was still unread.
    let _ = open.read_to_end(&mut read).await;
    assert_eq!(read, b"");
}
