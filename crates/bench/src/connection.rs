//! A client: a connection that carries one request after the other.

use anyhow::{bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::endpoint::{Endpoint, Stream};
use crate::response::{Body, Head};

/// Size of the read buffer: one TLS record. Each of a thousand watchers has one.
const BUFFER: usize = 16 * 1024;

/// Maximum number of bytes of an unexpected answer in an error message.
const SHOWN: usize = 600;

/// A keep-alive connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Box<[u8]>,
    /// Start of the bytes in the buffer that were read and not used yet.
    start: usize,
    end: usize,
    body: Body,
}

/// A complete answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    /// Opens a connection.
    pub(crate) async fn open(endpoint: &Endpoint) -> anyhow::Result<Self> {
        Ok(Self::on(endpoint.connect().await?))
    }

    /// Wraps a stream on which nothing was sent.
    pub(crate) fn on(stream: Box<dyn Stream>) -> Self {
        Self {
            stream,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            body: Body::Length(0),
        }
    }

    /// Sends a request and returns the size of the answer's body.
    ///
    /// # Errors
    /// Fails if the connection broke, or the status is not a success; then the error contains the
    /// answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> anyhow::Result<usize> {
        let mut size = 0;
        self.begin(request).await?;
        while self.advance(&mut |data| size += data.len()).await? {}
        Ok(size)
    }

    /// Sends a request and returns the answer's body.
    ///
    /// # Errors
    /// Fails like [`Connection::send`].
    pub(crate) async fn fetch(&mut self, request: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.begin(request).await?;
        while self
            .advance(&mut |data| body.extend_from_slice(data))
            .await?
        {}
        Ok(body)
    }

    /// Sends a request and returns the answer, regardless of its status.
    ///
    /// # Errors
    /// Fails if the connection broke.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        let status = self.ask(request).await?;
        let mut body = Vec::new();
        while self
            .advance(&mut |data| body.extend_from_slice(data))
            .await?
        {}
        Ok(Answer { status, body })
    }

    /// Sends a request and reads the head of the answer; [`Connection::advance`] reads the rest.
    ///
    /// # Errors
    /// Fails like [`Connection::send`].
    pub(crate) async fn begin(&mut self, request: &[u8]) -> anyhow::Result<()> {
        let status = self.ask(request).await?;
        if !(200..300).contains(&status) {
            bail!("responded {status}: {}", self.refusal().await);
        }
        Ok(())
    }

    /// Reads more of the body and passes it to `sink`. Returns false when the body is complete.
    pub(crate) async fn advance(&mut self, sink: &mut impl FnMut(&[u8])) -> anyhow::Result<bool> {
        if self.body.is_complete() {
            return Ok(false);
        }
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.read().await?;
        }
        self.start += self.body.decode(&self.buffer[self.start..self.end], sink)?;
        Ok(!self.body.is_complete())
    }

    async fn ask(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.head().await
    }

    async fn head(&mut self) -> anyhow::Result<u16> {
        ensure!(
            self.start == self.end && self.body.is_complete(),
            "a response without a request"
        );
        self.start = 0;
        self.end = 0;
        loop {
            self.read().await?;
            if let Some(head) = Head::parse(&self.buffer[..self.end])? {
                self.start = head.size;
                self.body = head.body;
                return Ok(head.status);
            }
        }
    }

    /// Reads more bytes into the buffer, after those that are not used yet.
    async fn read(&mut self) -> anyhow::Result<()> {
        ensure!(
            self.end < self.buffer.len(),
            "the head of a response is too large"
        );
        match self.stream.read(&mut self.buffer[self.end..]).await? {
            0 => bail!("the server closed the connection"),
            size => self.end += size,
        }
        Ok(())
    }

    async fn refusal(&mut self) -> String {
        let mut body = Vec::new();
        while let Ok(true) = self.advance(&mut |data| body.extend_from_slice(data)).await {}
        body.truncate(SHOWN);
        String::from_utf8_lossy(&body).into_owned()
    }
}
