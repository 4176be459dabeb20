//! Fischers: cluster-scoped objects that list disallowed names of flunders.

use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::{Registries, Registry};
use apiserver::resource::Resource;
use apiserver::stored_object::Index;
use jiff::Timestamp;
use k8s_openapi::{ClusterResourceScope, Resource as _};
use machinery::meta::{Metadata, ObjectMeta};
use machinery::table::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A list of flunder names that must not be used.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[schemars(rename = "io.k8s.sample-apiserver.pkg.apis.wardle.v1alpha1.Fischer")]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Fischer {
    /// Standard object metadata.
    pub(crate) metadata: ObjectMeta,
    /// The disallowed names of flunders.
    pub(crate) disallowed_flunders: Vec<String>,
}

impl k8s_openapi::Resource for Fischer {
    const API_VERSION: &'static str = "wardle.example.com/v1alpha1";
    const GROUP: &'static str = "wardle.example.com";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "Fischer";
    const URL_PATH_SEGMENT: &'static str = "fischers";
    type Scope = ClusterResourceScope;
}

impl Metadata for Fischer {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The served kind.
pub(crate) struct Fischers {
    registry: Registry<Fischer>,
}

impl Fischers {
    pub(crate) fn new(registries: &mut Registries) -> Self {
        let description = Description {
            group: Fischer::GROUP,
            version: Fischer::VERSION,
            kind: Fischer::KIND,
            plural: Fischer::URL_PATH_SEGMENT,
            singular: "fischer",
            short_names: &[],
            categories: &[],
            scope: Scope::Cluster,
            verbs: Verb::ALL,
            subresources: &[],
            schema: KindSchema::of::<Fischer>(),
        };
        Self {
            registry: registries.add(description, Index::NONE),
        }
    }
}

impl Resource for Fischers {
    type Object = Fischer;

    fn registry(&self) -> &Registry<Fischer> {
        &self.registry
    }

    fn columns(&self) -> &[Column] {
        const COLUMNS: [Column; 2] = [
            Column::NAME,
            Column::string("Disallowed", "Number of disallowed flunder names"),
        ];
        &COLUMNS
    }

    fn cells(&self, fischer: &Fischer, _now: Timestamp) -> Vec<Value> {
        vec![
            json!(fischer.metadata.name),
            json!(fischer.disallowed_flunders.len().to_string()),
        ]
    }
}
