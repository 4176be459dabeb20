//! `clusterroles` (`pkg/registry/rbac/clusterrole`).

use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Write};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use auth::rbac::escalation::changes_only_garbage_collection;
use auth::rbac::validation::validate_cluster_role;
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::ClusterRole;
use machinery::decode::protobuf::Message;
use machinery::field::{Error, ErrorList, Path};
use machinery::label_selector::LabelSelector;
use machinery::status::Status;
use machinery::table::Column;
use machinery::validation::NameRule;
use serde_json::Value;

use super::authority::{Authority, Granted};
use super::{ROLE_COLUMNS, VERSION, role_cells};
use crate::protobuf;

/// Returns the description of the kind.
pub fn description() -> Description {
    Description {
        group: auth::rbac::GROUP,
        version: VERSION,
        kind: "ClusterRole",
        plural: "clusterroles",
        singular: "clusterrole",
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: Verb::ALL,
        subresources: &[],
        schema: KindSchema::of::<ClusterRole>(),
    }
}

/// The index of the kind, which has no field selectors.
pub const INDEX: Index<ClusterRole> = Index::NONE;

/// The strategy of ClusterRoles.
#[derive(Clone)]
pub struct ClusterRoles {
    registry: Registry<ClusterRole>,
    authority: Authority,
}

impl ClusterRoles {
    /// Creates the strategy for these objects.
    pub fn new(registry: Registry<ClusterRole>, authority: Authority) -> Self {
        Self {
            registry,
            authority,
        }
    }
}

#[async_trait]
impl Resource for ClusterRoles {
    type Object = ClusterRole;

    fn registry(&self) -> &Registry<ClusterRole> {
        &self.registry
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::CLUSTER_ROLE)
    }

    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn columns(&self) -> &[Column] {
        &ROLE_COLUMNS
    }

    fn cells(&self, object: &ClusterRole, _: Timestamp) -> Vec<Value> {
        role_cells(&object.metadata)
    }

    fn validate(&self, object: &ClusterRole, _: Option<&ClusterRole>) -> ErrorList {
        let mut errors = validate_cluster_role(object);
        errors.extend(validate_aggregation(object));
        errors
    }

    async fn admit(
        &self,
        cx: &RequestContext,
        write: Write<'_, ClusterRole>,
    ) -> Result<(), Status> {
        let (object, live) = match write {
            Write::Create(object) => (object, None),
            Write::Update { object, live } => (object, Some(live)),
            Write::Delete(_) => return Ok(()),
        };
        if live.is_some_and(|live| changes_only_garbage_collection(object, live)) {
            return Ok(());
        }
        let resource = self.registry.group_resource();
        let rules = object.rules.as_deref().unwrap_or_default();
        let aggregates = aggregates(object) || live.is_some_and(aggregates);
        self.authority
            .role(
                cx,
                resource,
                &object.metadata,
                Granted { rules, aggregates },
            )
            .await
    }
}

/// Returns whether the role aggregates the rules of other roles.
fn aggregates(role: &ClusterRole) -> bool {
    let rule = role.aggregation_rule.as_ref();
    let selectors = rule.and_then(|rule| rule.cluster_role_selectors.as_ref());
    selectors.is_some_and(|selectors| !selectors.is_empty())
}

/// Checks the selectors of the aggregation rule. Invalid ones would silently select no roles.
fn validate_aggregation(role: &ClusterRole) -> ErrorList {
    let Some(rule) = &role.aggregation_rule else {
        return ErrorList::new();
    };
    let path = Path::root("aggregationRule.clusterRoleSelectors");
    let selectors = rule.cluster_role_selectors.as_deref().unwrap_or_default();
    if selectors.is_empty() {
        let text = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        return vec![Error::required(&path, text)];
    }
    let invalid = |(index, selector)| {
        let error = LabelSelector::from_label_selector(selector).err()?;
        let value = serde_json::to_value(selector).unwrap_or_default();
        Some(Error::invalid(&path.index(index), value, error.to_string()))
    };
    selectors.iter().enumerate().filter_map(invalid).collect()
}
