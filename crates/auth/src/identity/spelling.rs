//! Other spellings of a name: texts that a reader, or a server that folds case or compatibility
//! forms, may mistake for it.
//!
//! Two texts are spellings of the same name if their skeletons are equal. A skeleton is built by
//! replacing compatibility forms (NFKC), removing white space, replacing look-alikes of other
//! scripts (UTS #39, section 4), and folding case. The skeleton of `ѕystem：Masters` (Cyrillic first
//! letter, full-width colon) is that of `system:masters`.

use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

use crate::user::RESERVED_PREFIX;

/// Maximum number of characters of a text that are compared with the reserved prefix.
const PREFIX_CHARS: usize = 32;

/// Returns whether a text reads as one that begins with `system:`, but is not spelled so.
pub fn reserved_spelling(text: &str) -> bool {
    if text.starts_with(RESERVED_PREFIX) {
        return false;
    }
    // No other ASCII letter looks like the first one of the prefix. Most names are excluded here.
    let may_be_read_so = |first: char| !first.is_ascii() || matches!(first, 's' | 'S');
    text.starts_with(may_be_read_so) && {
        let start = text.chars().filter(|character| !character.is_whitespace());
        let start: String = start.take(PREFIX_CHARS).collect();
        skeleton_of(&start).starts_with(&skeleton_of(RESERVED_PREFIX))
    }
}

/// Returns whether a text reads as this name, however it is spelled.
pub fn is_spelling_of(name: &str, text: &str) -> bool {
    text == name || skeleton_of(text) == skeleton_of(name)
}

fn skeleton_of(text: &str) -> String {
    let visible = text.chars().filter(|character| !character.is_whitespace());
    let folded: String = visible.nfkc().map(without_case).collect();
    skeleton(&folded).collect()
}

/// Returns the letter in lower case, and as ASCII if one of its cases looks like an ASCII letter:
/// the Greek `Μ` does and `μ` does not.
fn without_case(letter: char) -> String {
    let lower: String = letter.to_lowercase().collect();
    if lower.is_ascii() {
        return lower;
    }
    let lower: String = skeleton(&lower).collect();
    if lower.is_ascii() {
        return lower;
    }
    let seen: String = skeleton(letter.encode_utf8(&mut [0; 4])).collect();
    seen.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_of_the_reserved_prefix_are_found() {
        for text in [
            "System:masters",
            "SYSTEM:masters",
            "sYstem:",
            "system\u{ff1a}masters",
            "system\u{fe55}masters",
            "system\u{fe13}masters",
            "system\u{2236}masters",
            "system\u{a789}masters",
            "system\u{589}masters",
            "\u{ff53}ystem:masters",
            "\u{1d42c}ystem:masters",
            "\u{17f}ystem:masters",
            "\u{455}ystem:masters",
            "\u{405}YSTEM:masters",
            "s\u{443}stem:masters",
            "syst\u{435}m:masters",
            "syste\u{39c}:masters",
            "\u{405}Y\u{405}TEM:masters",
            "systern:masters",
            "system :masters",
            "s y s t e m : masters",
        ] {
            assert!(reserved_spelling(text), "{text:?}");
        }
    }

    #[test]
    fn the_exact_spelling_and_other_names_are_not_other_spellings() {
        for text in [
            "system:masters",
            "system:",
            "system",
            "systems:team",
            "system-team",
            "oidc:system:masters",
            "alice",
            "sophie@example.com",
            "José",
            "Søren",
            "石川",
            "Сергей",
        ] {
            assert!(!reserved_spelling(text), "{text:?}");
        }
    }

    #[test]
    fn spellings_of_a_group_are_compared_whole() {
        let group = "kubeconfig-apiserver:cluster-admins";
        for text in [
            group,
            "Kubeconfig-APIserver:cluster-admins",
            "kubeconf\u{406}g-AP\u{399}server:cluster-adm\u{456}ns",
            "kubeconfig-apiserver\u{ff1a}cluster-admins",
            "kubeconfig\u{2010}apiserver:cluster-admins",
            "kubec\u{43e}nfig-apiserver:cluster-admins",
            "kubeconfig-apiserver: cluster-admins",
        ] {
            assert!(is_spelling_of(group, text), "{text:?}");
        }
        for text in ["", "kubeconfig-apiserver:cluster-admin", "dev"] {
            assert!(!is_spelling_of(group, text), "{text:?}");
        }
    }
}
