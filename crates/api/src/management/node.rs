//! `nodes.management.cattle.io`: a machine of a cluster, namespaced by the cluster's id.
//!
//! Kubeconfig files of a cluster with an authorized cluster endpoint but no FQDN have an entry per
//! control-plane node, which is made of the fields here.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeAddress, NodeCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Condition;
use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;
use crate::labels;
use machinery::meta::{MetadataExt, serialize_go_order};

/// A machine of a cluster. Its namespace is the name of the cluster.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "io.cattle.management.v3.Node", transform = unwrap_lines)]
pub struct Node {
    /// Standard object metadata.
    #[serde(
        default,
        serialize_with = "serialize_go_order",
        deserialize_with = "null_as_zero"
    )]
    pub metadata: ObjectMeta,

    /// The names and roles of the machine.
    #[serde(default, deserialize_with = "null_as_zero")]
    pub spec: NodeSpec,

    /// The observed state of the machine. Set by the server.
    #[serde(default, deserialize_with = "null_as_zero")]
    pub status: NodeStatus,
}

/// The names and roles of a machine.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.NodeSpec", transform = unwrap_lines)]
pub struct NodeSpec {
    /// Whether the machine runs the control plane, so that the cluster's API is reached at its
    /// address. Defaults to false.
    #[serde(deserialize_with = "null_as_zero")]
    pub control_plane: bool,

    /// Whether the machine runs etcd. Defaults to false.
    #[serde(deserialize_with = "null_as_zero")]
    pub etcd: bool,

    /// Whether the machine runs workloads. Defaults to false.
    #[serde(deserialize_with = "null_as_zero")]
    pub worker: bool,

    /// The host name of the machine; entries of kubeconfig files are named after it.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub requested_hostname: String,

    /// The name that people know the machine by.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub display_name: String,
}

/// The observed state of a machine. Set by the server.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.NodeStatus", transform = unwrap_lines)]
pub struct NodeStatus {
    /// The name of the node in its cluster.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub node_name: String,

    /// The annotations of the node in its cluster.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_as_zero"
    )]
    pub node_annotations: BTreeMap<String, String>,

    /// The report of the cluster itself about the node.
    #[serde(deserialize_with = "null_as_zero")]
    pub internal_node_status: InternalNodeStatus,
}

/// The report of a cluster about a node: a part of the `status` of its core/v1 `Node`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.InternalNodeStatus", transform = unwrap_lines)]
pub struct InternalNodeStatus {
    /// The addresses of the node, the most important of each type first.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub addresses: Vec<NodeAddress>,

    /// The state of the node, by type, e.g. `Ready`.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_zero"
    )]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-merge-key" = "type",
        "x-kubernetes-patch-strategy" = "merge",
    ))]
    pub conditions: Vec<NodeCondition>,
}

impl Node {
    /// The kind.
    pub const KIND: &str = "Node";
    /// The resource name.
    pub const PLURAL: &str = "nodes";
    /// The singular name.
    pub const SINGULAR: &str = "node";

    /// Returns the id of the cluster that the node belongs to.
    pub fn cluster(&self) -> &str {
        self.metadata.namespace()
    }

    /// Returns the address at which users reach the node: its external address as reported by the
    /// cluster, else that of the annotation [`labels::NODE_EXTERNAL_IP`], else its internal
    /// address.
    pub fn address(&self) -> Option<&str> {
        let annotation = self.status.node_annotations.get(labels::NODE_EXTERNAL_IP);
        self.reported_address("ExternalIP")
            .or(annotation
                .map(String::as_str)
                .filter(|address| !address.is_empty()))
            .or_else(|| self.reported_address("InternalIP"))
    }

    /// Returns whether the cluster reports the node as ready.
    pub fn is_ready(&self) -> bool {
        let conditions = &self.status.internal_node_status.conditions;
        conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == Condition::TRUE)
    }

    fn reported_address(&self, type_: &str) -> Option<&str> {
        let addresses = &self.status.internal_node_status.addresses;
        addresses
            .iter()
            .find(|address| address.type_ == type_ && !address.address.is_empty())
            .map(|address| address.address.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(addresses: &[(&str, &str)], annotation: &str) -> Node {
        let mut node = Node::default();
        let address = |&(type_, address): &(&str, &str)| NodeAddress {
            type_: type_.to_owned(),
            address: address.to_owned(),
        };
        node.status.internal_node_status.addresses = addresses.iter().map(address).collect();
        let key = labels::NODE_EXTERNAL_IP.to_owned();
        node.status
            .node_annotations
            .insert(key, annotation.to_owned());
        node
    }

    #[test]
    fn a_node_is_reached_at_its_external_address_first() {
        let internal = ("InternalIP", "10.0.0.1");
        let cases: [(&[_], &str, Option<&str>); 6] = [
            (&[], "", None),
            (&[("Hostname", "cp1")], "", None),
            (&[internal, ("InternalIP", "fd00::1")], "", Some("10.0.0.1")),
            (&[internal], "203.0.113.1", Some("203.0.113.1")),
            (
                &[internal, ("ExternalIP", "203.0.113.2")],
                "203.0.113.1",
                Some("203.0.113.2"),
            ),
            (&[("ExternalIP", ""), internal], "", Some("10.0.0.1")),
        ];
        for (addresses, annotation, expected) in cases {
            assert_eq!(
                node(addresses, annotation).address(),
                expected,
                "{addresses:?}"
            );
        }
    }

    #[test]
    fn a_node_is_ready_if_its_cluster_says_so() {
        let cases: [(&[(&str, &str)], bool); 4] = [
            (&[], false),
            (&[("Ready", "Unknown")], false),
            (&[("DiskPressure", "True"), ("Ready", "False")], false),
            (&[("DiskPressure", "False"), ("Ready", "True")], true),
        ];
        for (conditions, expected) in cases {
            let mut node = Node::default();
            let condition = |&(type_, status): &(&str, &str)| NodeCondition {
                type_: type_.to_owned(),
                status: status.to_owned(),
                ..NodeCondition::default()
            };
            node.status.internal_node_status.conditions =
                conditions.iter().map(condition).collect();
            assert_eq!(node.is_ready(), expected, "{conditions:?}");
        }
    }
}
