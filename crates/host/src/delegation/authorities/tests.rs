use std::error::Error;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;

use super::*;

/// The CA of users and that of front proxies, as PEM.
struct Bundles {
    users: String,
    front_proxies: String,
}

fn bundles() -> Bundles {
    let authority = || {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .pem()
    };
    Bundles {
        users: authority(),
        front_proxies: authority(),
    }
}

impl Bundles {
    /// Returns the ConfigMap as kube-apiserver publishes it, with these changes. `None` removes a
    /// key.
    fn config_map(&self, changes: &[(&str, Option<&str>)]) -> ConfigMap {
        let mut data: std::collections::BTreeMap<String, String> = [
            (CLIENT_CA, self.users.as_str()),
            (FRONT_PROXY_CA, &self.front_proxies),
            ("requestheader-allowed-names", r#"["front-proxy-client"]"#),
            ("requestheader-username-headers", r#"["X-Remote-User"]"#),
            ("requestheader-uid-headers", r#"["X-Remote-Uid"]"#),
            (
                "requestheader-group-headers",
                r#"["X-Remote-Group","X-Group"]"#,
            ),
            (
                "requestheader-extra-headers-prefix",
                r#"["X-Remote-Extra-"]"#,
            ),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        for (key, value) in changes {
            data.remove(*key);
            data.extend(value.map(|value| ((*key).to_owned(), value.to_owned())));
        }
        ConfigMap {
            data: Some(data),
            ..ConfigMap::default()
        }
    }

    fn authorities(&self) -> Authorities {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Authorities {
            client_ca: vec![certificate(&self.users)],
            request_header: RequestHeaderConfig {
                client_ca: vec![certificate(&self.front_proxies)],
                allowed_names: owned(&["front-proxy-client"]),
                username_headers: owned(&["X-Remote-User"]),
                uid_headers: owned(&["X-Remote-Uid"]),
                group_headers: owned(&["X-Remote-Group", "X-Group"]),
                extra_header_prefixes: owned(&["X-Remote-Extra-"]),
            },
        }
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn read(config_map: &ConfigMap) -> Result<Authorities, String> {
    Authorities::read(config_map, false).map_err(|error| {
        let cause = error.source().map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    })
}

#[test]
fn all_that_the_host_publishes_is_read() {
    let bundles = bundles();
    assert_eq!(read(&bundles.config_map(&[])), Ok(bundles.authorities()));
}

#[test]
fn host_without_certificates_of_users_or_uids_is_read_too() {
    let bundles = bundles();
    let without = [(CLIENT_CA, None), ("requestheader-uid-headers", Some(""))];
    let mut expected = bundles.authorities();
    expected.client_ca.clear();
    expected.request_header.uid_headers.clear();
    assert_eq!(read(&bundles.config_map(&without)), Ok(expected));
}

#[test]
fn what_is_damaged_is_not_read() {
    let bundles = bundles();
    #[track_caller]
    fn check(bundles: &Bundles, key: &str, value: Option<&str>, expected: &str) {
        let outcome = read(&bundles.config_map(&[(key, value)]));
        assert_eq!(outcome, Err(expected.to_owned()));
    }
    let no_bundle = |key| format!("{key} cannot be used: the CA bundle contains no certificate");
    check(&bundles, CLIENT_CA, Some(""), &no_bundle(CLIENT_CA));
    check(&bundles, CLIENT_CA, Some("x"), &no_bundle(CLIENT_CA));
    check(
        &bundles,
        FRONT_PROXY_CA,
        Some(""),
        &no_bundle(FRONT_PROXY_CA),
    );
    let missing = "requestheader-client-ca-file is missing";
    check(&bundles, FRONT_PROXY_CA, None, missing);
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let invalid = "a CA bundle cannot be used: the CA bundle contains an invalid certificate";
    check(&bundles, CLIENT_CA, Some(no_certificate), invalid);
    check(&bundles, FRONT_PROXY_CA, Some(no_certificate), invalid);
    let key = "requestheader-allowed-names";
    let no_list = "requestheader-allowed-names is not a JSON list of strings: \
                   expected value at line 1 column 1";
    check(&bundles, key, Some("x"), no_list);
    let nothing = ConfigMap::default();
    assert_eq!(read(&nothing), Err(missing.to_owned()));
}

#[test]
fn empty_names_are_taken_only_where_users_and_front_proxies_differ() {
    let bundles = bundles();
    let both = format!("{}{}", bundles.front_proxies, bundles.users);
    for names in [None, Some(""), Some("[]")] {
        let empty = ("requestheader-allowed-names", names);
        let separate = bundles.config_map(&[empty]);
        assert!(Authorities::read(&separate, false).is_ok());
        let shared = bundles.config_map(&[empty, (FRONT_PROXY_CA, Some(&both))]);
        let refused = Authorities::read(&shared, false);
        assert!(matches!(refused, Err(ConfigurationError::AnyNameOfAnyUser)));
        assert!(Authorities::read(&shared, true).is_ok());
    }
    let named = bundles.config_map(&[(FRONT_PROXY_CA, Some(&both))]);
    assert!(Authorities::read(&named, false).is_ok());
}

#[test]
fn authority_of_the_users_does_not_go_away() {
    let with = bundles().authorities();
    let without = Authorities {
        client_ca: Vec::new(),
        ..with.clone()
    };
    let lost = with.followed_by(&without).unwrap_err();
    assert_eq!(lost.to_string(), "client-ca-file is missing");
    assert!(without.followed_by(&with).is_ok());
    assert!(without.followed_by(&without).is_ok());
}
