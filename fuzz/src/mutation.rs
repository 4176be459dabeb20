//! Making an input from others.

use std::ops::Range;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::MAX_LEN;
use crate::corpus::Corpus;

/// Bytes that mean something in most languages.
const SPECIAL: &[u8] =
    b"\0\t\n\r \"'\\/%&*+,-.:;<=>?@[]_`{|}~!#$()0129AZaz\x7f\x80\xbf\xc3\xe2\xef\xf0\xff";

/// Pieces that break readers of text and of numbers.
const NASTY: [&str; 16] = [
    "-1",
    "9223372036854775807",
    "-9223372036854775809",
    "18446744073709551616",
    "1e400",
    "0.1",
    "null",
    "true",
    "\u{0}",
    "\u{85}",
    "\u{2003}",
    "\u{200b}",
    "\u{202e}",
    "\u{feff}",
    "\u{1f600}",
    "\r\n",
];

/// The most changes of one input.
const CHANGES: usize = 6;

/// An input of the corpus with some changes.
pub(crate) fn mutate(corpus: &Corpus, dictionary: &[&str], random: &mut StdRng) -> Vec<u8> {
    let mut input = corpus.pick(random).to_vec();
    for _ in 0..random.random_range(1..=CHANGES) {
        change(&mut input, corpus, dictionary, random);
        input.truncate(MAX_LEN);
    }
    input
}

fn change(input: &mut Vec<u8>, corpus: &Corpus, dictionary: &[&str], random: &mut StdRng) {
    let range = range(input.len(), random);
    let at = range.start;
    match random.random_range(0..10) {
        0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
        1 if at < input.len() => input[at] = *one(SPECIAL, random),
        2 => insert(input, at, &[*one(SPECIAL, random)]),
        3 => insert(input, at, one(&NASTY, random).as_bytes()),
        4 if !dictionary.is_empty() => insert(input, at, one(dictionary, random).as_bytes()),
        5 if !dictionary.is_empty() => {
            input.splice(range, one(dictionary, random).bytes());
        }
        6 => drop(input.drain(range)),
        7 => {
            let piece = input[range].to_vec();
            insert(input, at, &piece);
        }
        8 => {
            let other = corpus.pick(random);
            let piece = self::range(other.len(), random);
            input.splice(range, other[piece].iter().copied());
        }
        // Deep nesting, long lists, long numbers.
        _ => {
            let length = range.len().clamp(1, 16).min(input.len() - at);
            let piece = input[at..at + length].repeat(random.random_range(2..400));
            insert(input, at, &piece);
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    input.splice(at..at, piece.iter().copied());
}

/// A range of so many bytes, mostly a short one.
fn range(len: usize, random: &mut StdRng) -> Range<usize> {
    let start = random.random_range(0..=len);
    let longest = match random.random_range(0..4) {
        0 => len - start,
        _ => (len - start).min(8),
    };
    start..start + random.random_range(0..=longest)
}

fn one<'a, T>(of: &'a [T], random: &mut StdRng) -> &'a T {
    &of[random.random_range(0..of.len())]
}
