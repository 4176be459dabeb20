//! A cluster that trusts the certificates of an authority whose key our server has.

use std::fs;
use std::path::Path;

use certificates::{Authority, Validity};
use serde_json::json;
use test_cluster::{Options, TestCluster};

use super::fleet::Fleet;

/// Configures a cluster for client certificates of a dedicated authority, at the cluster itself.
/// Restarts its API server with these options.
#[track_caller]
pub(super) fn sign_for(
    fleet: &Fleet,
    name: &str,
    cluster: &mut TestCluster,
    folder: &Path,
    mut options: Options,
) {
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
    let secret_name = format!("cluster-{name}-signer");
    let secret = [
        "create",
        "secret",
        "tls",
        &secret_name,
        "--namespace=kubeconfig-apiserver",
        &files[0],
        &files[1],
    ];
    fleet.admin().output(&secret).unwrap();
    fleet.offer_direct_endpoint(name, cluster);
    let reference = json!({ "namespace": "kubeconfig-apiserver", "name": secret_name });
    let change = json!({ "spec": { "clientCertificates": { "signerSecretRef": reference } } });
    fleet.change(name, &change);
    fleet.cluster(&["bind", name]);

    let bundle = format!("{}{}", cluster.ca_pem(), signer.certificate_pem());
    fs::write(cluster.folder().join("clients.crt"), bundle).unwrap();
    let trust = "--client-ca-file=clients.crt".to_owned();
    options.arguments.push(trust);
    cluster.restart_apiserver(&options).unwrap();
}
