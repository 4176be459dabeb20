//! The part of SPDY/3.1 that a kubelet needs for `exec` and `port-forward`.
//!
//! The headers of streams are not parsed: they are compressed with a dictionary, and Kubernetes'
//! clients open their streams in a fixed order, which gives the same information. We send no
//! headers. Flow control is ignored, as in Kubernetes' library.

use std::io::{self, ErrorKind, Read, Write};

const VERSION: u16 = 3;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const PING: u16 = 6;
const GOAWAY: u16 = 7;

/// The bit that distinguishes a control frame from data.
const CONTROL: u8 = 0x80;

/// The flag of the last frame of a sender on a stream.
const FIN: u8 = 1;

/// An empty header block: a count of 0 in a stored block of a zlib stream, without the dictionary,
/// then an empty block, which flushes. The zlib stream continues from reply to reply, so its head
/// is sent once.
const ZLIB_HEAD: [u8; 2] = [0x78, 0x01];
const NO_HEADERS: [u8; 14] = [0, 4, 0, 0xfb, 0xff, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/// The server side of a SPDY connection.
pub(super) struct Session<'a, S> {
    stream: &'a mut S,
    has_replied: bool,
}

/// An event caused by the client.
pub(super) enum Event {
    /// A stream was opened, and accepted.
    Opened(u32),
    /// Data was received on a stream.
    Data {
        stream: u32,
        bytes: Vec<u8>,
        /// True if the client sends no more data on the stream.
        is_last: bool,
    },
}

impl<'a, S: Read + Write> Session<'a, S> {
    pub(super) fn new(stream: &'a mut S) -> Self {
        Self {
            stream,
            has_replied: false,
        }
    }

    /// Returns the next event, or `None` when the client is done. Answers pings.
    pub(super) fn next(&mut self) -> io::Result<Option<Event>> {
        loop {
            let Some((head, body)) = self.frame()? else {
                return Ok(None);
            };
            if head[0] & CONTROL == 0 {
                return Ok(Some(Event::Data {
                    stream: u32::from_be_bytes([head[0], head[1], head[2], head[3]]),
                    bytes: body,
                    is_last: head[4] & FIN != 0,
                }));
            }
            match u16::from_be_bytes([head[2], head[3]]) {
                SYN_STREAM => {
                    let id = body.first_chunk().ok_or(ErrorKind::InvalidData)?;
                    let stream = u32::from_be_bytes(*id);
                    self.accept(stream)?;
                    return Ok(Some(Event::Opened(stream)));
                }
                PING => self.send_control(PING, &body)?,
                GOAWAY => return Ok(None),
                _ => {}
            }
        }
    }

    /// Sends data on a stream.
    pub(super) fn send(&mut self, stream: u32, bytes: &[u8], is_last: bool) -> io::Result<()> {
        let flags = if is_last { FIN } else { 0 };
        let id = stream.to_be_bytes();
        self.write(id, flags, bytes)
    }

    fn accept(&mut self, stream: u32) -> io::Result<()> {
        let mut body = stream.to_be_bytes().to_vec();
        if !self.has_replied {
            body.extend(ZLIB_HEAD);
            self.has_replied = true;
        }
        body.extend(NO_HEADERS);
        self.send_control(SYN_REPLY, &body)
    }

    fn send_control(&mut self, kind: u16, body: &[u8]) -> io::Result<()> {
        let [v0, v1] = VERSION.to_be_bytes();
        let [k0, k1] = kind.to_be_bytes();
        self.write([CONTROL | v0, v1, k0, k1], 0, body)
    }

    fn write(&mut self, start: [u8; 4], flags: u8, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len()).map_err(|_| ErrorKind::InvalidInput)?;
        let [too_long, length @ ..] = length.to_be_bytes();
        if too_long != 0 {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut frame = start.to_vec();
        frame.push(flags);
        frame.extend(length);
        frame.extend(body);
        self.stream.write_all(&frame)?;
        self.stream.flush()
    }

    /// Reads head and body of the next frame.
    fn frame(&mut self) -> io::Result<Option<([u8; 8], Vec<u8>)>> {
        let mut head = [0; 8];
        match self.stream.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let length = u32::from_be_bytes([0, head[5], head[6], head[7]]);
        let length = usize::try_from(length).map_err(|_| ErrorKind::InvalidData)?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Some((head, body)))
    }
}
