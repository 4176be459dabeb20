//! Answers as received: head, framing, body (RFC 9112).

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// Maximum size of a body. A larger body is an error of the server.
const LARGEST_BODY: u64 = 256 << 20;

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in the order in which they were received, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

/// An answer whose body has not been read yet.
pub struct Stream {
    /// The status code.
    pub status: u16,
    /// The headers in the order in which they were received, with names in lower case.
    pub headers: Vec<(String, String)>,
    body: BufReader<Body>,
}

struct Body {
    input: BufReader<Box<dyn Read + Send>>,
    left: Left,
}

/// The rest of a body.
enum Left {
    Bytes(u64),
    /// The rest of a chunk, which is followed by more chunks.
    Chunk(u64),
    UntilClosed,
}

impl Answer {
    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| self.text())
    }

    /// Returns the first header with this name, which must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl Stream {
    pub(super) fn read(mut input: BufReader<Box<dyn Read + Send>>) -> anyhow::Result<Self> {
        let (status, headers) = read_head(&mut input)?;
        let left = left(status, &headers)?;
        Ok(Self {
            status,
            headers,
            body: BufReader::new(Body { input, left }),
        })
    }

    /// Returns the next line of the body; `None` at its proper end.
    ///
    /// # Errors
    /// Fails if the connection broke, or nothing was received for a long time.
    pub fn next_line(&mut self) -> anyhow::Result<Option<String>> {
        let mut line = String::new();
        let length = self.body.read_line(&mut line)?;
        Ok((length > 0).then_some(line))
    }

    /// Returns the next line as JSON, such as an event of a watch.
    pub fn next_event(&mut self) -> anyhow::Result<Option<Value>> {
        match self.next_line()? {
            Some(line) => Ok(Some(serde_json::from_str(&line).context(line)?)),
            None => Ok(None),
        }
    }

    /// Reads the rest of the body.
    pub fn finish(mut self) -> anyhow::Result<Answer> {
        let mut body = Vec::new();
        self.body
            .by_ref()
            .take(LARGEST_BODY)
            .read_to_end(&mut body)?;
        Ok(Answer {
            status: self.status,
            headers: self.headers,
            body,
        })
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.left {
            Left::Bytes(left) => {
                let length = read_part(&mut self.input, buffer, left)?;
                self.left = Left::Bytes(left - length as u64);
                Ok(length)
            }
            Left::Chunk(0) => {
                let size = chunk_size(&mut self.input)?;
                self.left = match size {
                    0 => Left::Bytes(0),
                    size => Left::Chunk(size),
                };
                self.read(buffer)
            }
            Left::Chunk(left) => {
                let length = read_part(&mut self.input, buffer, left)?;
                self.left = Left::Chunk(left - length as u64);
                if left == length as u64 {
                    read_line(&mut self.input)?;
                }
                Ok(length)
            }
            Left::UntilClosed => match self.input.read(buffer) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
                read => read,
            },
        }
    }
}

/// Reads up to `left` bytes. An earlier end of the input is an error.
fn read_part(input: &mut impl Read, buffer: &mut [u8], left: u64) -> io::Result<usize> {
    let wanted = buffer
        .len()
        .min(usize::try_from(left).unwrap_or(usize::MAX));
    let length = input.read(&mut buffer[..wanted])?;
    if length == 0 && wanted > 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(length)
}

fn chunk_size(input: &mut impl BufRead) -> io::Result<u64> {
    let line = read_line(input)?;
    let size = u64::from_str_radix(&line, 16)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("a chunk of {line:?}")))?;
    if size == 0 {
        while !read_line(input)?.is_empty() {}
    }
    Ok(size)
}

fn read_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn read_head(input: &mut impl BufRead) -> anyhow::Result<(u16, Vec<(String, String)>)> {
    let line = read_line(input)?;
    let code = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    let code = code.with_context(|| format!("no HTTP/1.1: {line:?}"))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(input)?;
        if line.is_empty() {
            return Ok((code.parse()?, headers));
        }
        let (name, value) = line.split_once(':').with_context(|| line.clone())?;
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
}

fn left(status: u16, headers: &[(String, String)]) -> anyhow::Result<Left> {
    let value = |name: &str| {
        let mut values = headers.iter().filter(|(known, _)| known == name);
        values.next().map(|(_, value)| value.as_str())
    };
    ensure!(status >= 200, "a preliminary answer");
    match (value("transfer-encoding"), value("content-length")) {
        _ if matches!(status, 204 | 304) => Ok(Left::Bytes(0)),
        (Some("chunked"), None) => Ok(Left::Chunk(0)),
        (None, Some(length)) => Ok(Left::Bytes(length.parse()?)),
        (None, None) => Ok(Left::UntilClosed),
        both => bail!("an answer framed by {both:?}"),
    }
}
