//! `settings.management.cattle.io`: a value that an administrator can change at run time.
//!
//! A setting has no `spec`; its fields are at the top level, as in Rancher. Values are text and are
//! parsed by their readers. Durations are in minutes, fractions permitted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;
use machinery::meta::serialize_go_order;

/// The URL by which users reach this server. Its host and port go into kubeconfig files.
pub const SERVER_URL: &str = "server-url";
/// The certificate authorities of [`SERVER_URL`], in PEM.
pub const CA_CERTS: &str = "cacerts";
/// Default lifetime of the tokens of a kubeconfig, in minutes.
pub const KUBECONFIG_DEFAULT_TOKEN_TTL_MINUTES: &str = "kubeconfig-default-token-ttl-minutes";
/// Maximum lifetime of the tokens of a kubeconfig, in minutes; if empty, the default lifetime.
pub const KUBECONFIG_MAX_TOKEN_TTL_MINUTES: &str = "kubeconfig-max-token-ttl-minutes";
/// `true` to put tokens into kubeconfig files; any other value gives files that run the plugin.
pub const KUBECONFIG_GENERATE_TOKEN: &str = "kubeconfig-generate-token";
/// Lifetime of a token that the plugin gets for a kubeconfig without tokens, in minutes.
pub const KUBECONFIG_EXEC_TOKEN_TTL_MINUTES: &str = "kubeconfig-exec-token-ttl-minutes";
/// Lifetime of a client certificate that the plugin gets, in minutes; at most 10.
pub const KUBECONFIG_EXEC_CERTIFICATE_TTL_MINUTES: &str = "kubeconfig-exec-certificate-ttl-minutes";
/// Lifetime of the administrator's file of a cluster, in minutes.
pub const KUBECONFIG_ADMIN_TOKEN_TTL_MINUTES: &str = "kubeconfig-admin-token-ttl-minutes";
/// The permission to create with a token of a kubeconfig: `bounded` permits kubeconfigs and tokens
/// that end with it and are limited to its clusters, `never` permits none.
pub const KUBECONFIG_MINT_WITH_TOKEN: &str = "kubeconfig-mint-with-token";
/// The groups of a login that its kubeconfigs and tokens carry: `all`, `none`, or patterns that are
/// separated by commas, in which `*` matches any text.
pub const KUBECONFIG_GROUPS: &str = "kubeconfig-groups";
/// The time, in minutes since the last login of a user, after which the groups of that login are
/// no longer carried; 0 for as long as the token.
pub const KUBECONFIG_GROUPS_MAX_AGE_MINUTES: &str = "kubeconfig-groups-max-age-minutes";
/// Maximum number of clusters of a file in which each has a bearer token of its own. In a longer
/// file they share one.
pub const KUBECONFIG_SHARED_TOKEN_ABOVE: &str = "kubeconfig-shared-token-above";
/// `true` to permit kubeconfigs only for users that have a user object; `false` to permit them for
/// all users whose name does not begin with `system:`.
pub const KUBECONFIG_REQUIRE_USER: &str = "kubeconfig-require-user";
/// The ServiceAccounts that may have kubeconfigs: `none`, or `host` for those of the cluster that
/// this server runs in.
pub const KUBECONFIG_SERVICE_ACCOUNTS: &str = "kubeconfig-service-accounts";
/// `on-login` to create a user object when a user without one logs in; `none` to create none.
pub const USER_PROVISIONING: &str = "user-provisioning";
/// The time, in days since the last login of a user, after which the user is treated as disabled
/// until the next login; 0 for no limit. It applies to users whose logins are recorded.
pub const USER_INACTIVE_DAYS: &str = "user-inactive-days";
/// The version of `client.authentication.k8s.io` in files that run the plugin: `v1` or `v1beta1`.
pub const KUBECONFIG_EXEC_API_VERSION: &str = "kubeconfig-exec-api-version";
/// Maximum number of kubeconfigs of one user; 0 for no limit. Administrators are exempt from this
/// and the next three.
pub const KUBECONFIG_MAX_PER_USER: &str = "kubeconfig-max-per-user";
/// Maximum number of bytes that the kubeconfigs and tokens of one user may occupy, and that a user
/// may write in a minute; 0 for no limit.
pub const KUBECONFIG_MAX_BYTES_PER_USER: &str = "kubeconfig-max-bytes-per-user";
/// Maximum number of kubeconfigs and tokens that one user may create in a minute, at each replica;
/// 0 for no limit.
pub const KUBECONFIG_MAX_CREATES_PER_MINUTE: &str = "kubeconfig-max-creates-per-minute";
/// Maximum number of tokens of one user, including those of kubeconfigs; 0 for no limit.
pub const AUTH_TOKEN_MAX_PER_USER: &str = "auth-token-max-per-user";
/// Maximum lifetime of any token, in minutes; 0 for no limit.
pub const AUTH_TOKEN_MAX_TTL_MINUTES: &str = "auth-token-max-ttl-minutes";
/// Default lifetime of a token, in minutes.
pub const AUTH_TOKEN_DEFAULT_TTL_MINUTES: &str = "auth-token-default-ttl-minutes";
/// A time in RFC 3339, e.g. `2026-01-02T03:04:05Z`. Tokens that were issued earlier are invalid.
/// Empty for no limit; a value that is not a time makes all tokens invalid.
pub const AUTH_TOKEN_NOT_BEFORE: &str = "auth-token-not-before";
/// Lifetime of a login session, in minutes.
pub const AUTH_USER_SESSION_TTL_MINUTES: &str = "auth-user-session-ttl-minutes";
/// Lifetime of a login session without activity, in minutes.
pub const AUTH_USER_SESSION_IDLE_TTL_MINUTES: &str = "auth-user-session-idle-ttl-minutes";

/// A setting that the server creates at its first start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BuiltIn {
    /// The name of the object.
    pub name: &'static str,
    /// Value of the field `default`.
    pub default: &'static str,
}

/// Every setting that the server reads. 43200 minutes are 30 days, 129600 are 90, 960 are 16 hours.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: AUTH_TOKEN_DEFAULT_TTL_MINUTES,
        default: "129600",
    },
    BuiltIn {
        name: AUTH_TOKEN_MAX_PER_USER,
        default: "10000",
    },
    BuiltIn {
        name: AUTH_TOKEN_MAX_TTL_MINUTES,
        default: "129600",
    },
    BuiltIn {
        name: AUTH_TOKEN_NOT_BEFORE,
        default: "",
    },
    BuiltIn {
        name: AUTH_USER_SESSION_IDLE_TTL_MINUTES,
        default: "960",
    },
    BuiltIn {
        name: AUTH_USER_SESSION_TTL_MINUTES,
        default: "960",
    },
    BuiltIn {
        name: CA_CERTS,
        default: "",
    },
    BuiltIn {
        name: KUBECONFIG_ADMIN_TOKEN_TTL_MINUTES,
        default: "60",
    },
    BuiltIn {
        name: KUBECONFIG_DEFAULT_TOKEN_TTL_MINUTES,
        default: "43200",
    },
    BuiltIn {
        name: KUBECONFIG_EXEC_API_VERSION,
        default: "v1",
    },
    BuiltIn {
        name: KUBECONFIG_EXEC_CERTIFICATE_TTL_MINUTES,
        default: "10",
    },
    BuiltIn {
        name: KUBECONFIG_EXEC_TOKEN_TTL_MINUTES,
        default: "60",
    },
    BuiltIn {
        name: KUBECONFIG_GENERATE_TOKEN,
        default: "true",
    },
    BuiltIn {
        name: KUBECONFIG_GROUPS,
        default: "all",
    },
    BuiltIn {
        name: KUBECONFIG_GROUPS_MAX_AGE_MINUTES,
        default: "0",
    },
    BuiltIn {
        name: KUBECONFIG_MAX_BYTES_PER_USER,
        default: "67108864",
    },
    BuiltIn {
        name: KUBECONFIG_MAX_CREATES_PER_MINUTE,
        default: "600",
    },
    BuiltIn {
        name: KUBECONFIG_MAX_PER_USER,
        default: "1000",
    },
    BuiltIn {
        name: KUBECONFIG_MAX_TOKEN_TTL_MINUTES,
        default: "",
    },
    BuiltIn {
        name: KUBECONFIG_MINT_WITH_TOKEN,
        default: "bounded",
    },
    BuiltIn {
        name: KUBECONFIG_REQUIRE_USER,
        default: "true",
    },
    BuiltIn {
        name: KUBECONFIG_SERVICE_ACCOUNTS,
        default: "none",
    },
    BuiltIn {
        name: KUBECONFIG_SHARED_TOKEN_ABOVE,
        default: "50",
    },
    BuiltIn {
        name: SERVER_URL,
        default: "",
    },
    BuiltIn {
        name: USER_INACTIVE_DAYS,
        default: "0",
    },
    BuiltIn {
        name: USER_PROVISIONING,
        default: "none",
    },
];

/// Returns the effective value if there is no object of this name; empty for settings that are not
/// built in.
pub fn built_in_default(name: &str) -> &'static str {
    let known = BUILT_IN.iter().find(|built_in| built_in.name == name);
    known.map_or("", |built_in| built_in.default)
}

/// One value that an administrator can change while the server runs. Changes take effect
/// immediately.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "io.cattle.management.v3.Setting", transform = unwrap_lines)]
pub struct Setting {
    /// Standard object metadata.
    #[serde(
        serialize_with = "serialize_go_order",
        deserialize_with = "null_as_zero"
    )]
    pub metadata: ObjectMeta,

    /// The value. When empty, `default` applies.
    #[serde(deserialize_with = "null_as_zero")]
    pub value: String,

    /// The value that applies while `value` is empty. Set by the server.
    #[serde(deserialize_with = "null_as_zero")]
    pub default: String,

    /// Whether `value` was changed by a user. Set by the server.
    #[serde(deserialize_with = "null_as_zero")]
    pub customized: bool,

    /// The source of `value`: empty, or `env` for the environment of the server, which then takes
    /// precedence over changes made here.
    #[serde(deserialize_with = "null_as_zero")]
    pub source: String,
}

impl Setting {
    /// The kind.
    pub const KIND: &str = "Setting";
    /// The resource name.
    pub const PLURAL: &str = "settings";
    /// The singular name.
    pub const SINGULAR: &str = "setting";

    /// Returns the effective value.
    pub fn effective(&self) -> &str {
        if self.value.is_empty() {
            &self.default
        } else {
            &self.value
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_counts_while_there_is_no_value() {
        for (value, expected) in [("", "43200"), ("60", "60")] {
            let setting = Setting {
                value: value.to_owned(),
                default: "43200".to_owned(),
                ..Setting::default()
            };
            assert_eq!(setting.effective(), expected);
        }
    }

    #[test]
    fn built_in_settings_are_sorted_and_named_once() {
        assert!(BUILT_IN.is_sorted_by(|left, right| left.name < right.name));
    }

    #[test]
    fn a_setting_without_object_has_its_built_in_default() {
        for (name, expected) in [(KUBECONFIG_REQUIRE_USER, "true"), ("other", "")] {
            assert_eq!(built_in_default(name), expected);
        }
    }
}
