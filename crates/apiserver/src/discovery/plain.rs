//! The discovery documents of metav1: `APIVersions`, `APIGroupList`, `APIGroup`, `APIResourceList`.
//!
//! Fields are in the order of the Go structs (apimachinery `pkg/apis/meta/v1/types.go`).

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use crate::description::{Description, Scope, Subresource, Verb};
use crate::discovery::{Group, Version};
use crate::document::Document;

/// The number of digest bytes in a storage version hash.
const STORAGE_VERSION_HASH_BYTES: usize = 8;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiVersions {
    kind: &'static str,
    versions: Vec<&'static str>,
    #[serde(rename = "serverAddressByClientCIDRs")]
    server_address_by_client_cidrs: [(); 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiGroupList {
    kind: &'static str,
    api_version: &'static str,
    groups: Vec<ApiGroup>,
}

/// A group as a separate document. Unlike an item of a list, it includes its type.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiGroupDocument {
    kind: &'static str,
    api_version: &'static str,
    #[serde(flatten)]
    group: ApiGroup,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiGroup {
    name: &'static str,
    versions: Vec<GroupVersion>,
    /// The first version. A group has at least one.
    preferred_version: Option<GroupVersion>,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupVersion {
    group_version: String,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResourceList {
    kind: &'static str,
    /// Omitted for the core group, whose first clients are older than this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'static str>,
    group_version: String,
    resources: Vec<ApiResource>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResource {
    name: String,
    singular_name: &'static str,
    namespaced: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'static str,
    kind: &'static str,
    verbs: Vec<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    short_names: &'static [&'static str],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    categories: &'static [&'static str],
    #[serde(skip_serializing_if = "String::is_empty")]
    storage_version_hash: String,
}

/// Returns `/apis`, and a document for each group and each of its versions.
pub(super) fn named_groups(groups: &[Group<'_>]) -> BTreeMap<String, Document> {
    let mut documents = BTreeMap::new();
    let list = ApiGroupList {
        kind: "APIGroupList",
        api_version: "v1",
        groups: groups.iter().map(api_group).collect(),
    };
    documents.insert("/apis".to_owned(), Document::json_line(&list));
    for group in groups {
        let content = ApiGroupDocument {
            kind: "APIGroup",
            api_version: "v1",
            group: api_group(group),
        };
        documents.insert(
            format!("/apis/{}", group.name),
            Document::json_line(&content),
        );
        documents.extend(
            group
                .versions
                .iter()
                .map(|version| resources(version, Some("v1"))),
        );
    }
    documents
}

/// Returns `/api`, and a document for each version of the core group. They omit `apiVersion`,
/// because the first clients cannot parse it.
pub(super) fn core_group(group: &Group<'_>) -> BTreeMap<String, Document> {
    let versions = ApiVersions {
        kind: "APIVersions",
        versions: group.versions.iter().map(|version| version.name).collect(),
        server_address_by_client_cidrs: [],
    };
    let mut documents = BTreeMap::new();
    documents.insert("/api".to_owned(), Document::json_line(&versions));
    documents.extend(
        group
            .versions
            .iter()
            .map(|version| resources(version, None)),
    );
    documents
}

fn api_group(group: &Group<'_>) -> ApiGroup {
    let versions: Vec<_> = group
        .versions
        .iter()
        .map(|version| GroupVersion {
            group_version: format!("{}/{}", group.name, version.name),
            version: version.name,
        })
        .collect();
    ApiGroup {
        name: group.name,
        preferred_version: versions.first().cloned(),
        versions,
    }
}

/// Returns the document of a version, and its path.
fn resources(version: &Version<'_>, api_version: Option<&'static str>) -> (String, Document) {
    let mut resources = Vec::new();
    for kind in &version.kinds {
        resources.push(resource(kind));
        resources.extend(
            kind.subresources
                .iter()
                .map(|below| subresource(kind, below)),
        );
    }
    resources.sort_by(|one, other| one.name.cmp(&other.name));
    let content = ApiResourceList {
        kind: "APIResourceList",
        api_version,
        group_version: version.group_version.clone(),
        resources,
    };
    (version.path.clone(), Document::json_line(&content))
}

fn resource(kind: &Description) -> ApiResource {
    ApiResource {
        name: kind.plural.to_owned(),
        singular_name: kind.singular,
        namespaced: kind.scope == Scope::Namespaced,
        group: "",
        version: "",
        kind: kind.kind,
        verbs: verb_names(kind.verbs),
        short_names: kind.short_names,
        categories: kind.categories,
        storage_version_hash: storage_version_hash(kind),
    }
}

fn subresource(parent: &Description, subresource: &Subresource) -> ApiResource {
    let body = subresource.kind;
    let is_foreign = (body.group, body.version) != (parent.group, parent.version);
    ApiResource {
        name: format!("{}/{}", parent.plural, subresource.name),
        singular_name: "",
        namespaced: parent.scope == Scope::Namespaced,
        group: if is_foreign { body.group } else { "" },
        version: if is_foreign { body.version } else { "" },
        kind: body.kind,
        verbs: verb_names(subresource.verbs),
        short_names: &[],
        categories: &[],
        storage_version_hash: String::new(),
    }
}

/// Returns the names of verbs, sorted.
pub(super) fn verb_names(verbs: &[Verb]) -> Vec<&'static str> {
    let mut verbs = verbs.to_vec();
    verbs.sort();
    verbs.into_iter().map(Verb::as_str).collect()
}

/// Returns the hash of the version in which objects are stored, which is the served version.
/// Returns an empty string for a kind that is not stored
/// (`pkg/endpoints/discovery/storageversionhash.go`).
fn storage_version_hash(kind: &Description) -> String {
    if !kind.has_verb(Verb::Watch) {
        return String::new();
    }
    let name = format!("{}/{}/{}", kind.group, kind.version, kind.kind);
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    BASE64_STANDARD.encode(&digest.as_ref()[..STORAGE_VERSION_HASH_BYTES])
}
