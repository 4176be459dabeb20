//! Validation of `spec.authentication`. The webhook or provider that it names decides the identity
//! of every user at the cluster.

use std::ops::RangeInclusive;

use api::management::cluster::{ClusterAuthentication, OidcProvider, TokenWebhook};
use machinery::field::{Error, ErrorList, Path};

use super::connection::{check_authorities, check_url};
use super::file_fields::check_text;

/// Maximum timeout of a webhook, in seconds, as for admission webhooks in kube-apiserver.
const MAX_TIMEOUT: i64 = 30;

/// Maximum time that an answer is cached, in seconds. A revoked user keeps access for that time.
const MAX_CACHE: i64 = 3600;

/// Returns the problems with the authentication of a cluster.
pub(super) fn validate(authentication: &ClusterAuthentication, path: &Path) -> ErrorList {
    let ClusterAuthentication {
        webhook,
        oidc,
        by_cluster,
    } = authentication;
    match (webhook, oidc) {
        (Some(_), None) if *by_cluster => vec![Error::forbidden(
            &path.child("byCluster"),
            "is valid only for oidc: the gateway calls webhooks itself",
        )],
        (Some(webhook), None) => check_webhook(webhook, &path.child("webhook")),
        (None, Some(oidc)) => check_oidc(oidc, &path.child("oidc")),
        (None, None) => vec![Error::required(path, "must have webhook or oidc")],
        (Some(_), Some(_)) => vec![Error::forbidden(
            &path.child("oidc"),
            "may not be set together with webhook",
        )],
    }
}

fn check_webhook(webhook: &TokenWebhook, path: &Path) -> ErrorList {
    let mut errors = check_address(&webhook.url, &path.child("url"));
    errors.extend(check_authorities(&webhook.ca_data, &path.child("caData")));
    let timeout = webhook.timeout_seconds;
    errors.extend(check_range(
        timeout,
        1..=MAX_TIMEOUT,
        &path.child("timeoutSeconds"),
    ));
    let cache = webhook.cache_seconds;
    errors.extend(check_range(
        cache,
        0..=MAX_CACHE,
        &path.child("cacheSeconds"),
    ));
    errors
}

pub(super) fn check_oidc(oidc: &OidcProvider, path: &Path) -> ErrorList {
    let mut errors = check_address(&oidc.issuer, &path.child("issuer"));
    if oidc.client_id.is_empty() {
        errors.push(Error::required(&path.child("clientID"), ""));
    }
    errors.extend(check_text(&oidc.client_id, &path.child("clientID")));
    errors.extend(check_authorities(&oidc.ca_data, &path.child("caData")));
    errors
}

fn check_address(url: &str, path: &Path) -> ErrorList {
    match url {
        "" => vec![Error::required(path, "")],
        url => check_url(url, &["https"], path).into_iter().collect(),
    }
}

fn check_range(value: Option<i64>, allowed: RangeInclusive<i64>, path: &Path) -> Option<Error> {
    let value = value.filter(|value| !allowed.contains(value))?;
    let why = format!("must be between {} and {}", allowed.start(), allowed.end());
    Some(Error::invalid(path, value, why))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(authentication: Value, expected: &[&str]) {
        let authentication = serde_json::from_value(authentication).unwrap();
        let errors = validate(&authentication, &Path::root("a"));
        let told: Vec<String> = errors.iter().map(Error::to_string).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn one_way_to_recognise_users_is_named() {
        let webhook = json!({"url": "https://a"});
        let oidc = json!({"issuer": "https://a", "clientID": "b"});
        check(json!({"webhook": webhook}), &[]);
        check(json!({"oidc": oidc}), &[]);
        check(json!({"oidc": oidc, "byCluster": true}), &[]);
        check(
            json!({"webhook": webhook, "byCluster": true}),
            &["a.byCluster: Forbidden: is valid only for oidc: the gateway calls webhooks itself"],
        );
        check(json!({}), &["a: Required value: must have webhook or oidc"]);
        check(
            json!({"webhook": webhook, "oidc": oidc}),
            &["a.oidc: Forbidden: may not be set together with webhook"],
        );
    }

    #[test]
    fn a_webhook_has_an_https_url_and_limits() {
        let limits = |timeout: i64, cache: i64| {
            json!({"webhook": {
                "url": "https://a/b", "timeoutSeconds": timeout, "cacheSeconds": cache,
            }})
        };
        check(limits(1, 0), &[]);
        check(limits(30, 3600), &[]);
        check(
            limits(0, -1),
            &[
                "a.webhook.timeoutSeconds: Invalid value: 0: must be between 1 and 30",
                "a.webhook.cacheSeconds: Invalid value: -1: must be between 0 and 3600",
            ],
        );
        check(
            limits(31, 3601),
            &[
                "a.webhook.timeoutSeconds: Invalid value: 31: must be between 1 and 30",
                "a.webhook.cacheSeconds: Invalid value: 3601: must be between 0 and 3600",
            ],
        );
        check(
            json!({"webhook": {"url": "http://a", "caData": "?"}}),
            &[
                "a.webhook.url: Invalid value: \"http://a\": must be a URL with scheme https and a host",
                "a.webhook.caData: Invalid value: must be base64 of PEM-encoded X.509 certificates",
            ],
        );
        check(json!({"webhook": {}}), &["a.webhook.url: Required value"]);
    }

    #[test]
    fn a_provider_has_an_https_url_and_a_client() {
        check(
            json!({"oidc": {}}),
            &[
                "a.oidc.issuer: Required value",
                "a.oidc.clientID: Required value",
            ],
        );
        check(
            json!({"oidc": {"issuer": "https://me:secret@a", "clientID": "b", "caData": "?"}}),
            &[
                "a.oidc.issuer: Invalid value: must not contain a user or a password: every user who may get the cluster sees them",
                "a.oidc.caData: Invalid value: must be base64 of PEM-encoded X.509 certificates",
            ],
        );
    }
}
