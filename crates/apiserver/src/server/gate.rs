//! The gate between the bytes of a connection and hyper, for clients that are not authenticated.
//!
//! hyper and h2 read everything that arrives. h2 decodes all heads of a read before hyper sees the
//! first of them, and one byte of a head can take a hundred bytes of memory. Until a caller is
//! authenticated on a connection, the gate therefore passes one HTTP/2 head at a time, charges the
//! connection for the bytes that it passed, and leaves the rest in the kernel. The sum of all
//! charges is bounded (`places`). After a caller is authenticated, the gate passes all bytes.
//!
//! The gate parses the headers of HTTP/2 frames (RFC 9113, section 4.1) and nothing inside the
//! frames.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::linger::Linger;
use super::places::Place;
use super::two_lengths::TwoLengths;

/// The first bytes that an HTTP/2 client sends (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The minimum memory of an HTTP/1.1 connection, in bytes: the first buffer of hyper, and its
/// state.
const HTTP1_LEAST: usize = 16 * 1024;

/// The minimum memory of an HTTP/2 connection, in bytes: the buffers of h2, and two HPACK tables.
const HTTP2_LEAST: usize = 48 * 1024;

/// The memory that one byte of an HTTP/1.1 connection may take, in bytes: it may be repeated in
/// responses that the client does not read.
const HTTP1_FACTOR: usize = 8;

/// The maximum memory of an HTTP/1.1 connection in addition to the minimum, in bytes: both buffers
/// of hyper, and the parsed head.
const HTTP1_MOST: usize = 192 * 1024;

/// The memory that one byte of an HTTP/2 head may take, in bytes. An indexed field is one byte, and
/// an entry of a `HeaderMap` takes more than 100 bytes, in a vector with up to twice the needed
/// capacity.
const HTTP2_FACTOR: usize = 256;

/// The maximum memory of an HTTP/2 head, in bytes. A header list of 64 KiB has at most 2,000
/// fields.
const HTTP2_MOST: usize = 512 * 1024;

/// A stream that passes bytes to hyper as the state of the connection permits. It also holds the
/// slot of the connection for as long as the socket is open.
#[derive(Debug)]
pub(super) struct Gate<S> {
    stream: S,
    place: Place,
    protocol: Protocol,
    has_lingered: bool,
}

#[derive(Debug)]
enum Protocol {
    /// This many bytes of the HTTP/2 preface have arrived.
    Unknown(usize),
    Http1(Http1),
    Http2(Frames),
}

/// The state of an HTTP/1.1 connection.
#[derive(Debug, Default)]
struct Http1 {
    /// The number of bytes that were passed.
    passed: usize,
    lengths: TwoLengths,
}

/// The state of an HTTP/2 connection, which is a sequence of frames.
#[derive(Debug, Default)]
struct Frames {
    head: [u8; 9],
    /// The number of bytes of `head` that were read.
    read: usize,
    /// The number of bytes of `head` that were passed.
    passed: usize,
    /// The number of bytes of the frame's payload that were not passed yet.
    left: usize,
    /// The number of bytes of the last field block.
    block: usize,
    /// The memory of the bytes that were passed before that block and are still in use, in bytes.
    before: usize,
    waiting: Waiting,
}

/// The state of the last field block that was passed.
#[derive(Clone, Copy, Debug, Default)]
enum Waiting {
    /// No block was passed, or the block has become a request.
    #[default]
    Nothing,
    /// The block was passed when the connection had this many requests. h2 has not had time to
    /// process it.
    Passed(usize),
    /// h2 has had time to create a request from the block.
    Offered(usize),
}

/// The decision about the next frame.
enum Next {
    Pass,
    /// Pass the frame later. The reader is woken.
    Wait,
    /// Never pass the frame: h2 rejected the previous head.
    Refuse,
}

impl<S> Gate<S> {
    pub(super) fn new(stream: S, place: Place) -> Self {
        Self {
            stream,
            place,
            protocol: Protocol::Unknown(0),
            has_lingered: false,
        }
    }
}

impl<S: AsyncRead + Unpin> Gate<S> {
    fn read_first(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        seen: usize,
    ) -> Poll<io::Result<()>> {
        let rest = PREFACE.get(seen..).unwrap_or_default();
        let bytes = ready!(read(&mut self.stream, cx, buffer, rest.len()))?;
        if bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let activity = self.place.activity();
        activity.read_head();
        let all = seen + bytes.len();
        self.protocol = if !rest.starts_with(bytes) {
            let mut http1 = Http1::default();
            http1.read(PREFACE.get(..seen).unwrap_or_default(), activity);
            http1.read(bytes, activity);
            Protocol::Http1(http1)
        } else if all == PREFACE.len() {
            Protocol::Http2(Frames::default())
        } else {
            Protocol::Unknown(all)
        };
        match &self.protocol {
            Protocol::Http2(_) => self.charge(HTTP2_LEAST),
            _ => self.charge(HTTP1_LEAST),
        }
        Poll::Ready(Ok(()))
    }

    fn charge(&self, bytes: usize) {
        let activity = self.place.activity();
        if !activity.is_known() && bytes != activity.charge() {
            activity.set_charge(bytes);
            self.place.places().relieve();
        }
    }
}

impl Http1 {
    fn read(&mut self, bytes: &[u8], activity: &Activity) {
        self.passed = self.passed.saturating_add(bytes.len());
        if !bytes.is_empty() && !activity.is_busy() {
            activity.read_head();
            self.lengths.read(bytes, activity.requests());
            activity.set_two_lengths(self.lengths.are_found());
        }
    }

    /// Returns the memory of the bytes that were passed.
    fn memory(&self) -> usize {
        let bytes = self.passed.saturating_mul(HTTP1_FACTOR);
        HTTP1_LEAST + bytes.min(HTTP1_MOST)
    }
}

impl Frames {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        activity: &Activity,
    ) -> Poll<io::Result<()>> {
        if self.left > 0 {
            let count = ready!(read(stream, cx, buffer, self.left))?.len();
            self.pass(count, activity);
            return Poll::Ready(Ok(()));
        }
        while self.read < self.head.len() {
            let mut head = ReadBuf::new(self.head.get_mut(self.read..).unwrap_or_default());
            ready!(Pin::new(&mut *stream).poll_read(cx, &mut head))?;
            let count = head.filled().len();
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
            self.read += count;
        }
        match self.next(activity, cx) {
            Next::Pass => {}
            Next::Wait => return Poll::Pending,
            Next::Refuse => {
                activity.ending.cancel();
                return Poll::Pending;
            }
        }
        let rest = self.head.get(self.passed..).unwrap_or_default();
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(rest.get(..count).unwrap_or_default());
        self.passed += count;
        if self.passed == self.head.len() {
            (self.read, self.passed) = (0, 0);
            let [high, middle, low, ..] = self.head;
            self.left = u32::from_be_bytes([0, high, middle, low]) as usize;
            self.pass(0, activity);
        }
        Poll::Ready(Ok(()))
    }

    /// Decides about the frame whose header was read, before its first byte is passed.
    fn next(&mut self, activity: &Activity, cx: &Context<'_>) -> Next {
        const HEADERS: u8 = 1;
        if self.passed > 0 || self.kind() != HEADERS || activity.is_known() {
            return Next::Pass;
        }
        // Register before the checks, so that any later change wakes the reader.
        activity.reader.register(cx.waker());
        match self.waiting {
            Waiting::Passed(requests) if activity.requests() == requests => {
                self.waiting = Waiting::Offered(requests);
                cx.waker().wake_by_ref();
                return Next::Wait;
            }
            Waiting::Offered(requests) if activity.requests() == requests => return Next::Refuse,
            _ => {}
        }
        let is_decided = activity.ending.is_cancelled();
        if activity.is_busy() && !is_decided {
            return Next::Wait;
        }
        // The memory of earlier bytes is in use while their request is in flight.
        self.before = if activity.is_busy() {
            self.memory(activity)
        } else {
            0
        };
        (self.block, self.waiting) = (0, Waiting::Nothing);
        activity.read_head();
        Next::Pass
    }

    /// Records that bytes of the payload were passed.
    fn pass(&mut self, count: usize, activity: &Activity) {
        const DATA: u8 = 0;
        const HEADERS: u8 = 1;
        const CONTINUATION: u8 = 9;
        const END_HEADERS: u8 = 4;
        self.left = self.left.saturating_sub(count);
        match self.kind() {
            DATA => self.before += count,
            HEADERS | CONTINUATION => {
                self.block += count;
                let [_, _, _, _, flags, ..] = self.head;
                if self.left == 0 && flags & END_HEADERS != 0 {
                    self.waiting = Waiting::Passed(activity.requests());
                }
            }
            _ => {}
        }
    }

    /// Returns the memory of the bytes that were passed. It is an estimate until they have become a
    /// request.
    fn memory(&self, activity: &Activity) -> usize {
        let block = match self.waiting {
            Waiting::Passed(requests) | Waiting::Offered(requests)
                if activity.requests() > requests =>
            {
                activity.head_memory()
            }
            _ => self.block.saturating_mul(HTTP2_FACTOR).min(HTTP2_MOST),
        };
        self.before.saturating_add(block)
    }

    /// Returns the memory of the connection.
    fn memory_with_buffers(&self, activity: &Activity) -> usize {
        HTTP2_LEAST.saturating_add(self.memory(activity))
    }

    fn kind(&self) -> u8 {
        let [_, _, _, kind, ..] = self.head;
        kind
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let gate = &mut *self;
        let activity = gate.place.activity();
        if !activity.is_known() && activity.evicted.is_cancelled() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        match &mut gate.protocol {
            Protocol::Unknown(seen) => {
                let seen = *seen;
                gate.read_first(cx, buffer, seen)
            }
            Protocol::Http1(http1) => {
                let bytes = ready!(read(&mut gate.stream, cx, buffer, usize::MAX))?;
                http1.read(bytes, activity);
                let memory = http1.memory();
                gate.charge(memory);
                Poll::Ready(Ok(()))
            }
            Protocol::Http2(frames) if activity.is_known() && frames.read == 0 => {
                Pin::new(&mut gate.stream).poll_read(cx, buffer)
            }
            Protocol::Http2(frames) => {
                ready!(frames.poll_read(&mut gate.stream, cx, buffer, activity))?;
                let memory = frames.memory_with_buffers(activity);
                gate.charge(memory);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<S: AsyncWrite + Linger + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        // A client of a diverted or upgraded connection may still be sending.
        if !self.place.activity().is_taken_over() && !self.has_lingered {
            self.has_lingered = true;
            self.stream.linger();
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads at most `limit` bytes and returns them.
fn read<'b, S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buffer: &'b mut ReadBuf<'_>,
    limit: usize,
) -> Poll<io::Result<&'b [u8]>> {
    let before = buffer.filled().len();
    if limit >= buffer.remaining() {
        ready!(Pin::new(stream).poll_read(cx, buffer))?;
    } else {
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(limit));
        ready!(Pin::new(stream).poll_read(cx, &mut part))?;
        let count = part.filled().len();
        buffer.advance(count);
    }
    Poll::Ready(Ok(buffer.filled().get(before..).unwrap_or_default()))
}

#[cfg(test)]
mod tests;
