//! HTTP/1.1 answers, parsed with as little work as possible: of the head only the status and the
//! framing of the body, of the body its bytes. Pure: bytes in, bytes out.
//!
//! Supports the answers of a server like Kubernetes to a client with a keep-alive connection: a
//! `Content-Length` or the chunked coding (RFC 9112, 6.3 and 7.1). A body that ends with its
//! connection is an error.

use anyhow::{Context, bail, ensure};

/// The head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The status code.
    pub(crate) status: u16,
    /// The body that follows.
    pub(crate) body: Body,
    /// Size of the head in bytes, including the empty line.
    pub(crate) size: usize,
}

/// A body that is being received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// The number of bytes that are still to come.
    Length(usize),
    /// The chunked coding.
    Chunked(Chunked),
}

/// The position within a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// In the line before a chunk; extensions are ignored.
    Size { size: usize, extension: bool },
    /// In a chunk, with this number of bytes still to come.
    Data(usize),
    /// In the line break after a chunk.
    DataEnd,
    /// In the lines after the last chunk.
    Trailer { empty: bool },
    /// After the empty line that ends the body.
    Complete,
}

impl Head {
    /// Parses the head at the beginning of `input`; returns `None` while it is incomplete.
    ///
    /// # Errors
    /// Fails if it is not HTTP/1.1, or does not specify where the body ends.
    pub(crate) fn parse(input: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = memchr::memmem::find(input, b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = str::from_utf8(&input[..end]).context("a response head that is not text")?;
        let mut lines = head.split("\r\n");
        let status = status(lines.next().unwrap_or_default())?;
        let mut body = (status == 204).then_some(Body::Length(0));
        for line in lines {
            let (name, value) = line.split_once(':').context("a header without a colon")?;
            if name.eq_ignore_ascii_case("content-length") {
                body = Some(Body::Length(value.trim().parse()?));
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                ensure!(
                    value.trim() == "chunked",
                    "unknown transfer coding {value:?}"
                );
                body = Some(Body::Chunked(Chunked::START));
            }
        }
        Ok(Some(Self {
            status,
            body: body.context("a response that ends with its connection")?,
            size: end + 4,
        }))
    }
}

impl Body {
    /// Consumes the bytes of the body at the beginning of `input`, passes the content to `sink`,
    /// and returns the number of consumed bytes: all of them, unless the body is complete.
    ///
    /// # Errors
    /// Fails if the chunked coding is invalid.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        sink: &mut impl FnMut(&[u8]),
    ) -> anyhow::Result<usize> {
        match self {
            Self::Length(left) => {
                let size = input.len().min(*left);
                sink(&input[..size]);
                *left -= size;
                Ok(size)
            }
            Self::Chunked(chunked) => chunked.decode(input, sink),
        }
    }

    /// Returns whether the body is complete.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::Complete))
    }
}

impl Chunked {
    const START: Self = Self::Size {
        size: 0,
        extension: false,
    };

    fn decode(&mut self, input: &[u8], sink: &mut impl FnMut(&[u8])) -> anyhow::Result<usize> {
        let mut at = 0;
        while at < input.len() && *self != Self::Complete {
            if let Self::Data(left) = self {
                let size = (input.len() - at).min(*left);
                sink(&input[at..at + size]);
                at += size;
                *self = match *left - size {
                    0 => Self::DataEnd,
                    left => Self::Data(left),
                };
            } else {
                *self = self.after(input[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// Returns the position after a byte that is not content.
    fn after(self, byte: u8) -> anyhow::Result<Self> {
        Ok(match (self, byte) {
            (Self::Size { size: 0, .. }, b'\n') => Self::Trailer { empty: true },
            (Self::Size { size, .. }, b'\n') => Self::Data(size),
            (Self::DataEnd, b'\n') => Self::START,
            (Self::Trailer { empty: true }, b'\n') => Self::Complete,
            (Self::Trailer { .. }, b'\n') => Self::Trailer { empty: true },
            (Self::Size { .. } | Self::DataEnd | Self::Trailer { .. }, b'\r') => self,
            (Self::Trailer { .. }, _) => Self::Trailer { empty: false },
            (Self::Size { size, extension }, _) => after_size(size, extension, byte)?,
            (Self::DataEnd, _) => bail!("a chunk is longer than it says"),
            (Self::Data(_) | Self::Complete, _) => self,
        })
    }
}

fn status(line: &str) -> anyhow::Result<u16> {
    let rest = line
        .strip_prefix("HTTP/1.1 ")
        .with_context(|| format!("not HTTP/1.1: {line:?}"))?;
    let code = rest.split(' ').next().unwrap_or_default();
    code.parse()
        .with_context(|| format!("no status code: {line:?}"))
}

fn after_size(size: usize, extension: bool, byte: u8) -> anyhow::Result<Chunked> {
    if extension || matches!(byte, b';' | b' ' | b'\t') {
        return Ok(Chunked::Size {
            size,
            extension: true,
        });
    }
    let digit = char::from(byte)
        .to_digit(16)
        .context("the size of a chunk is not a hexadecimal number")?;
    let size = size
        .checked_mul(16)
        .and_then(|size| size.checked_add(digit as usize))
        .context("the size of a chunk is too large")?;
    Ok(Chunked::Size {
        size,
        extension: false,
    })
}

#[cfg(test)]
mod tests;
