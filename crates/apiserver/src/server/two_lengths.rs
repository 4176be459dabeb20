//! HTTP/1.1 heads that specify the length of the body twice, by `Content-Length` and by
//! `Transfer-Encoding`.
//!
//! hyper accepts such a head as RFC 9112, section 6.3, permits: the coding wins, and the connection
//! ends after the request. hyper removes `Content-Length` from the head, so this module searches
//! the bytes for it, and the request is rejected. A head that arrives in the same read as the
//! previous request is left to hyper.

/// A parser of the field names of one head.
#[derive(Debug, Default)]
pub(super) struct TwoLengths {
    /// The number of requests before this head.
    requests: usize,
    has_line: bool,
    is_over: bool,
    /// The number of bytes in the current line.
    length: usize,
    /// The beginning of the current line, in lower case.
    name: [u8; LONGEST.len()],
    has_length: bool,
    has_coding: bool,
}

/// The field names in lower case, with the colon.
const LENGTH: &[u8] = b"content-length:";
const CODING: &[u8] = b"transfer-encoding:";
const LONGEST: &[u8] = CODING;

impl TwoLengths {
    /// Parses bytes that arrived after this many requests, while none was in flight.
    pub(super) fn read(&mut self, bytes: &[u8], requests: usize) {
        if self.requests != requests {
            *self = Self {
                requests,
                ..Self::default()
            };
        }
        for byte in bytes {
            if self.is_over {
                return;
            }
            self.push(*byte);
        }
    }

    /// Returns whether the head has both fields.
    pub(super) fn are_found(&self) -> bool {
        self.has_length && self.has_coding
    }

    fn push(&mut self, byte: u8) {
        match byte {
            b'\r' => {}
            // Empty lines before a head are ignored (RFC 9112, section 2.2).
            b'\n' if self.length == 0 => self.is_over = self.has_line,
            b'\n' => {
                let line = self.name.get(..self.length).unwrap_or(&self.name);
                self.has_length |= line.starts_with(LENGTH);
                self.has_coding |= line.starts_with(CODING);
                self.length = 0;
                self.has_line = true;
            }
            _ => {
                if let Some(place) = self.name.get_mut(self.length) {
                    *place = byte.to_ascii_lowercase();
                }
                self.length += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_with_both_is_found() {
        #[track_caller]
        fn check(head: &str, expected: bool) {
            for at_once in [1, 7, usize::MAX] {
                let mut lengths = TwoLengths::default();
                for part in head.as_bytes().chunks(at_once) {
                    lengths.read(part, 3);
                }
                assert_eq!(lengths.are_found(), expected, "{head:?} {at_once}");
                lengths.read(b"GET / HTTP/1.1\r\n\r\n", 4);
                assert!(!lengths.are_found(), "the next head");
            }
        }
        let (length, coding) = ("content-Length: 5\r\n", "TRANSFER-encoding:chunked\r\n");
        let head = |fields: &[&str]| format!("POST / HTTP/1.1\r\n{}\r\n", fields.concat());
        check(&head(&[length, coding]), true);
        check(&head(&["a: b\r\n", coding, "a: b\r\n", length]), true);
        check(&head(&[coding, length]).replace('\r', ""), true);
        check(&format!("\r\n\r\n{}", head(&[length, coding])), true);
        check(&head(&[length]), false);
        check(&head(&[coding]), false);
        check(&head(&[coding, "x-content-length: 5\r\n"]), false);
        check(&format!("{}{length}{coding}", head(&[])), false);
    }
}
