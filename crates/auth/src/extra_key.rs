//! Keys of a user's extra in the names of headers.

/// The key that the rest of a header's name stands for, behind its prefix: lower-cased, then
/// percent-decoded where that is possible. One that cannot be decoded stays as it is, so that it is
/// never lost.
pub(crate) fn from_header(rest: &str) -> String {
    let lower = rest.to_ascii_lowercase();
    path_unescaped(&lower).unwrap_or(lower)
}

/// Percent-decodes; `None` if an escape is broken or the result is no UTF-8.
fn path_unescaped(key: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(key.len());
    let mut bytes = key.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let high = char::from(bytes.next()?).to_digit(16)?;
        let low = char::from(bytes.next()?).to_digit(16)?;
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(decoded).ok()
}
