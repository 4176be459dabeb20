//! Secrets of webhook credentials that a writer of Secrets plants or changes. They do not
//! authenticate a caller as a cluster.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::host::NAME;
use e2e::http::{Client, Request, expect};
use e2e::{Host, poll, program};
use serde_json::{Value, json};

use super::{LIMIT, SECRETS};

const REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
const CLUSTERS: &str = "/apis/management.cattle.io/v3/clusters";
const SECRET: &str = "cluster-planted-webhook";

/// A credential made by the attacker.
const OWN: &str = "cluster.planted.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

pub(super) fn planted_credentials_are_not_used(host: &Host, mallory: &Client) {
    let admin = host.client("admin").unwrap();
    let [uid, _] = ["planted", "control"].map(|name| {
        let cluster = json!({
            "apiVersion": "management.cattle.io/v3", "kind": "Cluster",
            "metadata": {"name": name}, "spec": {},
        });
        let made = expect(admin.post(CLUSTERS, &cluster).unwrap(), 201).unwrap();
        made.json().unwrap()["metadata"]["uid"].clone()
    });
    let mut planted = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": NAME, "annotations": {
            "kubeconfig-apiserver.cattle.io/cluster-name": "planted",
            "kubeconfig-apiserver.cattle.io/cluster-uid": uid,
        }},
        "data": {"token-sha256": hash(OWN), "audiences": STANDARD.encode("theirs")},
    });
    expect(mallory.post(SECRETS, &planted).unwrap(), 201).unwrap();
    never_opens(host, OWN);
    command_for_administrators_says_so(host);
    binding_it_is_refused(host);

    without_the_server_nothing_is_made(host);
    let made = webhook(host, "planted");
    opens(host, &made);
    never_opens(host, OWN);
    let path = format!("{SECRETS}/{SECRET}");
    let sealed = expect(admin.get(&path).unwrap(), 200).unwrap();
    let sealed = sealed.json().unwrap();
    assert_eq!(sealed["data"].as_object().unwrap().len(), 1, "{sealed}");

    let added = json!({"data": {"token-sha256.previous": hash(OWN)}});
    let media_type = "application/merge-patch+json";
    let added = Request::new("PATCH", &path).body(media_type, added.to_string());
    expect(mallory.send(&added).unwrap(), 200).unwrap();
    never_opens(host, OWN);
    poll::until("nothing of a changed Secret counts", LIMIT, || {
        Ok((review(host, &made)? == 401).then_some(()))
    })
    .unwrap();

    let again = webhook(host, "planted");
    opens(host, &again);
    never_opens(host, OWN);

    // The seal of one cluster in the Secret of another.
    let delete = Request::new("DELETE", &path);
    expect(admin.send(&delete).unwrap(), 200).unwrap();
    planted["metadata"]["annotations"]["kubeconfig-apiserver.cattle.io/seal"] =
        sealed["metadata"]["annotations"]["kubeconfig-apiserver.cattle.io/seal"].clone();
    expect(mallory.post(SECRETS, &planted).unwrap(), 201).unwrap();
    never_opens(host, OWN);
    expect(admin.send(&delete).unwrap(), 200).unwrap();
    for name in ["planted", "control"] {
        let delete = Request::new("DELETE", &format!("{CLUSTERS}/{name}"));
        expect(admin.send(&delete).unwrap(), 200).unwrap();
    }
}

fn hash(token: &str) -> String {
    let hash = digest(&SHA256, token.as_bytes());
    let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    STANDARD.encode(hex.collect::<String>())
}

/// Returns the status of a review that a caller with this credential requests.
fn review(host: &Host, credential: &str) -> anyhow::Result<u16> {
    let client = host.client_at(host.replicas[0].gateway_port(), "alice")?;
    let client = client.without_credential().with_token(credential);
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "spec": {"token": "none"},
    });
    Ok(client.post(REVIEWS, &body)?.status)
}

#[track_caller]
fn opens(host: &Host, credential: &str) {
    poll::until("the cluster may ask", LIMIT, || {
        Ok((review(host, credential)? == 201).then_some(()))
    })
    .unwrap();
}

/// Checks that a credential is rejected. A valid credential that was created later has taken effect
/// before.
#[track_caller]
fn never_opens(host: &Host, credential: &str) {
    opens(host, &webhook(host, "control"));
    assert_eq!(review(host, credential).unwrap(), 401);
}

#[track_caller]
fn command_for_administrators_says_so(host: &Host) {
    let file = host.kubeconfig("admin").display().to_string();
    let said = program::run(&["check", "--host-kubeconfig", &file]);
    let said = said.unwrap().stdout;
    let expected = format!(
        "problem  Secret {SECRET} does not have the seal of the server, so the server does not use it"
    );
    assert!(said.contains(&expected), "{said}");
}

#[track_caller]
fn binding_it_is_refused(host: &Host) {
    for name in ["planted", "--all"] {
        let outcome = cluster(host, &["bind", name]);
        assert_ne!(outcome.code, 0);
        let expected = format!(
            "Secret {SECRET} does not have the seal of the server, so another client may have written it: create a new credential with kubeconfig-apiserver cluster webhook planted\n"
        );
        assert!(outcome.stderr.contains(&expected), "{}", outcome.stderr);
    }
}

#[track_caller]
fn without_the_server_nothing_is_made(host: &Host) {
    let server = format!("--server-url={}", host.gateway_url());
    let outcome = cluster(
        host,
        &["webhook", "planted", &server, "--namespace=default"],
    );
    let expected = "error: no kubeconfig-apiserver was started in namespace default: set the correct --namespace, or start the server first\n";
    assert_eq!((outcome.code, outcome.stderr.as_str()), (1, expected));
    assert_eq!(outcome.stdout, "");
}

/// Creates a credential, as an administrator does.
#[track_caller]
fn webhook(host: &Host, name: &str) -> String {
    let server = format!("--server-url={}", host.gateway_url());
    let outcome = cluster(host, &["webhook", name, &server]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let file: Value = serde_saphyr::from_str(&outcome.stdout).unwrap();
    let token = &file["users"][0]["user"]["token"];
    token.as_str().unwrap().to_owned()
}

fn cluster(host: &Host, arguments: &[&str]) -> program::Outcome {
    let file = format!("--kubeconfig={}", host.kubeconfig("admin").display());
    program::run(&[&["cluster"], arguments, &[&file]].concat()).unwrap()
}
