//! HTTP/1.1 answers, read with as little work as possible: of the head the status and how the body
//! is framed, of the body its bytes. Pure: bytes in, bytes out.
//!
//! Understands what a server of Kubernetes' kind sends to a client that keeps its connection: a
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
    /// Its size in bytes, the empty line included.
    pub(crate) size: usize,
}

/// A body under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// As many bytes are still to come.
    Length(usize),
    /// The chunked coding.
    Chunked(Chunked),
}

/// Where a chunked body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// In the line before a chunk; extensions are ignored.
    Size { size: usize, extension: bool },
    /// In a chunk; as many bytes of it are still to come.
    Data(usize),
    /// In the end of line after a chunk.
    DataEnd,
    /// In the lines after the last chunk.
    Trailer { empty: bool },
    /// After the empty line that ends it.
    Complete,
}

impl Head {
    /// The head that `input` starts with, or nothing while it is not all there.
    ///
    /// # Errors
    /// It is no HTTP/1.1, or does not say where the body ends.
    pub(crate) fn parse(input: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = memchr::memmem::find(input, b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = str::from_utf8(&input[..end]).context("a head that is not text")?;
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
            body: body.context("an answer that ends with its connection")?,
            size: end + 4,
        }))
    }
}

impl Body {
    /// Takes what belongs to the body off the front of `input`, hands its content to `sink` and
    /// returns how many bytes it took: all of them, unless the body is complete.
    ///
    /// # Errors
    /// The chunked coding is broken.
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

    /// Whether nothing more belongs to it.
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

    /// Where it is after a byte that is not content.
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
        .with_context(|| format!("no HTTP/1.1: {line:?}"))?;
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
        .context("the size of a chunk is no hexadecimal number")?;
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
