//! `features.management.cattle.io`: feature switches.

use api::management::{self, Feature, feature};
use apiserver::cell::{AGE, age};
use apiserver::description::{Description, KindSchema};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Write};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use jiff::Timestamp;
use machinery::field::{self, ErrorList, Path};
use machinery::meta::{GroupResource, ObjectKey};
use machinery::status::Status;
use machinery::table::Column;
use serde_json::Value;

use crate::description::describe;

/// Returns the description of the kind.
pub fn description() -> Description {
    describe(
        Feature::KIND,
        Feature::PLURAL,
        Feature::SINGULAR,
        KindSchema::of::<Feature>(),
    )
}

/// The index of features, which can be selected by name and labels only.
pub const INDEX: Index<Feature> = Index::NONE;

const COLUMNS: [Column; 4] = [
    Column::NAME,
    Column::string("Enabled", "Whether the feature is on."),
    Column::string("Description", "The effect of the feature.").wide(),
    AGE,
];

/// Reader of the current state of features.
#[derive(Clone)]
pub struct Features(pub Registry<Feature>);

impl Features {
    /// Returns whether a feature is on, from its object, or from its built-in default if there is
    /// no object.
    pub fn enabled(&self, name: &str) -> bool {
        let enabled = self
            .0
            .cache()
            .derived(ObjectKey::cluster(name), Feature::is_enabled);
        enabled.map_or_else(|| feature::built_in_default(name), |enabled| *enabled)
    }
}

/// The strategy of features.
pub struct FeatureResource {
    /// The stored features.
    pub registry: Registry<Feature>,
}

#[async_trait]
impl Resource for FeatureResource {
    type Object = Feature;

    fn registry(&self) -> &Registry<Feature> {
        &self.registry
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, feature: &Feature, now: Timestamp) -> Vec<Value> {
        vec![
            feature.metadata.name.as_deref().into(),
            feature.is_enabled().to_string().into(),
            feature.status.description.as_str().into(),
            age(&feature.metadata, now),
        ]
    }

    fn reset_fields(&self) -> &'static [&'static str] {
        &["status"]
    }

    fn prepare_update(
        &self,
        _cx: &RequestContext,
        feature: &mut Feature,
        live: &Feature,
    ) -> Result<(), Status> {
        feature.status = live.status.clone();
        Ok(())
    }

    fn validate(&self, feature: &Feature, live: Option<&Feature>) -> ErrorList {
        let locked = live.and_then(|live| live.status.locked_value);
        match (locked, feature.spec.value) {
            (Some(locked), Some(value)) if locked != value => {
                let text = format!("the feature is locked to {locked}");
                vec![field::Error::forbidden(
                    &Path::root("spec").child("value"),
                    text,
                )]
            }
            _ => ErrorList::new(),
        }
    }

    async fn admit(&self, _cx: &RequestContext, write: Write<'_, Feature>) -> Result<(), Status> {
        match write {
            Write::Delete(gone)
                if gone.metadata.name.as_deref() == Some(feature::EXT_KUBECONFIGS) =>
            {
                Err(Status::forbidden(
                    &GroupResource::from_static(management::GROUP, Feature::PLURAL),
                    feature::EXT_KUBECONFIGS,
                    "a feature of this server cannot be deleted; set spec.value to false to turn it off",
                ))
            }
            _ => Ok(()),
        }
    }
}
