//! Discovery: which groups, versions, resources and verbs this server has.
//!
//! Clients learn it in two ways, and both are computed here from the same descriptions:
//! * the plain documents: `/api`, `/api/v1`, `/apis`, `/apis/GROUP`, `/apis/GROUP/VERSION`
//!   (`k8s.io/apiserver` `pkg/endpoints/discovery`);
//! * the aggregated ones, which say everything at once, by content negotiation at `/api` and
//!   `/apis`
//!   (KEP-3352, `pkg/endpoints/discovery/aggregated`).
//!
//! `Discovery` holds finished JSON. Negotiation, YAML, headers and `If-None-Match` belong to the
//! handlers. Where the served kinds change (a feature is switched off), build it anew and swap it.
//!
//! `serverAddressByClientCIDRs` is left out: nobody reads it since the aggregator proxies, and the
//! address that a client reaches us by is not known here.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::description::Description;
use crate::document::Document;

mod aggregated;
mod plain;
mod version_order;

/// The priority that a group has unless told otherwise, in `k8s.io/apiserver` as well.
const DEFAULT_PRIORITY: i32 = 1000;

/// All discovery documents of a server.
#[derive(Clone, Debug)]
pub struct Discovery {
    plain: BTreeMap<String, Document>,
    aggregated: BTreeMap<AggregatedVersion, BTreeMap<&'static str, Document>>,
}

/// The versions of `apidiscovery.k8s.io` that are spoken. They differ in name only; kube-aggregator
/// before 1.30 knows the older alone.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum AggregatedVersion {
    /// `v2`.
    V2,
    /// `v2beta1`.
    V2Beta1,
}

/// Which groups come first. kubectl resolves a short name in the first group that has it.
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

    /// The plain document at a path without trailing slash, e.g. `/apis/wardle.example.com/v1`.
    /// There is none at `/api` where the core group is not served; clients tolerate that.
    pub fn document(&self, path: &str) -> Option<&Document> {
        self.plain.get(path)
    }

    /// The aggregated document at `/api` or `/apis`.
    pub fn aggregated(&self, version: AggregatedVersion, path: &str) -> Option<&Document> {
        self.aggregated.get(&version)?.get(path)
    }

    /// The paths that have a document, in alphabetical order: our part of the index at `/`.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.plain.keys().map(String::as_str)
    }
}

impl AggregatedVersion {
    /// The name of the version.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V2Beta1 => "v2beta1",
        }
    }
}

impl GroupPriorities {
    /// Ranks a group: higher comes first, 1000 is the default, equals are ordered by name.
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

/// Groups by priority, versions by maturity, kinds by plural.
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

/// The versions of one group, whose kinds are in order.
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
