//! The texts of kube-apiserver's 400 responses to bodies that it cannot decode
//! (`transformDecodeError` of `k8s.io/apiserver/pkg/endpoints/handlers/rest.go`).

use std::fmt::{Display, Write};

use super::DecodeError;

/// Number of bytes of the body that an error repeats.
const SUMMARY_BYTES: usize = 30;

/// Returns the text for a body whose kind cannot be read. `kind` is the expected kind.
pub fn unrecognized_text(kind: &str, body: &[u8], error: &DecodeError) -> String {
    let context = match error {
        DecodeError::Json(_) => "couldn't get version/kind; json parse error: ",
        DecodeError::Yaml(_) | DecodeError::Protobuf(_) => "",
    };
    let summary = summarize(body);
    format!(
        "the object provided is unrecognized (must be of type {kind}): {context}{error} ({summary})"
    )
}

/// Returns the text for a body that names its kind, but cannot be used as the `expected` kind.
///
/// `kind` and `version` are those in the body. `error` is a [`TypeError`](super::TypeError) or a
/// strict decoding error.
pub fn unhandled_text(kind: &str, version: &str, expected: &str, error: &dyn Display) -> String {
    format!("{kind} in version {version:?} cannot be handled as a {expected}: {error}")
}

/// Returns the beginning of a body: verbatim if it looks like JSON, otherwise in hexadecimal.
fn summarize(body: &[u8]) -> String {
    let head = body.get(..SUMMARY_BYTES).unwrap_or(body);
    let rest = if head.len() < body.len() { " ..." } else { "" };
    match head.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{rest}", String::from_utf8_lossy(head)),
        Some(_) => format!("{}{rest}", hexadecimal(head)),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
