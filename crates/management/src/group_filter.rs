//! The groups of logins that kubeconfigs and tokens carry: the setting `kubeconfig-groups`, and
//! `spec.groups` of a cluster.

use std::collections::HashSet;

use api::management::Cluster;
use api::management::cluster::{ClusterGroups, GROUP_PREFIX, LOCAL};
use auth::identity::{Part, is_spelling_of};
use auth::user::RESERVED_PREFIX;

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
                let mut all = patterns.iter().map(String::as_str);
                let is_valid = all.all(|pattern| !pattern.is_empty() && !is_keyword(pattern));
                is_valid.then_some(Self::Patterns(patterns))
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

/// Returns whether a pattern is probably a misplaced or misspelt `all` or `none`.
fn is_keyword(pattern: &str) -> bool {
    let keywords = ["all", "none"];
    keywords.iter().any(|it| pattern.eq_ignore_ascii_case(it))
}

/// Determines the groups that users carry into a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMapping {
    filter: GroupFilter,
    strip_prefix: String,
    add_prefix: String,
    admin_group: String,
}

impl GroupMapping {
    /// Returns the mapping of a cluster. The cluster `local` has the groups of the logins.
    pub fn of(cluster: &Cluster) -> Self {
        let groups = cluster.spec.groups.clone();
        let ClusterGroups {
            patterns,
            strip_prefix,
            add_prefix,
            in_tokens: _,
        } = groups.filter(|_| cluster.id() != LOCAL).unwrap_or_default();
        Self {
            filter: match patterns.is_empty() {
                true => GroupFilter::All,
                false => GroupFilter::Patterns(patterns),
            },
            strip_prefix,
            add_prefix,
            admin_group: cluster.admin_group().to_owned(),
        }
    }

    /// Returns whether a group is that of the cluster's administrators, however it is spelled. Only the
    /// files of administrators have it.
    pub fn is_admin_group(&self, group: &str) -> bool {
        is_spelling_of(&self.admin_group, group)
    }

    /// Returns the groups at the cluster of a user with these groups of a login, once each. Omits
    /// those that Kubernetes reserves, those whose names cannot be asserted, and those that only this
    /// server gives: the ones with its prefix, and the group of the cluster's administrators.
    pub fn apply(&self, groups: &[String]) -> Vec<String> {
        let mut seen = HashSet::new();
        let selected = groups.iter().filter(|group| self.filter.selects(group));
        let names = selected.map(|group| {
            let name = group.strip_prefix(&self.strip_prefix).unwrap_or(group);
            format!("{}{name}", self.add_prefix)
        });
        names
            .filter(|name| self.may_be_carried(name) && seen.insert(name.clone()))
            .collect()
    }

    fn may_be_carried(&self, name: &str) -> bool {
        Part::Group.check(name).is_ok()
            && !name.starts_with(RESERVED_PREFIX)
            && !name.starts_with(GROUP_PREFIX)
            && !self.is_admin_group(name)
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
            ("ALL", None),
            (" none", None),
            ("none,all", None),
            ("team-*,all", None),
            ("all-hands", patterns(&["all-hands"])),
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

    #[test]
    fn a_mapping_omits_groups_that_no_cluster_may_learn_of() {
        let cluster = |id: &str| {
            let mut cluster = Cluster::default();
            cluster.metadata.name = Some(id.to_owned());
            cluster.spec.groups = Some(ClusterGroups {
                strip_prefix: "x:".to_owned(),
                ..ClusterGroups::default()
            });
            GroupMapping::of(&cluster)
        };
        let groups = [
            "x:a",
            "a",
            "x:",
            "x:system:masters",
            "x: b",
            "x:ѕystem：masters",
            "x:kubeconfig-apiserver:cluster-admins",
            "KUBECONFIG-apiserver:cluster-admins",
            "x:b",
        ];
        let groups = groups.map(str::to_owned);
        assert_eq!(cluster("c-a").apply(&groups), ["a", "b"]);
        // The mapping of the server's own cluster is not used.
        assert_eq!(cluster(LOCAL).apply(&groups)[0], "x:a");
    }
}
