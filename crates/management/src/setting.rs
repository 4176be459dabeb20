//! `settings.management.cattle.io`: named values.

use api::management::{self, Setting, setting};
use apiserver::cell::{AGE, age};
use apiserver::description::{Description, KindSchema};
use apiserver::registry::Registry;
use apiserver::request_context::RequestContext;
use apiserver::resource::{Resource, Write};
use apiserver::stored_object::Index;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use machinery::decode::date_time;
use machinery::field::{self, BadValue, ErrorList, Path};
use machinery::meta::{GroupKind, GroupResource, MetadataExt};
use machinery::status::Status;
use machinery::table::Column;
use machinery::time::rfc3339;
use serde_json::Value;

use crate::ca_bundle::CaBundle;
use crate::description::describe;
use crate::group_filter::GroupFilter;
use crate::server_host::ServerHost;
use crate::settings::{
    MINT_WITH_TOKEN, SERVICE_ACCOUNTS, USER_PROVISIONING, parse_count, parse_days, parse_minutes,
};

/// Returns the description of the kind.
pub fn description() -> Description {
    describe(
        Setting::KIND,
        Setting::PLURAL,
        Setting::SINGULAR,
        KindSchema::of::<Setting>(),
    )
}

/// The index of settings, which can be selected by name and labels only.
pub const INDEX: Index<Setting> = Index::NONE;

const COLUMNS: [Column; 3] = [
    Column::NAME,
    Column::string(
        "Value",
        "Effective value: the configured value, or the default.",
    ),
    AGE,
];

/// Minimum lifetime that a setting may allow. Times of tokens are in whole seconds.
const MIN_LIFE: SignedDuration = SignedDuration::from_secs(1);

/// Maximum lifetime of a client certificate.
const MAX_CERTIFICATE_LIFE: SignedDuration = SignedDuration::from_mins(10);

/// The strategy of settings.
pub struct SettingResource {
    /// The stored settings.
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
        let name = object.metadata.name();
        check_value(name, &object.value).into_iter().collect()
    }

    async fn admit(&self, cx: &RequestContext, write: Write<'_, Setting>) -> Result<(), Status> {
        let gone = match write {
            Write::Delete(gone) => gone,
            Write::Create(new) => return refuse_future(new, cx.clock.now()),
            Write::Update { object, .. } => return refuse_future(object, cx.clock.now()),
        };
        let name = gone.metadata.name();
        match setting::BUILT_IN.iter().any(|known| known.name == name) {
            true => Err(Status::forbidden(
                &GroupResource::from_static(management::GROUP, Setting::PLURAL),
                name,
                "a setting of this server cannot be deleted; clear its value to use the default",
            )),
            false => Ok(()),
        }
    }
}

/// Rejects a limit in the future, because it would also invalidate every token that is issued until
/// then.
fn refuse_future(setting: &Setting, now: Timestamp) -> Result<(), Status> {
    let is_limit = setting.metadata.name.as_deref() == Some(setting::AUTH_TOKEN_NOT_BEFORE);
    match date_time::parse(&setting.value) {
        Ok(time) if is_limit && time > now => {
            let path = Path::root("value");
            let fault = format!("must not be later than now, {}", rfc3339(now));
            let error = field::Error::invalid(&path, setting.value.as_str(), fault);
            let kind = GroupKind::from_static(management::GROUP, Setting::KIND);
            Err(Status::invalid(
                &kind,
                setting::AUTH_TOKEN_NOT_BEFORE,
                &[error],
            ))
        }
        _ => Ok(()),
    }
}

/// Returns the problem with the value of a setting. An empty value means the default.
fn check_value(name: &str, value: &str) -> Option<field::Error> {
    if value.is_empty() {
        return None;
    }
    let why = match name {
        setting::SERVER_URL => ServerHost::from_url(value).err()?.to_string(),
        setting::CA_CERTS => CaBundle::from_pem(value).err()?.to_string(),
        name => check_word(name, value)?.to_owned(),
    };
    // These two may contain a password or a private key.
    let shown = match name {
        setting::SERVER_URL | setting::CA_CERTS => BadValue::Omitted,
        _ => value.into(),
    };
    Some(field::Error::invalid(&Path::root("value"), shown, why))
}

/// Returns the problem with a value that is a number, a time or a keyword.
fn check_word(name: &str, value: &str) -> Option<&'static str> {
    match name {
        name if name.ends_with("-ttl-minutes") => match parse_minutes(value) {
            Some(life)
                if name == setting::KUBECONFIG_EXEC_CERTIFICATE_TTL_MINUTES
                    && life > MAX_CERTIFICATE_LIFE =>
            {
                Some("must be at most 10: client certificates cannot be revoked")
            }
            Some(life) if !life.is_zero() && life < MIN_LIFE => {
                Some("must be at least one second, which is 0.017; 0 for no limit")
            }
            Some(_) => None,
            None => Some("must be a number of minutes, such as 90 or 1.5; 0 for no limit"),
        },
        setting::KUBECONFIG_MINT_WITH_TOKEN if MINT_WITH_TOKEN.parse(value).is_none() => {
            Some("must be bounded or never")
        }
        setting::KUBECONFIG_SERVICE_ACCOUNTS if SERVICE_ACCOUNTS.parse(value).is_none() => {
            Some("must be host or none")
        }
        setting::USER_PROVISIONING if USER_PROVISIONING.parse(value).is_none() => {
            Some("must be on-login or none")
        }
        setting::USER_INACTIVE_DAYS if parse_days(value).is_none() => {
            Some("must be a whole number of days, at most 36500; 0 for no limit")
        }
        setting::KUBECONFIG_GROUPS if GroupFilter::parse(value).is_none() => Some(
            "must be all, none, or patterns that are separated by commas, such as team-*,admins",
        ),
        setting::KUBECONFIG_GROUPS_MAX_AGE_MINUTES if parse_minutes(value).is_none() => {
            Some("must be a number of minutes, such as 1440; 0 for no limit")
        }
        setting::KUBECONFIG_SHARED_TOKEN_ABOVE if parse_count(value).is_none() => {
            Some("must be a whole number")
        }
        setting::KUBECONFIG_MAX_PER_USER
        | setting::KUBECONFIG_MAX_BYTES_PER_USER
        | setting::KUBECONFIG_MAX_CREATES_PER_MINUTE
        | setting::AUTH_TOKEN_MAX_PER_USER
            if parse_count(value).is_none() =>
        {
            Some("must be a whole number; 0 for no limit")
        }
        setting::KUBECONFIG_EXEC_API_VERSION if !matches!(value, "v1" | "v1beta1") => {
            Some("must be v1 or v1beta1")
        }
        setting::KUBECONFIG_GENERATE_TOKEN | setting::KUBECONFIG_REQUIRE_USER
            if !matches!(value.to_ascii_lowercase().as_str(), "true" | "false") =>
        {
            Some("must be true or false")
        }
        setting::AUTH_TOKEN_NOT_BEFORE => match date_time::parse(value) {
            Ok(_) => None,
            Err(_) => Some("must be a time in RFC 3339, such as 2026-01-02T03:04:05Z"),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, value: &str, expected: Option<&str>) {
        let told = check_value(name, value).map(|error| error.to_string());
        let expected = expected.map(|why| format!("value: Invalid value: {why}"));
        assert_eq!(told, expected, "{value:?}");
    }

    #[test]
    fn the_server_url_can_be_used() {
        let name = setting::SERVER_URL;
        for right in [
            "",
            "https://a.example",
            "HTTPS://a.example:8443/x",
            "https://[::1]:1",
        ] {
            check(name, right, None);
        }
        let scheme = "must be a URL with scheme https, such as https://kubeconfigs.example.com";
        for wrong in ["http://a.example", "a.example", " https://a.example"] {
            check(name, wrong, Some(scheme));
        }
        let user =
            "must not contain a user or a password: every kubeconfig file would contain them";
        check(name, "https://me:secret@a.example", Some(user));
        let host = "must have a host name of ASCII characters or an IP address, and a port between 1 and 65535 if any";
        for wrong in [
            "https://",
            "https://münchen.example",
            "https://a.example:99999",
        ] {
            check(name, wrong, Some(host));
        }
    }

    #[test]
    fn the_authorities_are_certificates_alone() {
        let name = setting::CA_CERTS;
        check(name, "", None);
        let none = "must contain only PEM-encoded X.509 certificates";
        check(name, "garbage", Some(none));
        check(name, " ", Some(none));
        let key = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        let why = "must contain only certificates, but contains a private key, which every user would get";
        check(name, key, Some(why));
    }

    #[test]
    fn lives_are_minutes() {
        let name = setting::KUBECONFIG_MAX_TOKEN_TTL_MINUTES;
        check(name, "1.5", None);
        let why = "must be a number of minutes, such as 90 or 1.5; 0 for no limit";
        for wrong in ["-1", "1h"] {
            check(name, wrong, Some(&format!("{wrong:?}: {why}")));
        }
        let name = setting::KUBECONFIG_EXEC_CERTIFICATE_TTL_MINUTES;
        check(name, "10", None);
        let why = "\"10.1\": must be at most 10: client certificates cannot be revoked";
        check(name, "10.1", Some(why));
    }

    #[test]
    fn quotas_are_whole_numbers() {
        for name in [
            setting::KUBECONFIG_MAX_PER_USER,
            setting::KUBECONFIG_MAX_BYTES_PER_USER,
            setting::KUBECONFIG_MAX_CREATES_PER_MINUTE,
            setting::AUTH_TOKEN_MAX_PER_USER,
        ] {
            for right in ["", "0", "1", "67108864"] {
                check(name, right, None);
            }
            let why = "must be a whole number; 0 for no limit";
            for wrong in ["-1", "+1", "1.5", "64Mi", " 1", "99999999999999999999"] {
                check(name, wrong, Some(&format!("{wrong:?}: {why}")));
            }
        }
    }

    #[test]
    fn words_are_those_that_are_known() {
        for (name, right, why) in [
            (
                setting::KUBECONFIG_REQUIRE_USER,
                &["true", "false", "FALSE"][..],
                "must be true or false",
            ),
            (
                setting::KUBECONFIG_EXEC_API_VERSION,
                &["v1", "v1beta1"],
                "must be v1 or v1beta1",
            ),
            (
                setting::KUBECONFIG_MINT_WITH_TOKEN,
                &["bounded", "never"],
                "must be bounded or never",
            ),
            (
                setting::KUBECONFIG_SERVICE_ACCOUNTS,
                &["host", "none"],
                "must be host or none",
            ),
            (
                setting::USER_PROVISIONING,
                &["on-login", "none"],
                "must be on-login or none",
            ),
            (
                setting::USER_INACTIVE_DAYS,
                &["0", "90", "36500"],
                "must be a whole number of days, at most 36500; 0 for no limit",
            ),
        ] {
            for right in right {
                check(name, right, None);
            }
            for wrong in ["-1", "no", "v2", " v1", "true "] {
                check(name, wrong, Some(&format!("{wrong:?}: {why}")));
            }
        }
    }
}
