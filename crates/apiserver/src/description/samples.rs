//! Kinds for tests: one namespaced, one cluster-scoped with subresources, one of the core group,
//! and one that can only be created.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Description, GroupVersionKind, KindSchema, Scope, Subresource, Verb};

/// A flunder of the well-known sample server.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[schemars(rename = "com.example.wardle.v1beta1.Flunder")]
#[serde(default)]
pub(crate) struct Flunder {
    /// Standard object's metadata.
    metadata: ObjectMeta,
    /// The desired state.
    spec: FlunderSpec,
}

/// What is wanted
/// of a flunder.
///
/// - more
/// - or less
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[schemars(rename = "com.example.wardle.v1beta1.FlunderSpec")]
#[serde(rename_all = "camelCase")]
pub(crate) struct FlunderSpec {
    /// Object that the flunder refers to.
    reference: String,
    /// How often, if at all.
    #[serde(default)]
    count: Option<u32>,
    /// Whether it is
    /// the default one.
    #[serde(default)]
    default: bool,
    #[serde(default)]
    kind_of_reference: Option<ReferenceKind>,
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    tags: Vec<String>,
    #[serde(default)]
    nested: Option<Box<FlunderSpec>>,
    #[serde(default)]
    by_name: BTreeMap<String, i64>,
    #[serde(default)]
    anything: serde_json::Value,
}

/// What a flunder refers to.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[schemars(rename = "com.example.wardle.v1beta1.ReferenceKind")]
pub(crate) enum ReferenceKind {
    /// to another flunder.
    #[default]
    Flunder,
    /// to a fischer.
    Fischer,
}

/// A fischer of the well-known sample server.
#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[schemars(rename = "com.example.wardle.v1.Fischer")]
#[serde(default)]
pub(crate) struct Fischer {
    /// Standard object's metadata.
    metadata: ObjectMeta,
}

/// Returns a namespaced kind with a short name, a category and few verbs.
pub(crate) fn flunders() -> Description {
    Description {
        group: "wardle.example.com",
        version: "v1beta1",
        kind: "Flunder",
        plural: "flunders",
        singular: "flunder",
        short_names: &["fl"],
        categories: &["all"],
        scope: Scope::Namespaced,
        verbs: &[Verb::Watch, Verb::List, Verb::Get, Verb::Create],
        subresources: &[],
        schema: KindSchema::of::<Flunder>(),
    }
}

/// Returns a cluster-scoped kind with every verb and two subresources.
pub(crate) fn fischers() -> Description {
    Description {
        group: "wardle.example.com",
        version: "v1",
        kind: "Fischer",
        plural: "fischers",
        singular: "fischer",
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: Verb::ALL,
        subresources: &[
            Subresource {
                name: "status",
                kind: GroupVersionKind {
                    group: "wardle.example.com",
                    version: "v1",
                    kind: "Fischer",
                },
                verbs: &[Verb::Update, Verb::Get, Verb::Patch],
            },
            Subresource {
                name: "scale",
                kind: GroupVersionKind {
                    group: "autoscaling",
                    version: "v1",
                    kind: "Scale",
                },
                verbs: &[Verb::Get],
            },
        ],
        schema: KindSchema::of::<Fischer>(),
    }
}

/// Returns a kind of the core group.
pub(crate) fn namespaces() -> Description {
    Description {
        group: "",
        version: "v1",
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        categories: &[],
        scope: Scope::Cluster,
        verbs: &[Verb::Get],
        subresources: &[],
        schema: KindSchema::of::<k8s_openapi::api::core::v1::Namespace>(),
    }
}

/// Returns a review kind: an action in the form of a kind, of which nothing is stored.
pub(crate) fn reviews() -> Description {
    Description {
        group: "authentication.k8s.io",
        version: "v1",
        kind: "TokenReview",
        plural: "tokenreviews",
        singular: "tokenreview",
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: &[Verb::Create],
        subresources: &[],
        schema: KindSchema::of::<k8s_openapi::api::authentication::v1::TokenReview>(),
    }
}
