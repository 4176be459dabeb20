//! `secrets`: credentials and other confidential data. The store encrypts them at rest.

mod types;

use apiserver::cell;
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Write};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use machinery::decode::protobuf::Message;
use machinery::field::{Error, ErrorList, Path};
use machinery::status::Status;
use machinery::table::Column;
use serde_json::Value;

use crate::data::{self, MAX_BYTES};
use crate::namespace::NamespaceLifecycle;
use crate::protobuf;

/// The type of Secrets that do not specify one.
const OPAQUE: &str = "Opaque";

/// Returns the description of the kind.
pub fn description() -> Description {
    Description {
        group: "",
        version: "v1",
        kind: "Secret",
        plural: "secrets",
        singular: "secret",
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: Verb::ALL,
        subresources: &[],
        schema: KindSchema::of::<Secret>(),
    }
}

/// The index of the kind, with its field selectors.
pub const INDEX: Index<Secret> = Index {
    owner: |_| None,
    fields: &[("type", |secret| vec![type_of(secret).to_owned()])],
    expires: None,
};

const COLUMNS: [Column; 4] = [
    Column::NAME,
    Column::string(
        "Type",
        "Type of the Secret, which determines the required entries.",
    ),
    Column::string("Data", "Number of entries."),
    cell::AGE,
];

/// The strategy of Secrets (`pkg/registry/core/secret`).
#[derive(Clone)]
pub struct Secrets {
    registry: Registry<Secret>,
    lifecycle: NamespaceLifecycle,
}

impl Secrets {
    /// Creates the strategy for these objects.
    pub fn new(registry: Registry<Secret>, lifecycle: NamespaceLifecycle) -> Self {
        Self {
            registry,
            lifecycle,
        }
    }
}

#[async_trait]
impl Resource for Secrets {
    type Object = Secret;

    fn registry(&self) -> &Registry<Secret> {
        &self.registry
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::SECRET)
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Secret, now: Timestamp) -> Vec<Value> {
        let entries = object.data.as_ref().map_or(0, |data| data.len());
        let metadata = &object.metadata;
        vec![
            cell::name(metadata),
            type_of(object).into(),
            entries.into(),
            cell::age(metadata, now),
        ]
    }

    fn prepare_create(&self, _: &RequestContext, object: &mut Secret) -> Result<(), Status> {
        complete(object, OPAQUE);
        Ok(())
    }

    /// Keeps the existing type if the client leaves it out.
    fn prepare_update(
        &self,
        _: &RequestContext,
        object: &mut Secret,
        live: &Secret,
    ) -> Result<(), Status> {
        complete(object, type_of(live));
        Ok(())
    }

    fn validate(&self, object: &Secret, live: Option<&Secret>) -> ErrorList {
        let mut errors = validate_entries(object);
        errors.extend(types::validate(object));
        if let Some(live) = live {
            errors.extend(validate_update(object, live));
        }
        errors
    }

    async fn admit(&self, _: &RequestContext, write: Write<'_, Secret>) -> Result<(), Status> {
        match write {
            Write::Create(object) => self.lifecycle.admit(&self.registry, object).await,
            Write::Update { .. } | Write::Delete(_) => Ok(()),
        }
    }

    async fn create(
        &self,
        _: &RequestContext,
        object: Secret,
        dry_run: bool,
    ) -> Result<Secret, Status> {
        self.lifecycle.insert(&self.registry, object, dry_run).await
    }
}

fn type_of(secret: &Secret) -> &str {
    secret.type_.as_deref().unwrap_or_default()
}

/// Sets the type, and moves the write-only `stringData` into `data`, where it replaces entries of
/// the same key.
fn complete(secret: &mut Secret, default_type: &str) {
    if type_of(secret).is_empty() {
        secret.type_ = Some(default_type.to_owned());
    }
    if let Some(texts) = secret.string_data.take() {
        let data = secret.data.get_or_insert_default();
        data.extend(
            texts
                .into_iter()
                .map(|(key, text)| (key, ByteString(text.into_bytes()))),
        );
    }
}

fn validate_entries(secret: &Secret) -> ErrorList {
    let path = Path::root("data");
    let mut errors = ErrorList::new();
    let mut size = 0;
    for (key, value) in secret.data.iter().flatten() {
        errors.extend(data::key_errors(&path, key));
        size += value.0.len();
    }
    if size > MAX_BYTES {
        errors.push(Error::too_long(&path, MAX_BYTES));
    }
    errors
}

fn validate_update(secret: &Secret, live: &Secret) -> ErrorList {
    let mut errors = ErrorList::new();
    if secret.type_ != live.type_ {
        let path = Path::root("type");
        errors.push(Error::invalid(&path, type_of(secret), "field is immutable"));
    }
    if live.immutable == Some(true) {
        let frozen = [
            ("immutable", secret.immutable != Some(true)),
            ("data", secret.data != live.data),
        ];
        errors.extend(data::frozen_changes(frozen));
    }
    errors
}

#[cfg(test)]
mod tests;
