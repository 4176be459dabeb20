//! Typed access to the current settings.

use std::sync::Arc;

use api::management::{Setting, setting};
use apiserver::registry::Registry;
use jiff::{SignedDuration, Timestamp};
use machinery::decode::date_time;
use machinery::go_duration;
use machinery::meta::ObjectKey;
use machinery::status::Status;

use crate::ca_bundle::CaBundle;
use crate::group_filter::GroupFilter;
use crate::server_host::ServerHost;

/// Reader of settings. It uses the watch cache each time, so that a change takes effect at once.
#[derive(Clone)]
pub struct Settings {
    registry: Registry<Setting>,
    fixed: Fixed,
}

/// Values that override the objects, by the name of their setting. They come from the command line.
pub type Fixed = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The maximum of settings in days: a hundred years.
pub(crate) const MAX_DAYS: usize = 36_500;

/// A setting whose value cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("setting {name}: {why}")]
pub struct InvalidSetting {
    name: &'static str,
    why: String,
}

impl From<InvalidSetting> for Status {
    /// Returns the error of a request that fails because of the setting.
    fn from(error: InvalidSetting) -> Self {
        Self::internal(error.to_string())
    }
}

impl InvalidSetting {
    fn not(name: &'static str, value: &str, expected: &str) -> Self {
        Self {
            name,
            why: format!("{value:?} is not {expected}"),
        }
    }
}

/// The setting `auth-token-not-before` is not a time in RFC 3339.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("setting {} is not a time in RFC 3339", setting::AUTH_TOKEN_NOT_BEFORE)]
pub struct NotATime;

/// Limits of a lifetime. `None` means no limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TtlLimits {
    /// Used if the request specifies no lifetime.
    pub default: Option<SignedDuration>,
    /// The maximum that a request may specify.
    pub max: Option<SignedDuration>,
}

/// The limits of one user. `None` means no limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QuotaLimits {
    /// Kubeconfigs that may be stored.
    pub kubeconfigs: Option<usize>,
    /// Tokens that may be stored.
    pub tokens: Option<usize>,
    /// Bytes of both that may be stored, and bytes that may be written in a minute.
    pub bytes: Option<usize>,
    /// Kubeconfigs and tokens that may be created in a minute.
    pub creates_per_minute: Option<usize>,
}

impl Settings {
    /// Creates a reader of these objects.
    pub fn new(registry: Registry<Setting>) -> Self {
        Self {
            registry,
            fixed: Arc::new(|_| None),
        }
    }

    /// Adds values that take precedence over the objects.
    #[must_use]
    pub fn with_fixed(self, fixed: Fixed) -> Self {
        Self { fixed, ..self }
    }

    /// Returns the registry of the settings.
    pub fn registry(&self) -> &Registry<Setting> {
        &self.registry
    }

    /// Returns the effective value: the fixed value, that of the object, or the built-in default if
    /// there is no readable object. For settings that limit nothing.
    pub fn effective(&self, name: &'static str) -> String {
        let value = self.value(name);
        value.unwrap_or_else(|_| setting::built_in_default(name).to_owned())
    }

    /// Returns the effective value: the fixed value, that of the object, or the built-in default if
    /// there is no object.
    ///
    /// # Errors
    /// The object has a field of a wrong type.
    fn value(&self, name: &'static str) -> Result<String, InvalidSetting> {
        if let Some(fixed) = (self.fixed)(name) {
            return Ok(fixed);
        }
        let value = self
            .registry
            .cache()
            .derived(ObjectKey::cluster(name), |setting| {
                setting.effective().to_owned()
            });
        match value {
            Some(value) => Ok((*value).clone()),
            None => self.absent(name, setting::built_in_default(name).to_owned()),
        }
    }

    /// Returns the default if a setting has no object.
    ///
    /// # Errors
    /// The setting has an object that cannot be read.
    fn absent<T>(&self, name: &'static str, default: T) -> Result<T, InvalidSetting> {
        match self.registry.cache().contains(ObjectKey::cluster(name)) {
            false => Ok(default),
            true => Err(InvalidSetting {
                name,
                why: "its object has a field of the wrong type".to_owned(),
            }),
        }
    }

    /// Returns whether files contain tokens if the request does not specify it.
    ///
    /// # Errors
    /// The setting cannot be read.
    pub fn generate_token(&self) -> Result<bool, InvalidSetting> {
        let value = self.value(setting::KUBECONFIG_GENERATE_TOKEN)?;
        Ok(value.eq_ignore_ascii_case("true"))
    }

    /// Returns the host of this server in files, or `None` if the setting is empty.
    ///
    /// # Errors
    /// The setting is not the URL of a server.
    pub fn server_host(&self) -> Result<Option<ServerHost>, InvalidSetting> {
        let name = setting::SERVER_URL;
        let url = self.value(name)?;
        if url.is_empty() {
            return Ok(None);
        }
        let host = ServerHost::from_url(&url).map_err(|why| InvalidSetting {
            name,
            why: why.to_string(),
        });
        host.map(Some)
    }

    /// Returns the certificate authorities of this server in files.
    ///
    /// # Errors
    /// The setting contains something other than certificates.
    pub fn ca_certs(&self) -> Result<CaBundle, InvalidSetting> {
        let name = setting::CA_CERTS;
        let bundle = match (self.fixed)(name) {
            Some(fixed) => CaBundle::from_pem(&fixed),
            None => {
                let stored = self
                    .registry
                    .cache()
                    .derived(ObjectKey::cluster(name), |setting| {
                        CaBundle::from_pem(setting.effective())
                    });
                match stored {
                    Some(stored) => (*stored).clone(),
                    None => self.absent(name, Ok(CaBundle::default()))?,
                }
            }
        };
        bundle.map_err(|why| InvalidSetting {
            name,
            why: why.to_string(),
        })
    }

    /// Returns the earliest issue time of valid tokens, or `None` for no limit. The value is parsed
    /// once for each state of the setting, because every request needs it.
    ///
    /// # Errors
    /// The setting is not a time. No token is valid then.
    pub fn token_not_before(&self) -> Result<Option<Timestamp>, NotATime> {
        let name = setting::AUTH_TOKEN_NOT_BEFORE;
        match self
            .registry
            .cache()
            .derived(ObjectKey::cluster(name), not_before)
        {
            Some(found) => *found,
            // A value that is not even a string.
            None if self.registry.cache().contains(ObjectKey::cluster(name)) => Err(NotATime),
            None => Ok(None),
        }
    }

    /// Returns whether users need an object to have kubeconfigs. Only the value `false` turns this
    /// off.
    pub fn require_user(&self) -> bool {
        let value = self.effective(setting::KUBECONFIG_REQUIRE_USER);
        !value.eq_ignore_ascii_case("false")
    }

    /// Returns the limits on the lifetime of kubeconfigs.
    ///
    /// # Errors
    /// A setting is not a number.
    pub fn kubeconfig_ttl(&self) -> Result<TtlLimits, InvalidSetting> {
        let default = self.minutes(setting::KUBECONFIG_DEFAULT_TOKEN_TTL_MINUTES)?;
        let max = self.minutes(setting::KUBECONFIG_MAX_TOKEN_TTL_MINUTES)?;
        let token_max = self.minutes(setting::AUTH_TOKEN_MAX_TTL_MINUTES)?;
        Ok(limits(default, max, token_max))
    }

    /// Returns the maximum lifetime of any token, or `None` for no limit.
    ///
    /// # Errors
    /// The setting is not a number.
    pub fn token_max_ttl(&self) -> Result<Option<SignedDuration>, InvalidSetting> {
        self.limit(setting::AUTH_TOKEN_MAX_TTL_MINUTES)
    }

    /// Returns the maximum lifetime of a token that a login is exchanged for, or `None` for no
    /// limit of its own.
    ///
    /// # Errors
    /// The setting is not a number.
    pub fn exec_token_ttl(&self) -> Result<Option<SignedDuration>, InvalidSetting> {
        self.limit(setting::KUBECONFIG_EXEC_TOKEN_TTL_MINUTES)
    }

    /// Returns the maximum lifetime of a client certificate, or `None` for no limit of its own.
    ///
    /// # Errors
    /// The setting is not a number.
    pub fn exec_certificate_ttl(&self) -> Result<Option<SignedDuration>, InvalidSetting> {
        self.limit(setting::KUBECONFIG_EXEC_CERTIFICATE_TTL_MINUTES)
    }

    /// Returns the maximum lifetime of the administrator's file of a cluster, or `None` for no
    /// limit of its own.
    ///
    /// # Errors
    /// The setting is not a number.
    pub fn admin_token_ttl(&self) -> Result<Option<SignedDuration>, InvalidSetting> {
        self.limit(setting::KUBECONFIG_ADMIN_TOKEN_TTL_MINUTES)
    }

    /// Returns whether a request that was authenticated by a token of a kubeconfig may create
    /// kubeconfigs and tokens.
    ///
    /// # Errors
    /// The setting is neither `bounded` nor `never`.
    pub fn mint_with_token(&self) -> Result<bool, InvalidSetting> {
        self.choice(setting::KUBECONFIG_MINT_WITH_TOKEN, MINT_WITH_TOKEN)
    }

    /// Returns whether ServiceAccounts of the host may have kubeconfigs.
    ///
    /// # Errors
    /// The setting is neither `host` nor `none`.
    pub fn service_accounts(&self) -> Result<bool, InvalidSetting> {
        self.choice(setting::KUBECONFIG_SERVICE_ACCOUNTS, SERVICE_ACCOUNTS)
    }

    /// Returns whether a login creates a user object if there is none.
    ///
    /// # Errors
    /// The setting is neither `on-login` nor `none`.
    pub fn user_provisioning(&self) -> Result<bool, InvalidSetting> {
        self.choice(setting::USER_PROVISIONING, USER_PROVISIONING)
    }

    /// Returns the time after the last login of a user for which the user stays enabled, or `None`
    /// for no limit.
    ///
    /// # Errors
    /// The setting is not a whole number.
    pub fn user_inactive(&self) -> Result<Option<SignedDuration>, InvalidSetting> {
        let name = setting::USER_INACTIVE_DAYS;
        let value = self.value_or_default(name)?;
        let days = parse_days(&value);
        let days = days.ok_or_else(|| InvalidSetting::not(name, &value, "a number of days"))?;
        Ok(Some(days).filter(|days| !days.is_zero()))
    }

    fn choice(&self, name: &'static str, choice: Choice) -> Result<bool, InvalidSetting> {
        let value = self.value_or_default(name)?;
        let parsed = choice.parse(&value);
        parsed.ok_or_else(|| InvalidSetting::not(name, &value, &choice.to_string()))
    }

    fn value_or_default(&self, name: &'static str) -> Result<String, InvalidSetting> {
        let value = self.value(name)?;
        Ok(match value.is_empty() {
            true => setting::built_in_default(name).to_owned(),
            false => value,
        })
    }

    /// Returns the groups of logins that kubeconfigs and tokens carry.
    ///
    /// # Errors
    /// The setting is not a list of patterns.
    pub fn groups(&self) -> Result<GroupFilter, InvalidSetting> {
        let name = setting::KUBECONFIG_GROUPS;
        let value = self.value_or_default(name)?;
        let parsed = GroupFilter::parse(&value);
        parsed.ok_or_else(|| InvalidSetting::not(name, &value, "all, none or a list of patterns"))
    }

    /// Returns the time after the last login of a user for which the groups of that login are
    /// carried, or `None` for no limit.
    ///
    /// # Errors
    /// The setting is not a number.
    pub fn groups_max_age(&self) -> Result<Option<SignedDuration>, InvalidSetting> {
        self.limit(setting::KUBECONFIG_GROUPS_MAX_AGE_MINUTES)
    }

    /// Returns the maximum number of clusters of a file for which each gets a bearer token of its
    /// own.
    ///
    /// # Errors
    /// The setting is not a number.
    pub fn shared_token_above(&self) -> Result<usize, InvalidSetting> {
        self.count(setting::KUBECONFIG_SHARED_TOKEN_ABOVE)
    }

    /// Returns the quota of each user who is not an administrator.
    ///
    /// # Errors
    /// A setting is not a number.
    pub fn quota(&self) -> Result<QuotaLimits, InvalidSetting> {
        let limit = |name| Ok(Some(self.count(name)?).filter(|limit| *limit > 0));
        Ok(QuotaLimits {
            kubeconfigs: limit(setting::KUBECONFIG_MAX_PER_USER)?,
            tokens: limit(setting::AUTH_TOKEN_MAX_PER_USER)?,
            bytes: limit(setting::KUBECONFIG_MAX_BYTES_PER_USER)?,
            creates_per_minute: limit(setting::KUBECONFIG_MAX_CREATES_PER_MINUTE)?,
        })
    }

    fn count(&self, name: &'static str) -> Result<usize, InvalidSetting> {
        let value = self.value(name)?;
        let parsed = parse_count(&value);
        parsed.ok_or_else(|| InvalidSetting::not(name, &value, "a whole number"))
    }

    /// Returns a limit, or `None` if the setting is 0 or empty.
    fn limit(&self, name: &'static str) -> Result<Option<SignedDuration>, InvalidSetting> {
        Ok(self.minutes(name)?.filter(|limit| !limit.is_zero()))
    }

    /// Returns a number of minutes, or `None` if the setting is empty.
    fn minutes(&self, name: &'static str) -> Result<Option<SignedDuration>, InvalidSetting> {
        let value = self.value(name)?;
        if value.is_empty() {
            return Ok(None);
        }
        let minutes = parse_minutes(&value);
        let minutes =
            minutes.ok_or_else(|| InvalidSetting::not(name, &value, "a number of minutes"));
        minutes.map(Some)
    }
}

/// Computes the limits. A value of 0 means no limit. Without a maximum of its own, the default is
/// the maximum. The limit of all tokens caps both. A default above the maximum is reduced to it.
fn limits(
    default: Option<SignedDuration>,
    max: Option<SignedDuration>,
    token_max: Option<SignedDuration>,
) -> TtlLimits {
    let limit = |value: Option<SignedDuration>| value.filter(|value| !value.is_zero());
    let smaller = |a: Option<SignedDuration>, b: Option<SignedDuration>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let max = match max {
        None => smaller(limit(default), limit(token_max)),
        Some(_) => smaller(limit(max), limit(token_max)),
    };
    TtlLimits {
        default: smaller(limit(default), max),
        max,
    }
}

/// A setting that is one of two words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    yes: &'static str,
    no: &'static str,
}

/// The values of the setting `kubeconfig-mint-with-token`.
pub(crate) const MINT_WITH_TOKEN: Choice = Choice {
    yes: "bounded",
    no: "never",
};

/// The values of the setting `kubeconfig-service-accounts`.
pub(crate) const SERVICE_ACCOUNTS: Choice = Choice {
    yes: "host",
    no: "none",
};

/// The values of the setting `user-provisioning`.
pub(crate) const USER_PROVISIONING: Choice = Choice {
    yes: "on-login",
    no: "none",
};

impl Choice {
    /// Returns whether a text is the first word, or `None` if it is neither.
    pub(crate) fn parse(self, text: &str) -> Option<bool> {
        match text {
            text if text == self.yes => Some(true),
            text if text == self.no => Some(false),
            _ => None,
        }
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} or {}", self.yes, self.no)
    }
}

/// Parses a number of days.
pub(crate) fn parse_days(text: &str) -> Option<SignedDuration> {
    let days = parse_count(text).filter(|&days| days <= MAX_DAYS)?;
    let days = i64::try_from(days).ok()?;
    Some(SignedDuration::from_hours(24 * days))
}

/// Parses a whole number that has digits only.
pub(crate) fn parse_count(text: &str) -> Option<usize> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Parses the setting. A value that is not a time is logged once.
fn not_before(setting: &Setting) -> Result<Option<Timestamp>, NotATime> {
    match setting.effective() {
        "" => Ok(None),
        text => date_time::parse(text).map(Some).map_err(|error| {
            let setting = setting::AUTH_TOKEN_NOT_BEFORE;
            tracing::error!(
                error,
                setting,
                "all tokens are rejected until this setting is empty or a valid time"
            );
            NotATime
        }),
    }
}

/// Parses a number of minutes, with fractions, as Go parses a duration with the unit `m`. Returns
/// `None` for anything else, and for values beyond the range of Go durations.
pub(crate) fn parse_minutes(text: &str) -> Option<SignedDuration> {
    let is_number = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    go_duration::parse(&format!("{text}m")).filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_cannot_be_read_permits_no_token() {
        let time = |text: &str| Ok(Some(text.parse().unwrap()));
        for (value, expected) in [
            ("", Ok(None)),
            ("2026-01-02T03:04:05Z", time("2026-01-02T03:04:05Z")),
            (
                "2026-01-02T03:04:05.5+02:00",
                time("2026-01-02T01:04:05.5Z"),
            ),
            ("now", Err(NotATime)),
            ("2026-01-02", Err(NotATime)),
            ("2026-01-02 03:04:05Z", Err(NotATime)),
            ("2026-01-02T03:04:05", Err(NotATime)),
            ("2026-02-30T03:04:05Z", Err(NotATime)),
            ("1767323045", Err(NotATime)),
            (" ", Err(NotATime)),
        ] {
            let setting = Setting {
                value: value.to_owned(),
                ..Setting::default()
            };
            assert_eq!(not_before(&setting), expected, "{value:?}");
        }
    }

    #[test]
    fn minutes_are_parsed_as_go_does() {
        for (text, seconds) in [
            ("0", Some(0.0)),
            ("1.5", Some(90.0)),
            ("43200", Some(2_592_000.0)),
            (".5", Some(30.0)),
            ("", None),
            (".", None),
            ("-1", None),
            ("+1", None),
            ("1h5", None),
            ("1e3", None),
            ("inf", None),
            ("1 ", None),
            ("999999999999999999", None),
        ] {
            assert_eq!(
                parse_minutes(text),
                seconds.map(SignedDuration::from_secs_f64),
                "{text:?}"
            );
        }
    }

    #[track_caller]
    fn check(settings: [Option<i64>; 3], default: Option<i64>, max: Option<i64>) {
        let [a, b, c] = settings.map(|minutes| minutes.map(SignedDuration::from_mins));
        let expected = TtlLimits {
            default: default.map(SignedDuration::from_mins),
            max: max.map(SignedDuration::from_mins),
        };
        assert_eq!(limits(a, b, c), expected, "{settings:?}");
    }

    #[test]
    fn limits_follow_from_the_three_settings() {
        // default, maximum, maximum of all tokens → default, maximum
        check([Some(30), None, Some(90)], Some(30), Some(30));
        check([Some(30), Some(60), Some(90)], Some(30), Some(60));
        check([Some(30), Some(60), Some(45)], Some(30), Some(45));
        check([Some(30), Some(10), Some(90)], Some(10), Some(10));
        check([Some(30), None, Some(20)], Some(20), Some(20));
        check([Some(30), Some(0), Some(0)], Some(30), None);
        check([Some(0), Some(60), Some(90)], Some(60), Some(60));
        check([Some(0), None, Some(90)], Some(90), Some(90));
        check([Some(0), Some(0), Some(0)], None, None);
        check([None, None, None], None, None);
    }
}
