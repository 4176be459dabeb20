//! A client that sends raw bytes and reads HTTP/1.1 answers.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Timeout of every single step of a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One end of a connection, read byte by byte.
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    pub(crate) buffer: Vec<u8>,
}

/// A client's connection.
pub(crate) type Client = Wire<TlsStream<TcpStream>>;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    /// The header lines in lower case, without `date`.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Answer {
    /// Returns the message of a `Status`.
    pub(crate) fn message(&self) -> String {
        let status: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(status["kind"], "Status", "{}", self.body);
        assert_eq!(status["code"], self.code, "{}", self.body);
        status["message"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn summary(&self) -> (u16, String) {
        (self.code, self.message())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        let mut headers = self.headers.iter();
        headers.find_map(|line| line.strip_prefix(&prefix))
    }
}

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Reads available bytes, waiting for some. Returns false at the end of the connection.
    pub(crate) async fn fill(&mut self) -> bool {
        let mut chunk = vec![0; 64 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut chunk));
        let read = read.await.expect("something comes or the connection ends");
        let read = read.unwrap_or(0);
        self.buffer.extend_from_slice(&chunk[..read]);
        read > 0
    }

    /// Reads the head of a message. Returns `None` at the end of the connection.
    pub(crate) async fn head(&mut self) -> Option<String> {
        loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.buffer.drain(..end + 4).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Reads this many bytes.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.fill().await {}
        let there = count.min(self.buffer.len());
        self.buffer.drain(..there).collect()
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads a line, without its line break.
    pub(crate) async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let mut line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                line.truncate(end);
                return String::from_utf8(line).unwrap();
            }
            assert!(self.fill().await, "the connection ended within a line");
        }
    }

    /// Reads a chunk of a chunked body. Returns an empty string for the last one.
    pub(crate) async fn chunk(&mut self) -> String {
        let size = self.line().await;
        let size = usize::from_str_radix(&size, 16).unwrap();
        if size == 0 {
            return String::new();
        }
        let data = self.take(size).await;
        assert_eq!(self.line().await, "");
        String::from_utf8(data).unwrap()
    }

    /// Reads a body as framed by its head. If `until_end`, a body without framing ends with the
    /// connection.
    pub(crate) async fn body(&mut self, head: &str, until_end: bool) -> String {
        let head = head.to_ascii_lowercase();
        if head.contains("transfer-encoding: chunked") {
            let mut body = String::new();
            loop {
                let chunk = self.chunk().await;
                if chunk.is_empty() {
                    // Trailers, then an empty line.
                    while !self.line().await.is_empty() {}
                    return body;
                }
                body.push_str(&chunk);
            }
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let body = match (length, until_end) {
            (Some(length), _) => self.take(length.trim().parse().unwrap()).await,
            (None, true) => self.rest().await,
            (None, false) => Vec::new(),
        };
        String::from_utf8(body).unwrap()
    }

    /// Reads the next answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await.expect("there is an answer");
        let body = self.body(&head, true).await;
        let mut lines = head.lines();
        let first = lines.next().unwrap();
        let code = first.split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.map(str::to_ascii_lowercase);
        let headers = headers.filter(|line| !line.is_empty() && !line.starts_with("date: "));
        Answer {
            code,
            headers: headers.collect(),
            body,
        }
    }
}
