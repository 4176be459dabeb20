//! The required entries of Secrets of well-known types (`pkg/apis/core/validation`,
//! `ValidateSecret`).

use k8s_openapi::api::core::v1::Secret;
use machinery::field::{Error, ErrorList, Path};
use serde::de::IgnoredAny;

use super::type_of;

const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";

/// Returns the errors for entries that the type requires. Errors never include contents.
pub(super) fn validate(secret: &Secret) -> ErrorList {
    match type_of(secret) {
        "kubernetes.io/service-account-token" => account_name_missing(secret),
        "kubernetes.io/dockercfg" => json_entry(secret, ".dockercfg"),
        "kubernetes.io/dockerconfigjson" => json_entry(secret, ".dockerconfigjson"),
        "kubernetes.io/basic-auth" => one_of(secret, &["username", "password"]),
        "kubernetes.io/ssh-auth" => one_of(secret, &["ssh-privatekey"]),
        "kubernetes.io/tls" => {
            let mut errors = one_of(secret, &["tls.crt"]);
            errors.extend(one_of(secret, &["tls.key"]));
            errors
        }
        _ => ErrorList::new(),
    }
}

fn has(secret: &Secret, key: &str) -> bool {
    secret
        .data
        .as_ref()
        .is_some_and(|data| data.contains_key(key))
}

/// Returns one error for each of the keys if none of them is present.
fn one_of(secret: &Secret, keys: &[&str]) -> ErrorList {
    if keys.iter().any(|key| has(secret, key)) {
        return ErrorList::new();
    }
    let path = Path::root("data");
    keys.iter()
        .map(|key| Error::required(&path.key(key), ""))
        .collect()
}

fn json_entry(secret: &Secret, key: &str) -> ErrorList {
    let path = Path::root("data").key(key);
    let Some(value) = secret.data.as_ref().and_then(|data| data.get(key)) else {
        return vec![Error::required(&path, "")];
    };
    match serde_json::from_slice::<IgnoredAny>(&value.0) {
        Ok(IgnoredAny) => ErrorList::new(),
        Err(_) => vec![Error::invalid(
            &path,
            "<secret contents redacted>",
            "must be JSON",
        )],
    }
}

fn account_name_missing(secret: &Secret) -> ErrorList {
    let annotations = secret.metadata.annotations.as_ref();
    let name = annotations.and_then(|annotations| annotations.get(ACCOUNT_NAME));
    if name.is_some_and(|name| !name.is_empty()) {
        return ErrorList::new();
    }
    vec![Error::required(
        &Path::root("metadata.annotations").key(ACCOUNT_NAME),
        "",
    )]
}
