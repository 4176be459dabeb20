//! `namespaces`: their strategy, their deletion, and the admission of objects in them.
//!
//! A namespace that is deleted becomes `Terminating`. It exists while it has the finalizer
//! `kubernetes`, until [`NamespaceEmptier`] has deleted everything in it. Meanwhile
//! [`NamespaceLifecycle`] rejects new objects.

mod emptier;
mod lifecycle;

use apiserver::cell;
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Write};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, NamespaceStatus};
use machinery::decode::protobuf::Message;
use machinery::meta::MetadataExt;
use machinery::status::Status;
use machinery::table::Column;
use machinery::validation::NameRule;
use serde_json::Value;

use crate::protobuf;
pub use emptier::NamespaceEmptier;
pub use lifecycle::NamespaceLifecycle;

/// The finalizer for the content of a namespace.
const CONTENT_FINALIZER: &str = "kubernetes";

/// The label that holds the name, for label selectors.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

const ACTIVE: &str = "Active";
const TERMINATING: &str = "Terminating";

/// Namespaces that are never deleted (admission plugin `NamespaceLifecycle`).
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// Returns the description of the kind. Like upstream, namespaces cannot be deleted as a
/// collection.
pub fn description() -> Description {
    Description {
        group: "",
        version: "v1",
        kind: "Namespace",
        plural: "namespaces",
        singular: "namespace",
        short_names: &["ns"],
        categories: &[],
        scope: Scope::Cluster,
        verbs: &[
            Verb::Create,
            Verb::Delete,
            Verb::Get,
            Verb::List,
            Verb::Patch,
            Verb::Update,
            Verb::Watch,
        ],
        subresources: &[],
        schema: KindSchema::of::<Namespace>(),
    }
}

/// The index of the kind, with its field selectors.
pub const INDEX: Index<Namespace> = Index {
    owner: |_| None,
    fields: &[("status.phase", |namespace| {
        vec![phase(namespace).to_owned()]
    })],
    expires: None,
};

const COLUMNS: [Column; 3] = [
    Column::NAME,
    Column::string("Status", "The status of the namespace"),
    cell::AGE,
];

/// The strategy of namespaces (`pkg/registry/core/namespace`).
#[derive(Clone)]
pub struct Namespaces {
    registry: Registry<Namespace>,
}

impl Namespaces {
    /// Creates the strategy for these objects.
    pub fn new(registry: Registry<Namespace>) -> Self {
        Self { registry }
    }
}

#[async_trait]
impl Resource for Namespaces {
    type Object = Namespace;

    fn registry(&self) -> &Registry<Namespace> {
        &self.registry
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::NAMESPACE)
    }

    fn name_rule(&self) -> NameRule {
        NameRule::Dns1123Label
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Namespace, now: Timestamp) -> Vec<Value> {
        let metadata = &object.metadata;
        vec![
            cell::name(metadata),
            phase(object).into(),
            cell::age(metadata, now),
        ]
    }

    fn reset_fields(&self) -> &'static [&'static str] {
        &["status"]
    }

    fn returns_deleted(&self) -> bool {
        true
    }

    fn prepare_create(&self, _: &RequestContext, object: &mut Namespace) -> Result<(), Status> {
        complete(object);
        Ok(())
    }

    fn prepare_update(
        &self,
        _: &RequestContext,
        object: &mut Namespace,
        live: &Namespace,
    ) -> Result<(), Status> {
        object.spec.clone_from(&live.spec);
        object.status.clone_from(&live.status);
        label_with_name(object);
        Ok(())
    }

    fn prepare_delete(&self, object: &mut Namespace) {
        object.status.get_or_insert_default().phase = Some(TERMINATING.to_owned());
    }

    fn waits(&self, object: &Namespace) -> bool {
        let finalizers = object.metadata.finalizers.as_deref().unwrap_or_default();
        !finalizers.is_empty() || !content_finalizers(object).is_empty()
    }

    async fn admit(&self, _: &RequestContext, write: Write<'_, Namespace>) -> Result<(), Status> {
        let Write::Delete(object) = write else {
            return Ok(());
        };
        let name = object.metadata.name();
        if IMMORTAL.contains(&name) {
            let text = "this namespace may not be deleted";
            return Err(Status::forbidden(
                self.registry.group_resource(),
                name,
                text,
            ));
        }
        Ok(())
    }

    /// Sets the label with the name. A generated name is known only at this point.
    async fn create(
        &self,
        _: &RequestContext,
        mut object: Namespace,
        dry_run: bool,
    ) -> Result<Namespace, Status> {
        label_with_name(&mut object);
        self.registry.store().insert(object, dry_run).await
    }
}

/// Adds the defaults of the server to a new namespace.
pub(crate) fn complete(namespace: &mut Namespace) {
    let finalizers = namespace
        .spec
        .get_or_insert_default()
        .finalizers
        .get_or_insert_default();
    if !finalizers
        .iter()
        .any(|finalizer| finalizer == CONTENT_FINALIZER)
    {
        finalizers.push(CONTENT_FINALIZER.to_owned());
    }
    namespace.status = Some(NamespaceStatus {
        phase: Some(ACTIVE.to_owned()),
        ..NamespaceStatus::default()
    });
    label_with_name(namespace);
}

fn label_with_name(namespace: &mut Namespace) {
    if let Some(name) = namespace
        .metadata
        .name
        .clone()
        .filter(|name| !name.is_empty())
    {
        let labels = namespace.metadata.labels.get_or_insert_default();
        labels.insert(NAME_LABEL.to_owned(), name);
    }
}

fn phase(namespace: &Namespace) -> &str {
    let status = namespace.status.as_ref();
    status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or_default()
}

fn is_terminating(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_some() || phase(namespace) == TERMINATING
}

fn content_finalizers(namespace: &Namespace) -> &[String] {
    let spec = namespace.spec.as_ref();
    spec.and_then(|spec| spec.finalizers.as_deref())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn namespace(value: Value) -> Namespace {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_new_namespace_is_completed() {
        #[track_caller]
        fn check(given: Value, expected: Value) {
            let mut object = namespace(given);
            complete(&mut object);
            assert_eq!(object, namespace(expected));
        }
        let labels = json!({NAME_LABEL: "shop"});
        let complete = json!({
            "metadata": {"name": "shop", "labels": labels},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        check(json!({"metadata": {"name": "shop"}}), complete.clone());
        check(complete.clone(), complete);
        // A name that is to be generated is not known yet.
        check(
            json!({
                "metadata": {"generateName": "shop-", "name": ""},
                "spec": {"finalizers": ["a", "kubernetes", "b"]},
                "status": {"phase": "Terminating", "conditions": []},
            }),
            json!({
                "metadata": {"generateName": "shop-", "name": ""},
                "spec": {"finalizers": ["a", "kubernetes", "b"]},
                "status": {"phase": "Active"},
            }),
        );
    }

    #[test]
    fn a_namespace_terminates_by_its_mark_or_its_phase() {
        #[track_caller]
        fn check(value: Value, expected: bool) {
            assert_eq!(is_terminating(&namespace(value)), expected);
        }
        check(json!({"metadata": {}}), false);
        check(
            json!({"metadata": {}, "status": {"phase": "Active"}}),
            false,
        );
        check(
            json!({"metadata": {}, "status": {"phase": "Terminating"}}),
            true,
        );
        let marked = json!({"deletionTimestamp": "2026-01-02T03:04:05Z"});
        check(
            json!({"metadata": marked, "status": {"phase": "Active"}}),
            true,
        );
    }
}
