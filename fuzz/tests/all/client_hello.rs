//! The beginning of a TLS connection, which is read before it is known whom it is for.

use std::io::Cursor;

use fuzz::Target;
use rustls::server::Acceptor;

/// A ClientHello of OpenSSL for `a.example`, as it is on the wire.
const HELLO: &[u8] = include_bytes!("../../seeds/client_hello.bin");

#[test]
fn client_hello() {
    let target = Target {
        name: "client_hello",
        seeds: &[
            HELLO,
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x00\x02\x01\x00",
        ],
        dictionary: &["\u{16}\u{3}\u{1}", "\0\0", "a.example", "\0\u{10}", "h2"],
    };
    target.run(|input| {
        let mut acceptor = Acceptor::default();
        let mut bytes = Cursor::new(input);
        loop {
            match acceptor.read_tls(&mut bytes) {
                Ok(0) => return "more".to_owned(),
                Ok(_) => {}
                Err(error) => return error.kind().to_string(),
            }
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let hello = accepted.client_hello();
                    let named = hello.server_name().is_some();
                    return format!("{named} {}", hello.alpn().into_iter().flatten().count());
                }
                Err((error, _)) => return format!("{error:?}").chars().take(40).collect(),
            }
        }
    });
}
