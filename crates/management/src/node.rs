//! `nodes.management.cattle.io`: the machines of clusters with a direct endpoint, in the namespace
//! that has the ID of their cluster as its name.

use api::management::Node;
use apiserver::cell::{AGE, age};
use apiserver::description::{Description, KindSchema, Scope};
use apiserver::registry::Registry;
use apiserver::resource::Resource;
use apiserver::stored_object::Index;
use async_trait::async_trait;
use jiff::Timestamp;
use machinery::table::Column;
use serde_json::Value;

use crate::description::describe;

/// Returns the description of the kind.
pub fn description() -> Description {
    Description {
        scope: Scope::Namespaced,
        ..describe(
            Node::KIND,
            Node::PLURAL,
            Node::SINGULAR,
            KindSchema::of::<Node>(),
        )
    }
}

/// The index of nodes, which can be selected by name and labels only.
pub const INDEX: Index<Node> = Index::NONE;

const COLUMNS: [Column; 5] = [
    Column::NAME,
    Column::string("Ready", "Whether the node is ready to run pods."),
    Column::string("Roles", "Roles of the node in its cluster."),
    Column::string("Address", "Address of the node.").wide(),
    AGE,
];

/// The strategy of nodes.
pub struct Nodes {
    /// The stored nodes.
    pub registry: Registry<Node>,
}

#[async_trait]
impl Resource for Nodes {
    type Object = Node;

    fn registry(&self) -> &Registry<Node> {
        &self.registry
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, node: &Node, now: Timestamp) -> Vec<Value> {
        let roles = [
            ("control-plane", node.spec.control_plane),
            ("etcd", node.spec.etcd),
            ("worker", node.spec.worker),
        ];
        let roles: Vec<&str> = roles
            .iter()
            .filter(|(_, has)| *has)
            .map(|(role, _)| *role)
            .collect();
        vec![
            node.metadata.name.as_deref().into(),
            if node.is_ready() {
                "True".into()
            } else {
                "False".into()
            },
            roles.join(",").into(),
            node.address().unwrap_or_default().into(),
            age(&node.metadata, now),
        ]
    }
}
