//! `settings.management.cattle.io`: values by name.

use api::management::{self, Setting, setting};
use apiserver::cell::{AGE, age};
use apiserver::description::{Description, KindSchema};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Write};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use jiff::Timestamp;
use machinery::field::{self, ErrorList, Path};
use machinery::meta::GroupResource;
use machinery::status::Status;
use machinery::table::Column;
use serde_json::Value;

use crate::description::describe;
use crate::settings::{parse_count, parse_mint_with_token, parse_minutes};

/// What the kind is.
pub fn description() -> Description {
    describe(
        (Setting::KIND, Setting::PLURAL, Setting::SINGULAR),
        KindSchema::of::<Setting>(),
    )
}

/// Settings are found by name and labels.
pub const INDEX: Index<Setting> = Index::NONE;

const COLUMNS: [Column; 3] = [
    Column::NAME,
    Column::string(
        "Value",
        "The value that counts: the one set, or the default.",
    ),
    AGE,
];

/// The strategy of settings.
pub struct SettingResource {
    /// The objects.
    pub registry: Registry<Setting>,
}

#[async_trait]
impl Resource for SettingResource {
    type Object = Setting;

    fn registry(&self) -> &Registry<Setting> {
        &self.registry
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, setting: &Setting, now: Timestamp) -> Vec<Value> {
        vec![
            setting.metadata.name.as_deref().into(),
            setting.effective().into(),
            age(&setting.metadata, now),
        ]
    }

    fn prepare_create(&self, _cx: &RequestContext, setting: &mut Setting) -> Result<(), Status> {
        setting.default.clear();
        setting.customized = !setting.value.is_empty();
        Ok(())
    }

    fn prepare_update(
        &self,
        _cx: &RequestContext,
        setting: &mut Setting,
        live: &Setting,
    ) -> Result<(), Status> {
        setting.default.clone_from(&live.default);
        setting.customized = !setting.value.is_empty() && setting.value != setting.default;
        Ok(())
    }

    fn validate(&self, object: &Setting, _live: Option<&Setting>) -> ErrorList {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let value = object.value.as_str();
        let path = Path::root("value");
        let fault = match name {
            _ if value.is_empty() => None,
            name if name.ends_with("-ttl-minutes") => match parse_minutes(value) {
                Some(_) => None,
                None => Some("must be a number of minutes, such as 90 or 1.5; 0 for no limit"),
            },
            setting::SERVER_URL if !value.starts_with("https://") => {
                Some("must be an https:// URL")
            }
            setting::KUBECONFIG_MINT_WITH_TOKEN if parse_mint_with_token(value).is_none() => {
                Some("must be bounded or never")
            }
            setting::KUBECONFIG_SHARED_TOKEN_ABOVE if parse_count(value).is_none() => {
                Some("must be a whole number")
            }
            setting::KUBECONFIG_GENERATE_TOKEN
                if !matches!(value.to_ascii_lowercase().as_str(), "true" | "false") =>
            {
                Some("must be true or false")
            }
            _ => None,
        };
        fault
            .map(|fault| vec![field::Error::invalid(&path, value, fault)])
            .unwrap_or_default()
    }

    async fn admit(&self, _cx: &RequestContext, write: Write<'_, Setting>) -> Result<(), Status> {
        let Write::Delete(gone) = write else {
            return Ok(());
        };
        let name = gone.metadata.name.as_deref().unwrap_or_default();
        match setting::BUILT_IN.iter().any(|known| known.name == name) {
            true => Err(Status::forbidden(
                &GroupResource::from_static(management::GROUP, Setting::PLURAL),
                name,
                "a setting of this server cannot be deleted; empty its value to have the default",
            )),
            false => Ok(()),
        }
    }
}
