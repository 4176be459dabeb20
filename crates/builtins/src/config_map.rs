//! `configmaps`: configuration of programs, as text or bytes.

use apiserver::cell;
use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Write};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use machinery::decode::protobuf::Message;
use machinery::field::{Error, ErrorList, Path};
use machinery::status::Status;
use machinery::table::Column;
use serde_json::Value;

use crate::data::{self, MAX_BYTES};
use crate::namespace::NamespaceLifecycle;
use crate::protobuf;

/// Returns the description of the kind.
pub fn description() -> Description {
    Description {
        group: "",
        version: "v1",
        kind: "ConfigMap",
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: Verb::ALL,
        subresources: &[],
        schema: KindSchema::of::<ConfigMap>(),
    }
}

/// The index of the kind, which has no field selectors.
pub const INDEX: Index<ConfigMap> = Index::NONE;

const COLUMNS: [Column; 3] = [
    Column::NAME,
    Column::string("Data", "Number of entries in data and binaryData."),
    cell::AGE,
];

/// The strategy of ConfigMaps (`pkg/registry/core/configmap`).
#[derive(Clone)]
pub struct ConfigMaps {
    registry: Registry<ConfigMap>,
    lifecycle: NamespaceLifecycle,
}

impl ConfigMaps {
    /// Creates the strategy for these objects.
    pub fn new(registry: Registry<ConfigMap>, lifecycle: NamespaceLifecycle) -> Self {
        Self {
            registry,
            lifecycle,
        }
    }
}

#[async_trait]
impl Resource for ConfigMaps {
    type Object = ConfigMap;

    fn registry(&self) -> &Registry<ConfigMap> {
        &self.registry
    }

    fn protobuf(&self) -> Option<&'static Message> {
        Some(&protobuf::CONFIG_MAP)
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &ConfigMap, now: Timestamp) -> Vec<Value> {
        let texts = object.data.as_ref().map_or(0, |data| data.len());
        let bytes = object.binary_data.as_ref().map_or(0, |data| data.len());
        let metadata = &object.metadata;
        vec![
            cell::name(metadata),
            (texts + bytes).into(),
            cell::age(metadata, now),
        ]
    }

    fn validate(&self, object: &ConfigMap, live: Option<&ConfigMap>) -> ErrorList {
        let mut errors = validate_entries(object);
        if let Some(live) = live.filter(|live| live.immutable == Some(true)) {
            let frozen = [
                ("immutable", object.immutable != Some(true)),
                ("data", object.data != live.data),
                ("binaryData", object.binary_data != live.binary_data),
            ];
            errors.extend(data::frozen_changes(frozen));
        }
        errors
    }

    async fn admit(&self, _: &RequestContext, write: Write<'_, ConfigMap>) -> Result<(), Status> {
        match write {
            Write::Create(object) => self.lifecycle.admit(&self.registry, object).await,
            Write::Update { .. } | Write::Delete(_) => Ok(()),
        }
    }

    async fn create(
        &self,
        _: &RequestContext,
        object: ConfigMap,
        dry_run: bool,
    ) -> Result<ConfigMap, Status> {
        self.lifecycle.insert(&self.registry, object, dry_run).await
    }
}

/// Checks the keys, and the total size of all values (`pkg/apis/core/validation`,
/// `ValidateConfigMap`).
fn validate_entries(object: &ConfigMap) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut size = 0;
    let path = Path::root("data");
    for (key, value) in object.data.iter().flatten() {
        errors.extend(data::key_errors(&path, key));
        let is_twice = object
            .binary_data
            .as_ref()
            .is_some_and(|bytes| bytes.contains_key(key));
        if is_twice {
            let text = "duplicate of key present in binaryData";
            errors.push(Error::invalid(&path.key(key), key, text));
        }
        size += value.len();
    }
    let path = Path::root("binaryData");
    for (key, value) in object.binary_data.iter().flatten() {
        errors.extend(data::key_errors(&path, key));
        size += value.0.len();
    }
    if size > MAX_BYTES {
        errors.push(Error::too_long(&Path::root(""), MAX_BYTES));
    }
    errors
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::ByteString;

    use super::*;

    #[track_caller]
    fn check(texts: &[(&str, usize)], bytes: &[&str], expected: &[&str]) {
        let texts = texts
            .iter()
            .map(|(key, size)| ((*key).to_owned(), "x".repeat(*size)));
        let bytes = bytes
            .iter()
            .map(|key| ((*key).to_owned(), ByteString(vec![0])));
        let object = ConfigMap {
            data: Some(texts.collect::<BTreeMap<_, _>>()),
            binary_data: Some(bytes.collect::<BTreeMap<_, _>>()),
            ..ConfigMap::default()
        };
        let errors: Vec<String> = validate_entries(&object)
            .iter()
            .map(Error::to_string)
            .collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn entries_have_file_names_and_stay_below_a_mebibyte() {
        check(&[("a.conf", 1)], &["b_c-D"], &[]);
        check(
            &[("both", 1)],
            &["both"],
            &[r#"data[both]: Invalid value: "both": duplicate of key present in binaryData"#],
        );
        check(&[("a", MAX_BYTES - 1)], &["b"], &[]);
        check(
            &[("a", MAX_BYTES)],
            &["b"],
            &[": Too long: may not be more than 1048576 bytes"],
        );
    }
}
