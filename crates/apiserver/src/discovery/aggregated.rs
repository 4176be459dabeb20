//! The aggregated discovery document, `APIGroupDiscoveryList`.
//!
//! Fields are in the order of the Go structs (`k8s.io/api` `apidiscovery/v2/types.go`). The
//! response kind is always present with all its fields: Go clients before 0.26.4 crash without it.

use serde::Serialize;

use crate::description::{Description, GroupVersionKind, Subresource};
use crate::discovery::plain::verb_names;
use crate::discovery::{AggregatedVersion, Group, Version};
use crate::document::Document;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupList {
    kind: &'static str,
    api_version: String,
    metadata: Metadata,
    items: Vec<GroupDiscovery>,
}

#[derive(Serialize)]
struct Metadata {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'static str,
}

#[derive(Serialize)]
struct GroupDiscovery {
    metadata: Metadata,
    versions: Vec<VersionDiscovery>,
}

#[derive(Serialize)]
struct VersionDiscovery {
    version: &'static str,
    resources: Vec<ResourceDiscovery>,
    freshness: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceDiscovery {
    resource: &'static str,
    response_kind: ResponseKind,
    scope: &'static str,
    singular_resource: &'static str,
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'static [&'static str],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<SubresourceDiscovery>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubresourceDiscovery {
    subresource: &'static str,
    response_kind: ResponseKind,
    verbs: Vec<&'static str>,
}

#[derive(Serialize)]
struct ResponseKind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
}

/// Returns the document for these groups.
pub(super) fn document(version: AggregatedVersion, groups: &[Group<'_>]) -> Document {
    Document::json_line(&GroupList {
        kind: "APIGroupDiscoveryList",
        api_version: format!("apidiscovery.k8s.io/{}", version.as_str()),
        metadata: Metadata { name: "" },
        items: groups.iter().map(group_discovery).collect(),
    })
}

fn group_discovery(group: &Group<'_>) -> GroupDiscovery {
    GroupDiscovery {
        metadata: Metadata { name: group.name },
        versions: group.versions.iter().map(version_discovery).collect(),
    }
}

fn version_discovery(version: &Version<'_>) -> VersionDiscovery {
    VersionDiscovery {
        version: version.name,
        resources: version
            .kinds
            .iter()
            .map(|kind| resource_discovery(kind))
            .collect(),
        freshness: "Current",
    }
}

fn resource_discovery(kind: &Description) -> ResourceDiscovery {
    let mut subresources: Vec<_> = kind
        .subresources
        .iter()
        .map(subresource_discovery)
        .collect();
    subresources.sort_by_key(|below| below.subresource);
    ResourceDiscovery {
        resource: kind.plural,
        response_kind: response_kind(kind.gvk()),
        scope: kind.scope.as_str(),
        singular_resource: kind.singular,
        verbs: verb_names(kind.verbs),
        short_names: kind.short_names,
        categories: kind.categories,
        subresources,
    }
}

fn subresource_discovery(subresource: &Subresource) -> SubresourceDiscovery {
    SubresourceDiscovery {
        subresource: subresource.name,
        response_kind: response_kind(subresource.kind),
        verbs: verb_names(subresource.verbs),
    }
}

fn response_kind(kind: GroupVersionKind) -> ResponseKind {
    ResponseKind {
        group: kind.group,
        version: kind.version,
        kind: kind.kind,
    }
}
