//! A cluster that trusts the certificates of an authority whose key our server has.

use std::fs;
use std::path::Path;

use certificates::{Authority, Validity};
use serde_json::json;
use test_cluster::{Options, TestCluster};

use super::super::fleet::Fleet;

/// Configures `prod` for client certificates of a dedicated authority, at the cluster itself.
#[track_caller]
pub(super) fn sign_for(fleet: &Fleet, prod: &mut TestCluster, folder: &Path) {
    let validity = Validity {
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2099-01-01T00:00:00Z".parse().unwrap(),
    };
    let signer = Authority::create("signer", validity).unwrap();
    let (certificate, key) = (folder.join("signer.crt"), folder.join("signer.key"));
    fs::write(&certificate, signer.certificate_pem()).unwrap();
    fs::write(&key, signer.key().expose()).unwrap();
    let files = [
        format!("--cert={}", certificate.display()),
        format!("--key={}", key.display()),
    ];
    let secret = [
        "create",
        "secret",
        "tls",
        "cluster-prod-signer",
        "--namespace=kubeconfig-apiserver",
        &files[0],
        &files[1],
    ];
    fleet.admin().output(&secret).unwrap();
    fleet.offer_direct_endpoint("prod", prod);
    let reference = json!({ "namespace": "kubeconfig-apiserver", "name": "cluster-prod-signer" });
    let change = json!({ "spec": { "clientCertificates": { "signerSecretRef": reference } } });
    fleet.change("prod", &change);
    fleet.cluster(&["bind", "prod"]);

    let bundle = format!("{}{}", prod.ca_pem(), signer.certificate_pem());
    fs::write(prod.folder().join("clients.crt"), bundle).unwrap();
    let believing = Options {
        arguments: vec!["--client-ca-file=clients.crt".to_owned()],
        ..Options::default()
    };
    prod.restart_apiserver(&believing).unwrap();
}
