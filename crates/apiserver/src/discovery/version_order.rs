//! The order of API versions: `v2`, `v1`, `v2beta1`, `v1beta2`, `v1alpha1`, then names of any other
//! form.
//!
//! The rule is that of apimachinery `pkg/version/helpers.go`.

use std::cmp::{Ordering, Reverse};

/// The rank of a version. Lower ranks are preferred.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Rank<'a> {
    Known(Stability, Reverse<u32>, Reverse<u32>),
    Other(&'a str),
}

#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Stability {
    Stable,
    Beta,
    Alpha,
}

/// Compares two versions. Returns `Less` if the first one is preferred.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    rank(one).cmp(&rank(other))
}

fn rank(version: &str) -> Rank<'_> {
    parse(version).unwrap_or(Rank::Other(version))
}

/// Parses `v<major>`, `v<major>beta<minor>` or `v<major>alpha<minor>`. Numbers have no leading
/// zero.
fn parse(version: &str) -> Option<Rank<'_>> {
    let rest = version.strip_prefix('v')?;
    let (major, stability, minor) = if let Some((major, minor)) = rest.split_once("beta") {
        (major, Stability::Beta, number(minor)?)
    } else if let Some((major, minor)) = rest.split_once("alpha") {
        (major, Stability::Alpha, number(minor)?)
    } else {
        (rest, Stability::Stable, 0)
    };
    Some(Rank::Known(
        stability,
        Reverse(number(major)?),
        Reverse(minor),
    ))
}

fn number(digits: &str) -> Option<u32> {
    if digits.starts_with(['0', '+']) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn stable_versions_come_first_and_newer_ones_before_older() {
        let expect = [
            "v10",
            "v2",
            "v1",
            "v11beta2",
            "v10beta3",
            "v3beta1",
            "v12alpha1",
            "v11alpha2",
            "foo1",
            "foo10",
            "v01",
            "v1+2",
            "v1beta",
        ];
        let mut versions = expect;
        versions.reverse();
        versions.sort_by(|one, other| compare(one, other));
        assert_eq!(versions, expect);
    }
}
