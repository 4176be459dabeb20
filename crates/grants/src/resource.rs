//! The strategy of ClusterGrants.

use api::ext::cluster_grant::{ClusterGrantSpec, GrantSubject};
use api::ext::{self, ClusterGrant};
use apiserver::cell::{AGE, age, name};
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Write};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use auth::Attributes;
use jiff::Timestamp;
use machinery::field::{ErrorList, Path};
use machinery::human_duration::human_duration;
use machinery::label_selector::LabelSelector;
use machinery::meta::MetadataExt;
use machinery::status::Status;
use machinery::table::Column;
use management::cluster::{may_delete, may_get};
use management::record_size::{check_description, check_metadata};
use serde_json::Value;

use crate::limits::GrantLimits;
use crate::validation::validate;

/// Returns the description of the kind.
pub fn description() -> Description {
    Description {
        group: ext::GROUP,
        version: ext::VERSION,
        kind: ClusterGrant::KIND,
        plural: ClusterGrant::PLURAL,
        singular: ClusterGrant::SINGULAR,
        short_names: &[],
        categories: &[],
        scope: Scope::Cluster,
        verbs: Verb::ALL,
        subresources: &[],
        schema: KindSchema::of::<ClusterGrant>(),
    }
}

/// The index of grants, which can be selected by name and labels only.
pub const INDEX: Index<ClusterGrant> = Index::NONE;

/// The verb that permits grants of permissions that the caller does not have, as in RBAC.
const ESCALATE: &str = "escalate";

const COLUMNS: [Column; 7] = [
    Column::NAME,
    Column::string(
        "Subjects",
        "Users, groups and ServiceAccounts that have the grant.",
    ),
    Column::string(
        "Clusters",
        "Names of clusters, and the selector of their labels.",
    ),
    Column::string(
        "Groups",
        "Groups that the subjects are members of in these clusters.",
    ),
    Column::string("Max TTL", "Maximum lifetime of kubeconfigs and tokens.").wide(),
    AGE,
    Column::string("Description", "Description of the grant.").wide(),
];

/// The strategy of grants.
///
/// Grants are checked like roles of RBAC: the caller must have what the grant gives, by RBAC alone.
/// A grant of clusters needs the right to `get` them, and a grant of groups or of administrators'
/// files the right to `delete` them, which administrators of a cluster have. For a selector, the
/// caller must have the right to all clusters. A caller with the verb `escalate` on
/// `clustergrants` may grant anything.
pub struct ClusterGrants {
    /// The stored grants.
    pub registry: Registry<ClusterGrant>,
    /// Decides on the rights of callers without grants.
    pub limits: GrantLimits,
}

impl ClusterGrants {
    async fn check_escalation(
        &self,
        cx: &RequestContext,
        grant: &ClusterGrant,
    ) -> Result<(), Status> {
        let resource = self.registry.group_resource();
        let name = grant.metadata.name();
        let escalate =
            Attributes::resource(ESCALATE, ext::GROUP, ClusterGrant::PLURAL).object(name);
        if cx.may(&escalate).await? {
            return Ok(());
        }
        let spec = &grant.spec;
        let administers = !spec.groups.is_empty() || spec.admin_downloads;
        let (verb, wanted): (_, fn(&str) -> Attributes) = match administers {
            true => ("delete", may_delete),
            false => ("get", may_get),
        };
        let selected = spec.clusters.selector.as_ref().map(|_| "");
        let named = spec.clusters.names.iter().map(String::as_str);
        for cluster in selected.into_iter().chain(named) {
            if !self.limits.rbac_allows(&cx.user, &wanted(cluster)).await? {
                let user = &cx.user.name;
                let (what, it) = match cluster {
                    "" => ("all clusters".to_owned(), "them"),
                    name => (format!("cluster {name}"), "it"),
                };
                let why = match administers {
                    true => format!(
                        "user {user:?} may not grant groups or administrators' files in {what}: that requires the permission to {verb} {it} by RBAC, or the verb escalate on clustergrants"
                    ),
                    false => format!(
                        "user {user:?} may not grant access to {what}: that requires the permission to {verb} {it} by RBAC, or the verb escalate on clustergrants"
                    ),
                };
                return Err(Status::forbidden(resource, name, &why));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Resource for ClusterGrants {
    type Object = ClusterGrant;

    fn registry(&self) -> &Registry<ClusterGrant> {
        &self.registry
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, grant: &ClusterGrant, now: Timestamp) -> Vec<Value> {
        let spec = &grant.spec;
        let ttl = spec.max_ttl_seconds.map(human_duration).unwrap_or_default();
        vec![
            name(&grant.metadata),
            subjects(&spec.subjects).into(),
            clusters(spec).into(),
            spec.groups.join(", ").into(),
            ttl.into(),
            age(&grant.metadata, now),
            spec.description.as_str().into(),
        ]
    }

    fn validate(&self, grant: &ClusterGrant, live: Option<&ClusterGrant>) -> ErrorList {
        let described = live.map(|live| live.spec.description.as_str());
        let mut errors = validate(&grant.spec, &Path::root("spec"));
        errors.extend(check_description(&grant.spec.description, described));
        let metadata = live.map(|live| &live.metadata);
        errors.extend(check_metadata(&grant.metadata, metadata));
        errors
    }

    async fn admit(
        &self,
        cx: &RequestContext,
        write: Write<'_, ClusterGrant>,
    ) -> Result<(), Status> {
        match write {
            Write::Create(grant) => self.check_escalation(cx, grant).await,
            Write::Update { object, live } if !is_same_grant(&object.spec, &live.spec) => {
                self.check_escalation(cx, object).await
            }
            Write::Update { .. } | Write::Delete(_) => Ok(()),
        }
    }
}

/// Returns whether two differ at most in their descriptions.
fn is_same_grant(one: &ClusterGrantSpec, other: &ClusterGrantSpec) -> bool {
    let described = ClusterGrantSpec {
        description: other.description.clone(),
        ..one.clone()
    };
    described == *other
}

fn subjects(subjects: &[GrantSubject]) -> String {
    let shown = subjects.iter().map(|subject| {
        let name = match subject.namespace.as_str() {
            "" => subject.name.clone(),
            namespace => format!("{namespace}/{}", subject.name),
        };
        format!("{}:{name}", subject.kind)
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn clusters(spec: &ClusterGrantSpec) -> String {
    let mut shown = spec.clusters.names.clone();
    let selector = spec.clusters.selector.as_ref();
    let selector = selector.map(LabelSelector::from_label_selector);
    shown.extend(selector.map(|selector| match selector {
        Ok(selector) if selector.is_empty() => "*".to_owned(),
        Ok(selector) => format!("({selector})"),
        Err(_) => "(invalid)".to_owned(),
    }));
    shown.join(", ")
}
