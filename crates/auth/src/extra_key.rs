//! The encoding of extra keys in the names of headers.

use std::collections::BTreeMap;

/// Parses the key after the prefix of a header's name: percent-decodes it if that is possible, and
/// lower-cases it. A key that cannot be decoded is kept as it is, so that it is never lost.
///
/// kube-apiserver lower-cases only before it decodes, so that `%41` stays `A`. The next header
/// could not carry that key.
pub(crate) fn from_header(rest: &str) -> String {
    let key = path_unescaped(rest).unwrap_or_else(|| rest.to_owned());
    key.to_ascii_lowercase()
}

/// Lower-cases the keys that another server reported, as the headers of a front proxy would
/// (`pkg/authentication/user`: "keys MUST be lowercase"). The values of keys that become equal are
/// joined.
pub(crate) fn lower_cased(extra: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    let mut lower: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, values) in extra {
        lower
            .entry(key.to_ascii_lowercase())
            .or_default()
            .extend(values);
    }
    lower
}

/// Percent-decodes a text. Returns `None` if an escape is broken or the result is not UTF-8.
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
