//! Flunders: namespaced objects that refer to a flunder or a fischer.

use apiserver::description::{Description, KindSchema, Scope, Verb};
use apiserver::registry::{Registries, Registry};
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Write};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::{NamespaceResourceScope, Resource as _};
use machinery::field::{Error, ErrorList, Path};
use machinery::human_duration::human_duration;
use machinery::meta::{Metadata, MetadataExt, ObjectMeta};
use machinery::status::Status;
use machinery::table::Column;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fischer::{Fischer, Fischers};

/// Refers to a flunder or to a fischer.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[schemars(rename = "io.k8s.sample-apiserver.pkg.apis.wardle.v1alpha1.Flunder")]
#[serde(default)]
pub(crate) struct Flunder {
    /// Standard object metadata.
    metadata: ObjectMeta,
    /// The desired state.
    spec: FlunderSpec,
}

/// The desired state of a flunder.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[schemars(rename = "io.k8s.sample-apiserver.pkg.apis.wardle.v1alpha1.FlunderSpec")]
#[serde(rename_all = "camelCase", default)]
struct FlunderSpec {
    /// Name of the referenced object.
    reference: String,
    /// Kind of the referenced object: `Flunder` (the default if there is a reference) or `Fischer`.
    #[serde(skip_serializing_if = "String::is_empty")]
    reference_type: String,
}

impl k8s_openapi::Resource for Flunder {
    const API_VERSION: &'static str = "wardle.example.com/v1alpha1";
    const GROUP: &'static str = "wardle.example.com";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "Flunder";
    const URL_PATH_SEGMENT: &'static str = "flunders";
    type Scope = NamespaceResourceScope;
}

impl Metadata for Flunder {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The served kind.
pub(crate) struct Flunders {
    registry: Registry<Flunder>,
    fischers: Registry<Fischer>,
}

impl Flunders {
    pub(crate) fn new(registries: &mut Registries, fischers: &Fischers) -> Self {
        let description = Description {
            group: Flunder::GROUP,
            version: Flunder::VERSION,
            kind: Flunder::KIND,
            plural: Flunder::URL_PATH_SEGMENT,
            singular: "flunder",
            short_names: &["fl"],
            categories: &["all"],
            scope: Scope::Namespaced,
            verbs: Verb::ALL,
            subresources: &[],
            schema: KindSchema::of::<Flunder>(),
        };
        Self {
            registry: registries.add(description, Index::NONE),
            fischers: fischers.registry().clone(),
        }
    }
}

#[async_trait]
impl Resource for Flunders {
    type Object = Flunder;

    fn registry(&self) -> &Registry<Flunder> {
        &self.registry
    }

    fn columns(&self) -> &[Column] {
        const COLUMNS: [Column; 3] = [
            Column::NAME,
            Column::string("Reference", "Object that the flunder refers to"),
            Column::string("Age", "Time since its creation"),
        ];
        &COLUMNS
    }

    fn cells(&self, flunder: &Flunder, now: Timestamp) -> Vec<Value> {
        let FlunderSpec {
            reference,
            reference_type,
        } = &flunder.spec;
        let created = flunder.metadata.creation_timestamp.as_ref();
        let age = created.map_or_else(
            || "<unknown>".to_owned(),
            |created| human_duration(now.duration_since(created.0).as_secs()),
        );
        vec![
            json!(flunder.metadata.name),
            json!(format!("{reference_type}/{reference}")),
            json!(age),
        ]
    }

    fn prepare_create(&self, _cx: &RequestContext, flunder: &mut Flunder) -> Result<(), Status> {
        if flunder.spec.reference_type.is_empty() && !flunder.spec.reference.is_empty() {
            flunder.spec.reference_type = "Flunder".to_owned();
        }
        Ok(())
    }

    fn validate(&self, flunder: &Flunder, _live: Option<&Flunder>) -> ErrorList {
        let kind = flunder.spec.reference_type.as_str();
        if matches!(kind, "" | "Flunder" | "Fischer") {
            return ErrorList::new();
        }
        let path = Path::root("spec").child("referenceType");
        vec![Error::not_supported(&path, kind, &["Flunder", "Fischer"])]
    }

    async fn admit(&self, _cx: &RequestContext, write: Write<'_, Flunder>) -> Result<(), Status> {
        let Write::Create(flunder) = write else {
            return Ok(());
        };
        let name = flunder.metadata.name();
        let disallows = |fischer: &Fischer| {
            fischer
                .disallowed_flunders
                .iter()
                .any(|other| other == name)
        };
        match self.fischers.cache().all().iter().any(disallows) {
            true => Err(Status::forbidden(
                self.registry.group_resource(),
                name,
                "this name is disallowed",
            )),
            false => Ok(()),
        }
    }
}
