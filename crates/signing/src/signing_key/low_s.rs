//! The one accepted form of an ECDSA signature on P-256: `s` is at most half the order of the
//! curve.
//!
//! Signatures are public, so the code in this module need not take constant time.

use std::ops::Range;

use crate::signing_key::SIGNATURE_BYTES;

/// The position of `s` in a signature.
const S: Range<usize> = 32..SIGNATURE_BYTES;

/// The order `n` of P-256 (SEC 2, section 2.4.2), big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// `(n - 1) / 2`, big-endian.
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// Returns whether `s` is the lower of the two values that verify.
pub(super) fn is_normal(signature: &[u8; SIGNATURE_BYTES]) -> bool {
    signature[S] <= HALF_ORDER[..]
}

/// Replaces a high `s` by `n - s`.
pub(super) fn normalize(signature: &mut [u8; SIGNATURE_BYTES]) {
    if !is_normal(signature) {
        negate(signature);
    }
}

/// Replaces `s` by `n - s`, which gives the other signature that verifies.
fn negate(signature: &mut [u8; SIGNATURE_BYTES]) {
    let mut borrow = false;
    for (s, n) in signature[S].iter_mut().zip(ORDER).rev() {
        let (difference, under) = n.overflowing_sub(*s);
        let (difference, under_again) = difference.overflowing_sub(u8::from(borrow));
        *s = difference;
        borrow = under || under_again;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{HALF_ORDER, ORDER, S, SIGNATURE_BYTES, is_normal, negate, normalize};

    /// Returns the other signature that plain ECDSA would accept.
    pub(in crate::signing_key) fn twin(signature: &[u8; SIGNATURE_BYTES]) -> [u8; SIGNATURE_BYTES] {
        let mut twin = *signature;
        negate(&mut twin);
        twin
    }

    #[track_caller]
    fn check(s: [u8; 32], expected: [u8; 32]) {
        let mut signature = [9; SIGNATURE_BYTES];
        signature[S].copy_from_slice(&s);
        assert_eq!(is_normal(&signature), s == expected);
        normalize(&mut signature);
        assert_eq!(signature[S], expected);
        assert_eq!(signature[..32], [9; 32]);
    }

    /// Returns `bytes` with `last` as the last byte.
    fn ending(mut bytes: [u8; 32], last: u8) -> [u8; 32] {
        bytes[31] = last;
        bytes
    }

    #[test]
    fn only_a_high_s_is_replaced() {
        check(ending([0; 32], 1), ending([0; 32], 1));
        check(HALF_ORDER, HALF_ORDER);
        check(ending(HALF_ORDER, 0xa9), HALF_ORDER);
        check(ending(ORDER, 0x50), ending([0; 32], 1));
        check(ending(ORDER, 0x4f), ending([0; 32], 2));
    }
}
