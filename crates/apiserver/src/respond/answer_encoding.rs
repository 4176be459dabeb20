//! The encoding of a response from compact JSON: of an object, or of a list element by element. The
//! result has the same bytes as encoding the whole list at once.

use machinery::status::Status;

use super::{pretty_json, yaml};

/// The encoding of a response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AnswerEncoding {
    /// JSON without spaces, as it is stored.
    Compact,
    /// Indented JSON.
    Pretty,
    /// YAML.
    Yaml,
}

impl AnswerEncoding {
    /// Encodes a whole document from compact JSON.
    ///
    /// # Errors
    /// 500 if the input is not JSON.
    pub(crate) fn whole(self, json: Vec<u8>) -> Result<Vec<u8>, Status> {
        let mut json = match self {
            Self::Compact => json,
            Self::Pretty => pretty_json(&json)?,
            Self::Yaml => return yaml(&json),
        };
        if json.last() != Some(&b'\n') {
            json.push(b'\n');
        }
        Ok(json)
    }

    /// Writes the part before the elements. `head` is compact JSON up to the bracket before the
    /// first element.
    ///
    /// # Errors
    /// 500 if `head` is not the head of a list.
    pub(crate) fn begin(self, head: &[u8], out: &mut Vec<u8>) -> Result<(), Status> {
        let empty = [head, b"]}"].concat();
        let (empty, end): (_, &[u8]) = match self {
            Self::Compact => (empty, b"]}"),
            Self::Pretty => (pretty_json(&empty)?, b"[]\n}"),
            Self::Yaml => (yaml(&empty)?, b" []\n"),
        };
        let begin = empty.strip_suffix(end);
        out.extend_from_slice(
            begin.ok_or_else(|| Status::internal("the head of a list is malformed"))?,
        );
        Ok(())
    }

    /// Writes an element. `write` writes its compact JSON.
    ///
    /// # Errors
    /// 500 if that is not JSON.
    pub(crate) fn element(
        self,
        write: impl FnOnce(&mut Vec<u8>),
        is_first: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Status> {
        if self == Self::Compact {
            out.extend_from_slice(if is_first { b"" } else { b"," });
            write(out);
            return Ok(());
        }
        let mut json = Vec::from(b"[");
        write(&mut json);
        if self == Self::Yaml {
            json.push(b']');
            out.extend_from_slice(if is_first { b"\n" } else { b"" });
            out.extend_from_slice(&yaml(&json)?);
            return Ok(());
        }
        out.extend_from_slice(if is_first { b"[" } else { b"," });
        let pretty = pretty_json(json.get(1..).unwrap_or_default())?;
        for line in pretty.split(|byte| *byte == b'\n') {
            out.extend_from_slice(b"\n    ");
            out.extend_from_slice(line);
        }
        Ok(())
    }

    /// Writes the part after the elements.
    pub(crate) fn end(self, is_empty: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self, is_empty) {
            (Self::Compact, _) => b"]}\n",
            (Self::Pretty, true) => b"[]\n}\n",
            (Self::Pretty, false) => b"\n  ]\n}\n",
            (Self::Yaml, true) => b" []\n",
            (Self::Yaml, false) => b"",
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(elements: &[Value]) {
        let head = r#"{"kind":"List","metadata":{"a":"1"},"items":["#;
        let texts: Vec<String> = elements.iter().map(Value::to_string).collect();
        let whole = format!("{head}{}]}}", texts.join(","));
        let whole = whole.as_bytes();
        let with_end = |mut json: Vec<u8>| {
            json.push(b'\n');
            json
        };
        for (encoding, expected) in [
            (AnswerEncoding::Compact, with_end(whole.to_vec())),
            (
                AnswerEncoding::Pretty,
                with_end(pretty_json(whole).unwrap()),
            ),
            (AnswerEncoding::Yaml, yaml(whole).unwrap()),
        ] {
            let mut out = Vec::new();
            encoding.begin(head.as_bytes(), &mut out).unwrap();
            for (place, text) in texts.iter().enumerate() {
                let write = |out: &mut Vec<u8>| out.extend_from_slice(text.as_bytes());
                encoding.element(write, place == 0, &mut out).unwrap();
            }
            encoding.end(texts.is_empty(), &mut out);
            let [out, expected] = [out, expected].map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(out, expected, "{encoding:?}");
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_whole_list() {
        check(&[]);
        check(&[json!({"a": 1})]);
        check(&[
            json!({"a": "line\nline\n\n  indented\n", "b": [], "c": {}, "d": [{"e": [1, 2]}, "f"], "g": null}),
            json!({"a": "- not: a list", "b": "x ".repeat(200), "c": "# \"no\" 'comment'", "d": "\u{feff}\t"}),
            json!({"a": {"b": {"c": "yes", "d": "012", "e": 1.5, "f": true}}}),
        ]);
    }
}
