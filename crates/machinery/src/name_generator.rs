//! Names from `metadata.generateName` (apiserver `pkg/storage/names`, apimachinery
//! `pkg/util/rand`).

/// The characters of suffixes, without vowels and characters that resemble them, so that no words
/// appear by chance.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Number of characters that are appended.
const SUFFIX_LENGTH: usize = 5;

/// Maximum length of the base that is kept, in bytes. With the suffix, it is a DNS label of 63
/// bytes.
const MAX_BASE_LENGTH: usize = 63 - SUFFIX_LENGTH;

/// Returns the base, cut to 58 bytes, and five random characters. `random(n)` must return a number
/// below `n`, each with equal probability.
pub fn generate(base: &str, random: &mut dyn FnMut(usize) -> usize) -> String {
    let kept = base.floor_char_boundary(MAX_BASE_LENGTH);
    let mut name = String::with_capacity(kept + SUFFIX_LENGTH);
    name.push_str(&base[..kept]);
    for _ in 0..SUFFIX_LENGTH {
        // The remainder only guards against a source that returns a larger number.
        let index = random(ALPHABET.len()) % ALPHABET.len();
        name.push(char::from(ALPHABET[index]));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::generate;

    #[track_caller]
    fn check(base: &str, expected: &str) {
        let mut next = 0;
        let mut random = |below: usize| {
            next += 7;
            next % below
        };
        assert_eq!(generate(base, &mut random), expected);
    }

    #[test]
    fn suffix_is_appended() {
        check("kubeconfig-", "kubeconfig-ks4cl");
        check("", "ks4cl");
    }

    #[test]
    fn base_is_cut_to_58_bytes() {
        check(&"a".repeat(58), &format!("{}ks4cl", "a".repeat(58)));
        check(&"a".repeat(90), &format!("{}ks4cl", "a".repeat(58)));
        check(
            &format!("{}é", "a".repeat(57)),
            &format!("{}ks4cl", "a".repeat(57)),
        );
    }
}
