//! A limit on the length of log lines.
//!
//! Lines quote data of clients: paths, names, header fields. The limit applies below all code that
//! logs, so that no client can fill the disk with rejected requests.

use std::io::{self, Write};

use serde_json::Value;

/// The maximum length of a line, in bytes. Lines without client data are shorter: the longest are
/// errors with their causes.
const LINE: usize = 4096;

/// The number of bytes that are kept of the beginning and of the end of a longer line of text. The
/// end has the response code of the request.
const HEAD: usize = 1536;
const TAIL: usize = 512;

/// The number of bytes that are kept of each text in a longer line of JSON.
const JSON_TEXT: usize = 512;

/// A writer that shortens lines that are too long. Each write is one line.
pub(super) struct Bounded<W> {
    inner: W,
    is_json: bool,
}

impl<W: Write> Bounded<W> {
    pub(super) fn new(inner: W, is_json: bool) -> Self {
        Self { inner, is_json }
    }
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match line.len() {
            0..=LINE => self.inner.write_all(line)?,
            _ => self
                .inner
                .write_all(shortened(line, self.is_json).as_bytes())?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn shortened(line: &[u8], is_json: bool) -> String {
    let text = String::from_utf8_lossy(line);
    let document = serde_json::from_str::<Value>(&text);
    match document.ok().filter(|_| is_json) {
        Some(mut document) => {
            shorten_texts(&mut document);
            let line = format!("{document}\n");
            match line.len() {
                0..=LINE => line,
                // This program logs no line with so many long texts.
                _ => "{\"level\":\"WARN\",\"message\":\"a log line was too long\"}\n".to_owned(),
            }
        }
        None => format!("{}\n", cut(text.trim_end(), HEAD, TAIL)),
    }
}

fn shorten_texts(value: &mut Value) {
    match value {
        Value::String(text) if text.len() > JSON_TEXT => *text = cut(text, JSON_TEXT, 0),
        Value::Array(items) => items.iter_mut().for_each(shorten_texts),
        Value::Object(fields) => fields.values_mut().for_each(shorten_texts),
        _ => {}
    }
}

/// Returns the first and the last bytes of a text, and the number of bytes between them.
fn cut(text: &str, head: usize, tail: usize) -> String {
    let head = text.floor_char_boundary(head);
    let tail = text.ceil_char_boundary(text.len() - tail);
    let left_out = tail - head;
    format!(
        "{}[{left_out} bytes left out]{}",
        &text[..head],
        &text[tail..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str, is_json: bool) -> String {
        let mut out = Vec::new();
        let mut bounded = Bounded::new(&mut out, is_json);
        bounded.write_all(line.as_bytes()).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_of_ordinary_length_stay_as_they_are() {
        let line = format!("{}\n", "x".repeat(LINE - 1));
        assert_eq!(written(&line, false), line);
        let line = r#"{"a":"b"}"#.to_owned() + "\n";
        assert_eq!(written(&line, true), line);
    }

    #[test]
    fn a_longer_line_keeps_its_beginning_and_its_end() {
        let line = format!("INFO path=\"/{}\" code=401\n", "ä".repeat(30_000));
        let short = written(&line, false);
        assert_eq!(short.len(), HEAD + "[57974 bytes left out]\n".len() + TAIL);
        assert!(short.contains("ä[57974 bytes left out]ä"));
        assert!(short.starts_with("INFO path=\"/ää"));
        assert!(short.ends_with("ää\" code=401\n"));
    }

    #[test]
    fn a_longer_line_of_json_stays_json() {
        let path = "\\\"".repeat(30_000);
        let line =
            format!("{{\"level\":\"INFO\",\"fields\":{{\"path\":\"{path}\",\"code\":401}}}}\n");
        let short: Value = serde_json::from_str(&written(&line, true)).unwrap();
        let kept = format!("{}[29488 bytes left out]", "\"".repeat(JSON_TEXT));
        let expected = serde_json::json!({"level": "INFO", "fields": {"path": kept, "code": 401}});
        assert_eq!(short, expected);
    }
}
