//! Validation of `spec.connection`. The gateway sends a credential there that may impersonate any
//! user.

use api::management::cluster::ClusterConnection;
use http::Uri;
use machinery::field::{BadValue, Error, ErrorList, Path};
use machinery::validation;

use crate::ca_bundle::CaBundle;

use super::file_fields::shown;

/// The proxy schemes that the gateway supports.
const PROXIES: [&str; 3] = ["http", "https", "socks5"];

/// Maximum length of a URL, in bytes. Code that shows or sends URLs has limits of its own.
pub const MAX_URL: usize = 2048;

/// Returns the problems with a connection, except for the reference to the credential.
pub(super) fn validate(connection: &ClusterConnection, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let server = path.child("server");
    match connection.server.as_str() {
        "" => errors.push(Error::required(&server, "")),
        url => errors.extend(check_url(url, &["https"], &server)),
    }
    if !connection.proxy_url.is_empty() {
        let path = path.child("proxyURL");
        errors.extend(check_url(&connection.proxy_url, &PROXIES, &path));
    }
    errors.extend(check_authorities(
        &connection.ca_data,
        &path.child("caData"),
    ));
    let name = connection.tls_server_name.as_str();
    if !name.is_empty() && !is_name(name) {
        let path = path.child("tlsServerName");
        let why = "must be a host name or an IP address, without a port";
        errors.push(Error::invalid(&path, name, why));
    }
    errors
}

/// Returns the problem with a URL. A value that may contain a password is not shown.
pub(super) fn check_url(url: &str, schemes: &[&str], path: &Path) -> Option<Error> {
    if url.len() > MAX_URL {
        return Some(Error::too_long(path, MAX_URL));
    }
    let known = schemes.join(", ");
    let Some(uri) = url.parse::<Uri>().ok().filter(|uri| uri.host().is_some()) else {
        let why = format!("must be a URL with scheme {known} and a host");
        return Some(Error::invalid(path, BadValue::Omitted, why));
    };
    let authority = uri.authority().map(|authority| authority.as_str());
    if authority.is_some_and(|authority| authority.contains('@')) {
        let why =
            "must not contain a user or a password: every user who may get the cluster sees them";
        return Some(Error::invalid(path, BadValue::Omitted, why));
    }
    if !schemes.contains(&uri.scheme_str().unwrap_or_default()) {
        let why = format!("must be a URL with scheme {known} and a host");
        return Some(Error::invalid(path, shown(url), why));
    }
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    if !has_host || uri.query().is_some() || url.contains('#') {
        let why = "must have a host, and must not have a query or fragment";
        return Some(Error::invalid(path, shown(url), why));
    }
    None
}

/// Returns the problem with authorities, which must be empty or base64 of certificates in PEM.
pub(super) fn check_authorities(data: &str, path: &Path) -> Option<Error> {
    let why = CaBundle::from_base64(data).err()?;
    Some(Error::invalid(path, BadValue::Omitted, why.to_string()))
}

fn is_name(name: &str) -> bool {
    name.parse::<std::net::IpAddr>().is_ok() || validation::dns1123_subdomain(name).is_empty()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::{Value, json};

    use super::*;

    fn valid() -> Value {
        let key = rcgen::KeyPair::generate().unwrap();
        let ca = rcgen::CertificateParams::default()
            .self_signed(&key)
            .unwrap();
        json!({
            "server": "https://10.0.0.1:6443",
            "caData": STANDARD.encode(ca.pem()),
            "tlsServerName": "kubernetes",
            "proxyURL": "socks5://127.0.0.1:1080",
        })
    }

    /// Validates a connection that is valid except for one field.
    #[track_caller]
    fn check(field: &str, value: Value, expected: &str) {
        let mut connection = valid();
        *connection.pointer_mut(field).unwrap() = value;
        let connection = serde_json::from_value(connection).unwrap();
        let errors = validate(&connection, &Path::root("c"));
        let told: Vec<String> = errors.iter().map(Error::to_string).collect();
        assert_eq!(told.join("; "), expected);
    }

    #[test]
    fn a_connection_needs_no_more_than_an_address() {
        let connection = serde_json::from_value(valid()).unwrap();
        assert_eq!(validate(&connection, &Path::root("c")), []);
        let least = serde_json::from_value(json!({ "server": "https://a.example.com/k8s" }));
        assert_eq!(validate(&least.unwrap(), &Path::root("c")), []);
    }

    #[test]
    fn the_server_is_an_https_url_without_secrets() {
        let form = "must be a URL with scheme https and a host";
        check("/server", json!(""), "c.server: Required value");
        check(
            "/server",
            json!("10.0.0.1:6443"),
            &format!("c.server: Invalid value: \"10.0.0.1:6443\": {form}"),
        );
        check(
            "/server",
            json!("http://a"),
            &format!("c.server: Invalid value: \"http://a\": {form}"),
        );
        check(
            "/server",
            json!("https://"),
            &format!("c.server: Invalid value: {form}"),
        );
        check(
            "/server",
            json!("/a"),
            &format!("c.server: Invalid value: {form}"),
        );
        let parts = "must have a host, and must not have a query or fragment";
        for url in ["https://a?b=c", "https://a#b"] {
            check(
                "/server",
                json!(url),
                &format!("c.server: Invalid value: \"{url}\": {parts}"),
            );
        }
        check(
            "/server",
            json!("https://me:secret@a"),
            "c.server: Invalid value: must not contain a user or a password: every user who may get the cluster sees them",
        );
    }

    #[test]
    fn the_proxy_is_one_that_the_gateway_speaks_to() {
        for url in ["http://p:3128", "https://p", "socks5://[::1]:1080", ""] {
            check("/proxyURL", json!(url), "");
        }
        check(
            "/proxyURL",
            json!("ftp://p"),
            "c.proxyURL: Invalid value: \"ftp://p\": must be a URL with scheme http, https, socks5 and a host",
        );
        check(
            "/proxyURL",
            json!("http://me:secret@p"),
            "c.proxyURL: Invalid value: must not contain a user or a password: every user who may get the cluster sees them",
        );
    }

    #[test]
    fn an_address_has_an_end() {
        let url = |length: usize| format!("{:a<length$}", "https://");
        for field in ["server", "proxyURL"] {
            check(&format!("/{field}"), json!(url(MAX_URL)), "");
            check(
                &format!("/{field}"),
                json!(url(MAX_URL + 1)),
                &format!("c.{field}: Too long: may not be more than 2048 bytes"),
            );
        }
    }

    #[test]
    fn the_authorities_are_certificates() {
        let invalid = |why: &str| format!("c.caData: Invalid value: {why}");
        let pem = |text: &str| json!(STANDARD.encode(text));
        check("/caData", json!(""), "");
        check(
            "/caData",
            json!("?"),
            &invalid("must be base64 of PEM-encoded X.509 certificates"),
        );
        check(
            "/caData",
            pem("hello"),
            &invalid("must contain only PEM-encoded X.509 certificates"),
        );
        check(
            "/caData",
            pem("-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n"),
            &invalid("must contain only PEM-encoded X.509 certificates"),
        );
        check(
            "/caData",
            pem("-----BEGIN CERTIFICATE-----\n?\n"),
            &invalid("must contain only PEM-encoded X.509 certificates"),
        );
    }

    #[test]
    fn the_expected_name_is_a_name() {
        for name in ["", "kubernetes", "a.example.com", "10.0.0.1", "::1"] {
            check("/tlsServerName", json!(name), "");
        }
        for name in ["a:6443", "https://a", "*.a", "a b"] {
            let why = "must be a host name or an IP address, without a port";
            check(
                "/tlsServerName",
                json!(name),
                &format!("c.tlsServerName: Invalid value: {name:?}: {why}"),
            );
        }
    }
}
