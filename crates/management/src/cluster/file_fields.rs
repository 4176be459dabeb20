//! Validation of the fields of a Cluster that are written into users' files. They are checked when
//! a Cluster is written, if this server serves the kind. They are also checked whenever a file is
//! created, because a host that serves the kind may not check them.

use api::management::Cluster;
use api::management::cluster::LocalClusterAuthEndpoint;
use machinery::field::{BadValue, Error, ErrorList, Path};

use crate::ca_bundle::CaBundle;
use crate::display_text;
use crate::server_host::ServerHost;

use super::authentication;

/// Returns the problems with the fields of a cluster that a file contains, with this direct
/// endpoint.
#[must_use]
pub fn check_file_fields(
    cluster: &Cluster,
    endpoint: Option<&LocalClusterAuthEndpoint>,
) -> ErrorList {
    let mut errors = check_names(cluster, endpoint);
    if let Some(oidc) = cluster.oidc() {
        let path = Path::root("spec").child("authentication").child("oidc");
        errors.extend(authentication::check_oidc(oidc, &path));
    }
    errors
}

/// Returns the problems with the name and the direct endpoint of a cluster.
pub(super) fn check_names(
    cluster: &Cluster,
    endpoint: Option<&LocalClusterAuthEndpoint>,
) -> ErrorList {
    let spec = Path::root("spec");
    let name = spec.child("displayName");
    let mut errors = ErrorList::from_iter(check_text(&cluster.spec.display_name, &name));
    if let Some(endpoint) = endpoint {
        errors.extend(check_endpoint(
            endpoint,
            &spec.child("localClusterAuthEndpoint"),
        ));
    }
    errors
}

fn check_endpoint(endpoint: &LocalClusterAuthEndpoint, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let fqdn = endpoint.fqdn.as_str();
    if !fqdn.is_empty() && ServerHost::from_authority(fqdn).is_none() {
        let why = "must be a host name or an IP address, with an optional port";
        errors.push(Error::invalid(&path.child("fqdn"), shown(fqdn), why));
    }
    if let Err(why) = CaBundle::from_pem(&endpoint.ca_certs) {
        let path = path.child("caCerts");
        errors.push(Error::invalid(&path, BadValue::Omitted, why.to_string()));
    }
    errors
}

/// Returns the problem with a display text.
pub(super) fn check_text(text: &str, path: &Path) -> Option<Error> {
    let why = display_text::check(text).err()?;
    Some(Error::invalid(path, BadValue::Omitted, why))
}

/// Returns the value if it can be shown. It may end up in the condition of a user's record.
pub(super) fn shown(text: &str) -> BadValue {
    match display_text::check(text) {
        Ok(()) => text.into(),
        Err(_) => BadValue::Omitted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(spec: Value, expected: &[&str]) {
        let cluster: Cluster = serde_json::from_value(json!({ "spec": spec })).unwrap();
        let endpoint = cluster.spec.local_cluster_auth_endpoint.as_ref();
        let errors = check_file_fields(&cluster, endpoint);
        let told: Vec<String> = errors.iter().map(Error::to_string).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn hosts_have_a_name_and_perhaps_a_port() {
        let endpoint = |fqdn: &str| json!({"localClusterAuthEndpoint": {"fqdn": fqdn}});
        for right in [
            "",
            "example.com",
            "example.com:6443",
            "10.0.0.1",
            "[fd00::1]:6443",
        ] {
            check(endpoint(right), &[]);
        }
        let why = "must be a host name or an IP address, with an optional port";
        let path = "spec.localClusterAuthEndpoint.fqdn";
        for wrong in [
            "https://example.com",
            "evil.example/x?y=",
            "example.com:port",
            "exa mple",
            "a@b",
            "a?b",
            "a#b",
        ] {
            check(
                endpoint(wrong),
                &[&format!("{path}: Invalid value: {wrong:?}: {why}")],
            );
        }
        for hidden in ["evil.example/x?y=\n", "a\u{202e}b", &"a".repeat(1000)] {
            check(
                endpoint(hidden),
                &[&format!("{path}: Invalid value: {why}")],
            );
        }
    }

    #[test]
    fn authorities_are_certificates() {
        let endpoint = |text: &str| json!({"localClusterAuthEndpoint": {"caCerts": text}});
        check(endpoint(""), &[]);
        check(
            endpoint("garbage"),
            &[
                "spec.localClusterAuthEndpoint.caCerts: Invalid value: must contain only PEM-encoded X.509 certificates",
            ],
        );
    }

    #[test]
    fn names_are_short_and_printable() {
        check(json!({"displayName": "Production \u{1f980}"}), &[]);
        let why = "must not contain control, format or line-separating characters";
        check(
            json!({"displayName": "a\u{1b}[31m\0\nb"}),
            &[&format!("spec.displayName: Invalid value: {why}")],
        );
        check(
            json!({"displayName": "a".repeat(257)}),
            &["spec.displayName: Invalid value: must have at most 256 characters"],
        );
    }

    #[test]
    fn a_provider_is_one() {
        let oidc = json!({"issuer": "https://a", "clientID": "b\u{1b}", "caData": "?"});
        check(
            json!({"authentication": {"oidc": oidc}}),
            &[
                "spec.authentication.oidc.clientID: Invalid value: must not contain control, format or line-separating characters",
                "spec.authentication.oidc.caData: Invalid value: must be base64 of PEM-encoded X.509 certificates",
            ],
        );
    }
}
