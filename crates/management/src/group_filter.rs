//! The groups of logins that kubeconfigs and tokens carry: the setting `kubeconfig-groups`.

/// Selects groups by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupFilter {
    /// Selects all groups.
    All,
    /// Selects no group.
    None,
    /// Selects the groups that match a pattern, in which `*` matches any text.
    Patterns(Vec<String>),
}

impl GroupFilter {
    /// Parses `all`, `none`, or patterns that are separated by commas. Returns `None` for an empty
    /// pattern.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "all" => Some(Self::All),
            "none" => Some(Self::None),
            _ => {
                let patterns = text.split(',').map(|pattern| pattern.trim().to_owned());
                let patterns: Vec<_> = patterns.collect();
                let is_complete = patterns.iter().all(|pattern| !pattern.is_empty());
                is_complete.then_some(Self::Patterns(patterns))
            }
        }
    }

    /// Returns whether the filter selects this group.
    pub fn selects(&self, group: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Patterns(patterns) => patterns.iter().any(|pattern| matches(pattern, group)),
        }
    }
}

/// Returns whether a text matches a pattern. Each part between two `*` is found at its first
/// position after the previous one, which never prevents a later part from being found.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    for part in middle.split('*') {
        let Some(found) = text.find(part) else {
            return false;
        };
        text = &text[found + part.len()..];
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_all_none_or_patterns() {
        let patterns = |patterns: &[&str]| {
            let patterns = patterns.iter().map(|&pattern| pattern.to_owned());
            Some(GroupFilter::Patterns(patterns.collect()))
        };
        for (text, expected) in [
            ("all", Some(GroupFilter::All)),
            ("none", Some(GroupFilter::None)),
            ("team-*", patterns(&["team-*"])),
            ("team-*, admins", patterns(&["team-*", "admins"])),
            ("", None),
            ("a,,b", None),
            ("a,", None),
        ] {
            assert_eq!(GroupFilter::parse(text), expected, "{text:?}");
        }
    }

    #[test]
    fn patterns_match_whole_names() {
        #[track_caller]
        fn check(pattern: &str, group: &str, expected: bool) {
            let filter = GroupFilter::parse(pattern).unwrap();
            assert_eq!(filter.selects(group), expected, "{pattern} {group}");
        }
        check("all", "x", true);
        check("none", "x", false);
        check("admins", "admins", true);
        check("admins", "admins2", false);
        check("admins,team-*", "team-a", true);
        check("team-*", "my-team-a", false);
        check("*-a", "team-a", true);
        check("*-a", "team-ab", false);
        check("*", "x", true);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "a-c", false);
        check("a*a", "a", false);
        check("**", "x", true);
        check("a*b*b", "ab", false);
    }
}
