//! The forms of a token that would reveal it, and the search for them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};

use super::Sighting;

/// Byte strings, each with the name of the secret that it reveals.
pub(super) struct Needles(Vec<Needle>);

struct Needle {
    name: String,
    plain: bool,
    bytes: Vec<u8>,
}

impl Needles {
    /// Creates needles for whole tokens, their three segments, the decoded segments, and base64 and
    /// hexadecimal forms.
    pub(super) fn of_tokens(tokens: &[String]) -> Self {
        let mut needles = Vec::new();
        for token in tokens {
            needles.extend(forms(token, token.as_bytes()));
            let segments: Vec<&str> = token.split('.').collect();
            assert_eq!(segments.len(), 3, "a JWT");
            for segment in &segments {
                needles.extend(forms(segment, segment.as_bytes()));
            }
            let signature = URL_SAFE_NO_PAD.decode(segments[2]).unwrap();
            needles.extend(forms("a bare signature", &signature));
        }
        Self(needles)
    }

    /// Creates needles for one text in all its forms.
    pub(super) fn of_text(text: &str) -> Self {
        Self(forms(text, text.as_bytes()))
    }

    /// Returns the names of the tokens found in plain form, in the order of the needles.
    pub(super) fn plain_found_in(&self, sightings: &[Sighting]) -> Vec<String> {
        let whole = |needle: &&Needle| needle.plain && needle.name.contains('.');
        let here = |needle: &&Needle| sightings.iter().any(|place| contains(&place.1, needle));
        let found = self.0.iter().filter(whole).filter(here);
        found.map(|needle| needle.name.clone()).collect()
    }

    /// Returns whether any needle is found.
    pub(super) fn is_found_in(&self, (_, content): &Sighting) -> bool {
        self.0.iter().any(|needle| contains(content, needle))
    }

    /// Asserts that no needle is found in any place.
    #[track_caller]
    pub(super) fn assert_absent(&self, sightings: &[Sighting]) {
        for (place, content) in sightings {
            for needle in &self.0 {
                assert!(!contains(content, needle), "{} in {place}", needle.name);
            }
        }
    }
}

/// Returns the secret as it is, in hexadecimal, and in base64 at each offset within a group of
/// three.
fn forms(name: &str, secret: &[u8]) -> Vec<Needle> {
    let needle = |plain, bytes| Needle {
        name: name.to_owned(),
        plain,
        bytes,
    };
    let hexadecimal: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        needle(true, secret.to_vec()),
        needle(false, hexadecimal.into_bytes()),
    ];
    for offset in 0..3 {
        let shifted = [&[0; 2][..offset], secret].concat();
        // Only whole groups: the first and the last contain bits of neighbouring bytes.
        let inner = &shifted[3..shifted.len() / 3 * 3];
        let inner = if offset == 0 {
            &shifted[..shifted.len() / 3 * 3]
        } else {
            inner
        };
        for engine in [STANDARD, URL_SAFE] {
            forms.push(needle(false, engine.encode(inner).into_bytes()));
        }
    }
    forms
}

fn contains(content: &[u8], needle: &Needle) -> bool {
    let Some(first) = needle.bytes.first() else {
        return false;
    };
    let mut rest = content;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        if rest[at..].starts_with(&needle.bytes) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

#[test]
fn base64_is_found_wherever_it_starts() {
    let needles = Needles::of_text("a secret of some length");
    for before in ["", "x", "xy", "xyz"] {
        let text = format!("{before}a secret of some length, and more");
        let place = ("text".to_owned(), STANDARD.encode(text).into_bytes());
        assert!(needles.is_found_in(&place), "{before:?}");
    }
    assert!(!needles.is_found_in(&("text".to_owned(), b"another secret".to_vec())));
}
