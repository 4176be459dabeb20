//! `settings.management.cattle.io`: one value that an administrator can change at run time.
//!
//! A setting has no `spec`; its fields are at the top level, as Rancher has them. Values are text;
//! who reads one parses it. Durations are in minutes, fractions permitted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decoding::null_as_zero;
use crate::descriptions::unwrap_lines;
use machinery::meta::serialize_go_order;

/// The address that users reach this server by; its host and port go into kubeconfig files.
pub const SERVER_URL: &str = "server-url";
/// The certificate authorities, in PEM, that vouch for [`SERVER_URL`].
pub const CA_CERTS: &str = "cacerts";
/// How long the tokens of a kubeconfig live when it does not say, in minutes.
pub const KUBECONFIG_DEFAULT_TOKEN_TTL_MINUTES: &str = "kubeconfig-default-token-ttl-minutes";
/// How long the tokens of a kubeconfig may live, in minutes; empty means as long as the default.
pub const KUBECONFIG_MAX_TOKEN_TTL_MINUTES: &str = "kubeconfig-max-token-ttl-minutes";
/// `true` to put tokens into kubeconfig files; anything else gives files that run the plugin.
pub const KUBECONFIG_GENERATE_TOKEN: &str = "kubeconfig-generate-token";
/// How long a token lives that the plugin gets for a kubeconfig without tokens, in minutes.
pub const KUBECONFIG_EXEC_TOKEN_TTL_MINUTES: &str = "kubeconfig-exec-token-ttl-minutes";
/// How long a client certificate holds that the plugin gets, in minutes: at most 10.
pub const KUBECONFIG_EXEC_CERTIFICATE_TTL_MINUTES: &str = "kubeconfig-exec-certificate-ttl-minutes";
/// How long the administrator's file of a cluster lives, in minutes.
pub const KUBECONFIG_ADMIN_TOKEN_TTL_MINUTES: &str = "kubeconfig-admin-token-ttl-minutes";
/// The rule for creating with a token of a kubeconfig: `bounded` for kubeconfigs and tokens that end with it and
/// reach no further, `never` for none.
pub const KUBECONFIG_MINT_WITH_TOKEN: &str = "kubeconfig-mint-with-token";
/// The most clusters of a file in which each gets a bearer token of its own; in a longer file they
/// share one.
pub const KUBECONFIG_SHARED_TOKEN_ABOVE: &str = "kubeconfig-shared-token-above";
/// `true` where only users with an object of their own may have kubeconfigs; `false` where anybody
/// may whose name does not begin with `system:`.
pub const KUBECONFIG_REQUIRE_USER: &str = "kubeconfig-require-user";
/// The version of `client.authentication.k8s.io` in files that run the plugin: `v1` or `v1beta1`.
pub const KUBECONFIG_EXEC_API_VERSION: &str = "kubeconfig-exec-api-version";
/// The most kubeconfigs of one user; 0 for no limit. Administrators are exempt from this and the next three.
pub const KUBECONFIG_MAX_PER_USER: &str = "kubeconfig-max-per-user";
/// The most bytes that the kubeconfigs and tokens of one user may occupy, and the most that a user may write in a
/// minute; 0 for no limit.
pub const KUBECONFIG_MAX_BYTES_PER_USER: &str = "kubeconfig-max-bytes-per-user";
/// The most kubeconfigs and tokens that one user may create in a minute, at each replica; 0 for no limit.
pub const KUBECONFIG_MAX_CREATES_PER_MINUTE: &str = "kubeconfig-max-creates-per-minute";
/// The most tokens of one user, those of kubeconfigs included; 0 for no limit.
pub const AUTH_TOKEN_MAX_PER_USER: &str = "auth-token-max-per-user";
/// How long any token may live, in minutes; 0 means without end.
pub const AUTH_TOKEN_MAX_TTL_MINUTES: &str = "auth-token-max-ttl-minutes";
/// How long a token lives when it does not say, in minutes.
pub const AUTH_TOKEN_DEFAULT_TTL_MINUTES: &str = "auth-token-default-ttl-minutes";
/// A time in RFC 3339, e.g. `2026-01-02T03:04:05Z`: tokens that were issued earlier are invalid. Empty
/// for no limit; a value that is not a time makes all tokens invalid.
pub const AUTH_TOKEN_NOT_BEFORE: &str = "auth-token-not-before";
/// How long a login session lives, in minutes.
pub const AUTH_USER_SESSION_TTL_MINUTES: &str = "auth-user-session-ttl-minutes";
/// How long a login session lives without activity, in minutes.
pub const AUTH_USER_SESSION_IDLE_TTL_MINUTES: &str = "auth-user-session-idle-ttl-minutes";

/// A setting that the server creates at its first start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BuiltIn {
    /// The name of the object.
    pub name: &'static str,
    /// Its `default`.
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
        name: KUBECONFIG_SHARED_TOKEN_ABOVE,
        default: "50",
    },
    BuiltIn {
        name: SERVER_URL,
        default: "",
    },
];

/// What counts where there is no object of this name: empty for settings that are not built in.
pub fn built_in_default(name: &str) -> &'static str {
    let known = BUILT_IN.iter().find(|built_in| built_in.name == name);
    known.map_or("", |built_in| built_in.default)
}

/// One value that an administrator can change while the server runs. Changes act at once.
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

    /// The value. When empty, `default` counts.
    #[serde(deserialize_with = "null_as_zero")]
    pub value: String,

    /// The value that counts while `value` is empty. Set by the server.
    #[serde(deserialize_with = "null_as_zero")]
    pub default: String,

    /// Whether `value` was changed by somebody. Set by the server.
    #[serde(deserialize_with = "null_as_zero")]
    pub customized: bool,

    /// Where `value` came from: empty, or `env` for the environment of the server, which then wins
    /// over changes made here.
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

    /// The value that counts.
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
