//! Discovery: the groups, versions, resources and verbs of this server.
//!
//! Clients read it in one of two forms. Both are computed here from the same descriptions:
//! * The plain documents: `/api`, `/api/v1`, `/apis`, `/apis/GROUP`, `/apis/GROUP/VERSION`
//!   (`k8s.io/apiserver` `pkg/endpoints/discovery`).
//! * The aggregated documents, which hold everything at once and are selected by content
//!   negotiation at `/api` and `/apis` (KEP-3352, `pkg/endpoints/discovery/aggregated`).
//!
//! `Discovery` holds encoded JSON. The handlers do negotiation, YAML, headers and `If-None-Match`.
//! If the set of served kinds changes (a feature is switched off), build a new `Discovery` and swap
//! it in.
//!
//! `serverAddressByClientCIDRs` is left out: clients do not read it behind the aggregator, and the
//! server does not know the address that a client used to reach it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::description::Description;
use crate::document::Document;

mod aggregated;
mod plain;
mod version_order;

/// The default priority of a group, as in `k8s.io/apiserver`.
const DEFAULT_PRIORITY: i32 = 1000;

/// All discovery documents of a server.
#[derive(Clone, Debug)]
pub struct Discovery {
    plain: BTreeMap<String, Document>,
    aggregated: BTreeMap<AggregatedVersion, BTreeMap<&'static str, Document>>,
}

/// The supported versions of `apidiscovery.k8s.io`. They differ only in name. kube-aggregator
/// before 1.30 supports only the older one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum AggregatedVersion {
    /// `v2`.
    V2,
    /// `v2beta1`.
    V2Beta1,
}

/// The order of the groups. kubectl resolves a short name in the first group that has it.
#[derive(Clone, Debug, Default)]
pub struct GroupPriorities {
    priorities: BTreeMap<&'static str, i32>,
}

/// One served group with its versions, most preferred first.
struct Group<'a> {
    name: &'static str,
    versions: Vec<Version<'a>>,
}

/// One served version with its kinds, by plural.
struct Version<'a> {
    name: &'static str,
    group_version: String,
    path: String,
    kinds: Vec<&'a Description>,
}

impl Discovery {
    /// Computes every document.
    pub fn build(descriptions: &[&Description], priorities: &GroupPriorities) -> Self {
        let (core, named): (Vec<_>, Vec<_>) = order(descriptions, priorities)
            .into_iter()
            .partition(|group| group.name.is_empty());
        let mut plain = plain::named_groups(&named);
        if let Some(group) = core.first() {
            plain.extend(plain::core_group(group));
        }
        let aggregated = [AggregatedVersion::V2, AggregatedVersion::V2Beta1].map(|version| {
            let mut documents = BTreeMap::new();
            documents.insert("/apis", aggregated::document(version, &named));
            if !core.is_empty() {
                documents.insert("/api", aggregated::document(version, &core));
            }
            (version, documents)
        });
        Self {
            plain,
            aggregated: aggregated.into(),
        }
    }

    /// Returns the plain document at a path without a trailing slash, e.g.
    /// `/apis/wardle.example.com/v1`. Returns `None` for `/api` if the core group is not served;
    /// clients tolerate that.
    pub fn document(&self, path: &str) -> Option<&Document> {
        self.plain.get(path)
    }

    /// Returns the aggregated document at `/api` or `/apis`.
    pub fn aggregated(&self, version: AggregatedVersion, path: &str) -> Option<&Document> {
        self.aggregated.get(&version)?.get(path)
    }

    /// Returns the paths that have a document, in alphabetical order. They are part of the index at
    /// `/`.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.plain.keys().map(String::as_str)
    }
}

impl AggregatedVersion {
    /// Returns the name of the version.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V2Beta1 => "v2beta1",
        }
    }
}

impl GroupPriorities {
    /// Sets the priority of a group. Higher priorities come first, 1000 is the default, and groups
    /// of equal priority are ordered by name.
    pub fn with(mut self, group: &'static str, priority: i32) -> Self {
        self.priorities.insert(group, priority);
        self
    }

    fn of(&self, group: &str) -> i32 {
        self.priorities
            .get(group)
            .copied()
            .unwrap_or(DEFAULT_PRIORITY)
    }
}

/// Sorts groups by priority, versions by maturity and kinds by plural.
fn order<'a>(descriptions: &[&'a Description], priorities: &GroupPriorities) -> Vec<Group<'a>> {
    let mut sorted = descriptions.to_vec();
    sorted.sort_by(|one, other| {
        let group = |of: &Description| (Reverse(priorities.of(of.group)), of.group);
        group(one)
            .cmp(&group(other))
            .then_with(|| version_order::compare(one.version, other.version))
            .then_with(|| one.plural.cmp(other.plural))
    });
    sorted
        .chunk_by(|one, other| one.group == other.group)
        .map(|kinds| Group {
            name: kinds[0].group,
            versions: versions(kinds),
        })
        .collect()
}

/// Returns the versions of one group. `kinds` must be sorted.
fn versions<'a>(kinds: &[&'a Description]) -> Vec<Version<'a>> {
    kinds
        .chunk_by(|one, other| one.version == other.version)
        .map(|kinds| Version {
            name: kinds[0].version,
            group_version: kinds[0].group_version(),
            path: kinds[0].path(),
            kinds: kinds.to_vec(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
