//! Fields that refer to Secrets and to contents of files, if this server serves them: the values
//! that are rejected, and the state that a version without bindings left.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::Server;
use e2e::http::{Client, Request, expect};
use serde_json::{Value, json};

use crate::record;

const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";
const SETTINGS: &str = "/apis/management.cattle.io/v3/settings";
const SECRETS: &str = "/api/v1/namespaces/kubeconfig-apiserver/secrets";

/// The Secret that marks that the Secrets of older versions were bound.
const MARK: &str = "cluster-secrets-bound";

/// The answer to a patch.
#[derive(Debug)]
struct Patched {
    status: u16,
    message: String,
}

fn patch(client: &Client, path: &str, patch: &Value) -> Patched {
    let request = Request::new("PATCH", path);
    let request = request.body("application/merge-patch+json", patch.to_string());
    let answer = client.send(&request).unwrap();
    let message = &answer.json().unwrap()["message"];
    Patched {
        status: answer.status,
        message: message.as_str().unwrap_or_default().to_owned(),
    }
}

#[track_caller]
fn refused(patched: &Patched, why: &str) {
    assert_eq!(patched.status, 422, "{patched:?}");
    assert!(patched.message.contains(why), "{patched:?}");
}

fn reference(name: &str) -> Value {
    json!({"namespace": "kubeconfig-apiserver", "name": name})
}

fn leading(name: &str) -> Value {
    json!({"server": "https://127.0.0.1:1", "credentialSecretRef": reference(name)})
}

#[track_caller]
fn make(admin: &Client, collection: &str, object: &Value) {
    expect(admin.post(collection, object).unwrap(), 201).unwrap();
}

fn make_cluster(admin: &Client, name: &str, spec: &Value) {
    let object = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "Cluster",
        "metadata": {"name": name}, "spec": spec,
    });
    make(admin, CLUSTERS, &object);
}

fn make_secret(admin: &Client, name: &str) {
    let object = json!({
        "metadata": {"name": name}, "data": {"token": STANDARD.encode("credential")},
    });
    make(admin, SECRETS, &object);
}

#[test]
fn a_cluster_names_no_secret_but_its_own() {
    let server = Server::start().unwrap();
    let admin = server.client("admin").unwrap();
    make_cluster(&admin, "evil", &json!({}));
    let path = format!("{CLUSTERS}/evil");
    for name in [
        "cluster-victim-gateway",
        "cluster-evil-signer",
        "kubeconfig-apiserver-serving",
        "my-credential",
        "cluster-b",
    ] {
        let patched = patch(
            &admin,
            &path,
            &json!({"spec": {"connection": leading(name)}}),
        );
        refused(
            &patched,
            "must be cluster-evil-gateway, the cluster's own Secret",
        );
        let signer = json!({"clientCertificates": {"signerSecretRef": reference(name)}});
        let patched = patch(&admin, &path, &json!({"spec": signer}));
        match name {
            "cluster-evil-signer" => assert_eq!(patched.status, 200),
            _ => refused(
                &patched,
                "must be cluster-evil-signer, the cluster's own Secret",
            ),
        }
    }
    let own = json!({"spec": {"connection": leading("cluster-evil-gateway")}});
    assert_eq!(patch(&admin, &path, &own).status, 200);
}

#[test]
fn fields_that_files_say_are_refused_when_they_are_invalid() {
    let server = Server::start().unwrap();
    let admin = server.client("admin").unwrap();
    make_cluster(&admin, "prod", &json!({}));
    let authority = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
    let (certificate, key) = (authority.cert.pem(), authority.signing_key.serialize_pem());
    let both = format!("{certificate}{key}");

    let prod = format!("{CLUSTERS}/prod");
    let none = "must contain only PEM-encoded X.509 certificates";
    let private = "contains a private key";
    for (field, value, why) in [
        ("fqdn", "evil.example/x?y=\n", "must be a host name"),
        ("caCerts", "garbage", none),
        ("caCerts", &both, private),
    ] {
        let endpoint = json!({"enabled": true, field: value});
        let patched = patch(
            &admin,
            &prod,
            &json!({"spec": {"localClusterAuthEndpoint": endpoint}}),
        );
        refused(&patched, why);
    }
    let patched = patch(
        &admin,
        &prod,
        &json!({"spec": {"displayName": "a\u{202e}b"}}),
    );
    refused(&patched, "must not contain control, format");
    let connection = json!({"server": "https://a", "caData": STANDARD.encode(&both)});
    refused(
        &patch(&admin, &prod, &json!({"spec": {"connection": connection}})),
        private,
    );

    for (setting, value, why) in [
        ("cacerts", "garbage", none),
        ("cacerts", " ", none),
        ("cacerts", &both, private),
        (
            "server-url",
            "https://münchen.example",
            "must have a host name",
        ),
        (
            "server-url",
            "https://h.example.com:99999",
            "must have a host name",
        ),
        (
            "server-url",
            "https://me:secret@a",
            "must not contain a user",
        ),
        ("server-url", "http://a", "must be a URL with scheme https"),
        (
            "kubeconfig-max-token-ttl-minutes",
            "0.0001",
            "must be at least one second",
        ),
    ] {
        let patched = patch(
            &admin,
            &format!("{SETTINGS}/{setting}"),
            &json!({"value": value}),
        );
        assert!(!patched.message.contains("secret"), "{patched:?}");
        refused(&patched, why);
    }

    // The accepted value is the content of the file, without any text between the certificates.
    let commented = format!("# kept secret\r\n{}", certificate.replace('\n', "\r\n"));
    for (setting, value) in [
        ("cacerts", commented.as_str()),
        ("server-url", "HTTPS://a.example/x"),
    ] {
        let path = format!("{SETTINGS}/{setting}");
        assert_eq!(patch(&admin, &path, &json!({"value": value})).status, 200);
    }
    let created = record::create(&server.client("alice").unwrap(), json!({}));
    let file = created["status"]["value"].as_str().unwrap();
    let file: Value = serde_saphyr::from_str(file).unwrap();
    let cluster = json!({
        "server": "https://a.example",
        "certificate-authority-data": STANDARD.encode(certificate.replace("\r\n", "\n")),
    });
    assert_eq!(file["clusters"][0]["cluster"], cluster);
}

/// Only once: otherwise an editor of a Cluster could have a Secret bound by a restart.
#[test]
fn secrets_of_a_version_without_bindings_are_bound_once() {
    let mut server = Server::start().unwrap();
    let admin = server.client("admin").unwrap();
    for name in ["a", "b"] {
        make_cluster(
            &admin,
            name,
            &json!({"connection": leading(&format!("cluster-{name}-gateway"))}),
        );
        make_secret(&admin, &format!("cluster-{name}-gateway"));
    }
    make_secret(&admin, "cluster-a-webhook");
    make_secret(&admin, "cluster-a-signer");
    make_secret(&admin, "cluster-gone-gateway");
    server.restart().unwrap();
    let bound = || {
        let list = admin.get(SECRETS).unwrap().json().unwrap();
        let secrets = list["items"].as_array().unwrap().iter();
        let bound = secrets.filter(|it| it["metadata"]["annotations"].is_object());
        let names = bound.map(|it| it["metadata"]["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(bound(), [""; 0]);

    // The state that such a version left.
    let mark = Request::new("DELETE", &format!("{SECRETS}/{MARK}"));
    expect(admin.send(&mark).unwrap(), 200).unwrap();
    server.restart().unwrap();
    let expected = [
        "cluster-a-gateway",
        "cluster-a-webhook",
        "cluster-b-gateway",
    ];
    assert_eq!(bound(), expected);
    let cluster = admin.get(&format!("{CLUSTERS}/a")).unwrap().json().unwrap();
    let secret = admin.get(&format!("{SECRETS}/cluster-a-webhook")).unwrap();
    let annotations = json!({
        "kubeconfig-apiserver.cattle.io/cluster-name": "a",
        "kubeconfig-apiserver.cattle.io/cluster-uid": cluster["metadata"]["uid"],
    });
    assert_eq!(
        secret.json().unwrap()["metadata"]["annotations"],
        annotations
    );
    assert_eq!(admin.get(&format!("{SECRETS}/{MARK}")).unwrap().status, 200);
}
