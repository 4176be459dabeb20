//! The front proxy, which authenticates the requests that the host passes on to the server.

use std::collections::BTreeMap;

use certificates::Certificate;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::report::Report;
use super::scene::Scene;
use crate::client::told;

const TOPIC: &str = "front proxy";
const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";

/// Remaining lifetime below which the CA is reported. In many clusters an administrator renews the
/// CA of the front proxy by hand.
const SOON: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Checks the configuration that the host publishes about its front proxy.
pub(super) async fn check(scene: &Scene, report: &mut Report) {
    let maps = Api::<ConfigMap>::namespaced(scene.host.clone(), NAMESPACE);
    let data = match maps.get_opt(NAME).await.map_err(told) {
        Ok(Some(map)) => map.data.unwrap_or_default(),
        Ok(None) => {
            report.problem(
                TOPIC,
                format!(
                    "ConfigMap {NAMESPACE}/{NAME} does not exist: the server cannot authenticate callers"
                ),
                "kube-apiserver creates it: check its log",
            );
            return;
        }
        Err(error) => return report.unseen(TOPIC, "the front proxy's configuration", &error),
    };
    let accepts_any_name = scene.has_flag("allow-empty-front-proxy-names");
    judge(&data, scene.now, accepts_any_name, report);
}

fn judge(
    data: &BTreeMap<String, String>,
    now: Timestamp,
    accepts_any_name: bool,
    report: &mut Report,
) {
    let Some(pem) = data.get("requestheader-client-ca-file") else {
        report.problem(
            TOPIC,
            "the host has no CA for its front proxy: aggregated servers cannot authenticate callers",
            "start kube-apiserver with --requestheader-client-ca-file and the other --requestheader flags",
        );
        return;
    };
    let Ok(authorities) = Certificate::bundle_from_pem(pem.as_bytes()) else {
        report.problem(
            TOPIC,
            "the CA of the front proxy is not a certificate",
            "correct the file of kube-apiserver's --requestheader-client-ca-file",
        );
        return;
    };
    times(&authorities, now, report);
    names(data, &authorities, accepts_any_name, report);
}

fn times(authorities: &[Certificate], now: Timestamp, report: &mut Report) {
    let last = authorities.iter().map(|ca| ca.validity.not_after).max();
    let Some(last) = last else {
        return;
    };
    let left = last.duration_since(now);
    let to_do = "renew the front proxy's CA and certificate, e.g. `kubeadm certs renew`";
    if left <= SignedDuration::ZERO {
        report.problem(
            TOPIC,
            format!("the CA of the front proxy expired at {last}"),
            to_do,
        );
    } else if left < SOON {
        report.warning(
            TOPIC,
            format!("the CA of the front proxy expires soon, at {last}"),
            to_do,
        );
    } else {
        report.ok(
            TOPIC,
            format!("the CA of the front proxy is valid until {last}"),
        );
    }
}

/// Checks the allowed names of the front proxy. Without names, every client with a certificate of
/// the CA can impersonate any user.
fn names(
    data: &BTreeMap<String, String>,
    authorities: &[Certificate],
    accepts_any_name: bool,
    report: &mut Report,
) {
    let names = data.get("requestheader-allowed-names").map(String::as_str);
    let Ok(names) = serde_json::from_str::<Vec<String>>(names.unwrap_or("[]")) else {
        report.problem(
            TOPIC,
            "the allowed names of the front proxy are not a list",
            "kube-apiserver writes them: check its log",
        );
        return;
    };
    if !names.is_empty() {
        report.ok(
            TOPIC,
            format!("the name of the front proxy is {}", names.join(" or ")),
        );
        return;
    }
    let clients = data
        .get("client-ca-file")
        .map(|pem| Certificate::bundle_from_pem(pem.as_bytes()));
    let clients = clients.and_then(Result::ok).unwrap_or_default();
    let is_shared = authorities.iter().any(|ca| clients.contains(ca));
    let to_do = "start kube-apiserver with --requestheader-allowed-names=front-proxy-client, or the common name of its certificate";
    if !is_shared {
        report.warning(
            TOPIC,
            "the front proxy may have any name: every client with a certificate of its CA can impersonate all users",
            to_do,
        );
    } else if accepts_any_name {
        report.warning(
            TOPIC,
            "the front proxy may have any name and its CA signs client certificates as well: every client can impersonate all users, and the server is configured to accept that",
            to_do,
        );
    } else {
        report.problem(
            TOPIC,
            "the front proxy may have any name and its CA signs client certificates as well: every client could impersonate all users, so the server rejects all callers",
            to_do,
        );
    }
}

#[cfg(test)]
mod tests {
    use certificates::{Authority, Validity};

    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    /// Returns a CA with this number of days left.
    fn ca(days: i32) -> String {
        let validity = Validity {
            not_before: now() - DAY * 400,
            not_after: now() + DAY * days,
        };
        let authority = Authority::create("front-proxy-ca", validity).unwrap();
        authority.certificate_pem().to_owned()
    }

    fn of(pem: &str) -> (&str, &str) {
        ("requestheader-client-ca-file", pem)
    }

    #[track_caller]
    fn check(data: &[(&str, &str)], accepts_any_name: bool, expected: &[&str]) {
        let data = data
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut report = Report::default();
        judge(&data.collect(), now(), accepts_any_name, &mut report);
        let text = report.text();
        let found: Vec<&str> = text
            .lines()
            .map(|line| line.split("  \u{2192}").next().unwrap())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_wrong_with_the_front_proxy_is_told() {
        let (good, clients) = (ca(100), ca(100));
        let named = ("requestheader-allowed-names", r#"["front-proxy-client"]"#);
        let unnamed = ("requestheader-allowed-names", "[]");
        let holds = "ok       the CA of the front proxy is valid until 2026-04-12T03:04:05Z";
        let called = "ok       the name of the front proxy is front-proxy-client";

        check(&[of(&good), named], false, &[holds, called]);
        check(
            &[],
            false,
            &[
                "problem  the host has no CA for its front proxy: aggregated servers cannot authenticate callers",
            ],
        );
        check(
            &[of("rubbish"), named],
            false,
            &["problem  the CA of the front proxy is not a certificate"],
        );
        check(
            &[of(&ca(-1)), named],
            false,
            &[
                "problem  the CA of the front proxy expired at 2026-01-01T03:04:05Z",
                called,
            ],
        );
        check(
            &[of(&ca(29)), named],
            false,
            &[
                "warning  the CA of the front proxy expires soon, at 2026-01-31T03:04:05Z",
                called,
            ],
        );
        let separate = ("client-ca-file", clients.as_str());
        check(
            &[of(&good), unnamed, separate],
            false,
            &[
                holds,
                "warning  the front proxy may have any name: every client with a certificate of its CA can impersonate all users",
            ],
        );
        let shared = format!("{clients}{good}");
        let shared = ("client-ca-file", shared.as_str());
        check(
            &[of(&good), shared],
            false,
            &[
                holds,
                "problem  the front proxy may have any name and its CA signs client certificates as well: every client could impersonate all users, so the server rejects all callers",
            ],
        );
        check(
            &[of(&good), unnamed, shared],
            true,
            &[
                holds,
                "warning  the front proxy may have any name and its CA signs client certificates as well: every client can impersonate all users, and the server is configured to accept that",
            ],
        );
    }
}
