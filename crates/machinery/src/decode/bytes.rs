//! Base64 as Go's `encoding/base64` reads it into a `[]byte` field: padded, line breaks ignored,
//! unused bits ignored.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Rewrites base64 as Go would encode it: without line breaks, and with unused bits set to zero.
///
/// # Errors
/// The offset of the byte that Go reports.
pub(super) fn normalize(text: &mut String) -> Result<(), usize> {
    let unused_bits = check(text.as_bytes())?;
    if text.contains(['\r', '\n']) {
        text.retain(|character| !matches!(character, '\r' | '\n'));
    }
    if unused_bits > 0 {
        clear_unused_bits(text, unused_bits);
    }
    Ok(())
}

/// Returns the number of unused bits in the last symbol: 0, 2 or 4.
fn check(bytes: &[u8]) -> Result<u32, usize> {
    let mut symbols = 0;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\r' | b'\n' => {}
            b'=' => return check_padding(bytes, at, symbols % 4),
            _ if ALPHABET.contains(byte) => symbols += 1,
            _ => return Err(at),
        }
    }
    match symbols % 4 {
        0 => Ok(0),
        missing_padding => Err(bytes.len() - missing_padding),
    }
}

/// Checks the end of a text from its first `=`, which follows `symbols` symbols of a group of four.
/// Returns the number of unused bits.
fn check_padding(bytes: &[u8], at: usize, symbols: usize) -> Result<u32, usize> {
    let skip_breaks = |from: usize| {
        let rest = bytes.iter().skip(from);
        from + rest
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count()
    };
    let (mut end, unused_bits) = match symbols {
        3 => (at + 1, 2),
        2 => (skip_breaks(at + 1), 4),
        _ => return Err(at),
    };
    if symbols == 2 {
        match bytes.get(end) {
            Some(b'=') => end += 1,
            Some(_) => return Err(end - 1),
            None => return Err(bytes.len()),
        }
    }
    match skip_breaks(end) {
        end if end < bytes.len() => Err(end),
        _ => Ok(unused_bits),
    }
}

fn clear_unused_bits(text: &mut String, unused_bits: u32) {
    let padding_at = text.trim_end_matches('=').len();
    let padding = text.split_off(padding_at);
    let last = text.pop().and_then(|symbol| {
        let value = ALPHABET
            .iter()
            .position(|known| char::from(*known) == symbol)?;
        ALPHABET.get(value >> unused_bits << unused_bits)
    });
    text.extend(last.map(|symbol| char::from(*symbol)));
    text.push_str(&padding);
}
