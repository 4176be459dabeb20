//! `cluster webhook`.

use api::management::Cluster;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use management::cluster_secret::{Binding, Purpose, SealKey};
use serde_json::{Value, json};
use tokens::cluster_credential::{ClusterToken, HASH_KEY, PREVIOUS_HASH_KEY};

use crate::api_server::{ApiServer, CREATED, groups};
use crate::command::{Output, run, usage_error};

const CLUSTER: &str = "/apis/management.cattle.io/v3/clusters/prod";
const SETTINGS: &str = "/apis/management.cattle.io/v3/settings";
const SECRET: &str = "/api/v1/namespaces/kubeconfig-apiserver/secrets/cluster-prod-webhook";

const LINE: &str = "cluster webhook prod --server-url https://10.0.0.1:8443/";

/// The instructions for a credential and an audience.
const INSTRUCTIONS: &str = "\
Save the printed configuration in a file that only the kube-apiserver of the cluster can read, and set these flags:

  --authentication-token-webhook-config-file=FILE
  --authentication-token-webhook-version=v1
  --authentication-token-webhook-cache-ttl=10s

A revoked token stays valid there for the duration in the last flag (2m0s without the flag), and for 10 seconds more, which no flag changes.
The kube-apiserver must have the API audience AUDIENCE: set by --api-audiences,
else by --service-account-issuer. If it has another one, run this command again with --api-audience.
";

const ONLY: &str = "cluster prod has a new credential; no other one is valid.\n";
const BOTH: &str = "cluster prod has a new credential; the previous one is valid until the next run, or until --revoke-previous.\n";

async fn server() -> ApiServer {
    let server = ApiServer::start().await;
    let cluster = json!({
        "apiVersion": "management.cattle.io/v3", "kind": "Cluster",
        "spec": { "connection": { "server": "https://prod:6443" } },
    });
    server.put(CLUSTER, cluster);
    server
}

/// Returns the token in the printed file.
fn token(output: &Output) -> ClusterToken {
    let (_, token) = output.stdout.split_once("token: ").unwrap();
    ClusterToken::parse(token.trim()).unwrap()
}

/// Returns the server and its authorities in the printed file.
fn cluster(output: &Output) -> Value {
    let mut file: Value = serde_saphyr::from_str(&output.stdout).unwrap();
    file["clusters"][0]["cluster"].take()
}

fn instructions(audience: &str) -> String {
    INSTRUCTIONS.replace("AUDIENCE", audience)
}

/// Returns the entries of the Secret as text.
fn entries(server: &ApiServer) -> Value {
    let mut data = server.object(SECRET)["data"].take();
    for value in data.as_object_mut().unwrap().values_mut() {
        let decoded = STANDARD.decode(value.as_str().unwrap()).unwrap();
        *value = String::from_utf8(decoded).unwrap().into();
    }
    data
}

#[tokio::test]
async fn the_credential_is_printed_and_only_its_hash_is_stored() {
    let server = server().await;
    let output = run(&server, LINE).await;
    let token = token(&output);
    let expected = format!(
        "\
apiVersion: v1
clusters:
- cluster:
    server: https://10.0.0.1:8443/apis/authentication.k8s.io/v1/tokenreviews
  name: kubeconfig-apiserver
contexts:
- context:
    cluster: kubeconfig-apiserver
    user: prod
  name: kubeconfig-apiserver
current-context: kubeconfig-apiserver
kind: Config
users:
- name: prod
  user:
    token: {}
",
        token.expose()
    );
    let stderr = format!(
        "{ONLY}{}",
        instructions("https://kubernetes.default.svc.cluster.local")
    );
    assert_eq!(
        output,
        Output {
            stdout: expected,
            stderr,
            error: String::new()
        }
    );

    let cluster: Cluster = serde_json::from_value(server.object(CLUSTER)).unwrap();
    let expected = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "cluster-prod-webhook",
            "uid": "uid-cluster-prod-webhook",
            "resourceVersion": "2",
            "creationTimestamp": CREATED,
            "labels": { "app.kubernetes.io/managed-by": "kubeconfig-apiserver" },
            "annotations": Binding::of(&cluster, Purpose::Webhook).annotations(),
        },
        "data": { HASH_KEY: STANDARD.encode(token.hash()) },
    });
    assert_eq!(server.object(SECRET), expected);
}

#[tokio::test]
async fn the_previous_credential_stays_valid_until_the_next_run_or_its_revocation() {
    let server = server().await;
    let first = token(&run(&server, LINE).await).hash();
    let audience = "https://kubernetes.default.svc.cluster.local";

    let output = run(&server, LINE).await;
    let second = token(&output).hash();
    assert_eq!(output.stderr, format!("{BOTH}{}", instructions(audience)));
    assert_eq!(
        entries(&server),
        json!({ HASH_KEY: second, PREVIOUS_HASH_KEY: first })
    );

    let output = run(&server, &format!("{LINE} --revoke-previous")).await;
    let third = token(&output).hash();
    assert_eq!(output.stderr, format!("{ONLY}{}", instructions(audience)));
    assert_eq!(entries(&server), json!({ HASH_KEY: third }));
}

#[tokio::test]
async fn audiences_are_kept_until_others_are_given() {
    let server = server().await;
    let given = format!("{LINE} --api-audience a --api-audience b");
    let output = run(&server, &given).await;
    assert_eq!(output.stderr, format!("{ONLY}{}", instructions("a, b")));
    let output = run(&server, LINE).await;
    assert_eq!(output.stderr, format!("{BOTH}{}", instructions("a, b")));
    assert_eq!(entries(&server)["audiences"], "a\nb");
}

#[tokio::test]
async fn the_endpoint_is_that_of_the_settings() {
    let server = server().await;
    let setting = |name: &str, value: &str| {
        let setting = json!({
            "apiVersion": "management.cattle.io/v3", "kind": "Setting",
            "default": "", "value": value,
        });
        server.put(&format!("{SETTINGS}/{name}"), setting);
    };
    let line = "cluster webhook prod";
    setting("server-url", "");
    assert_eq!(
        run(&server, line).await.error,
        "setting server-url is \"\": set it to the https URL at which clusters reach the server, or pass --server-url"
    );
    setting("server-url", "https://kubeconfigs.example/");
    assert_eq!(
        run(&server, line).await.error,
        format!("setting cacerts cannot be read: {SETTINGS}/cacerts not found")
    );
    setting("cacerts", "PEM");
    assert_eq!(
        run(&server, line).await.error,
        "setting cacerts cannot be used: must contain only PEM-encoded X.509 certificates"
    );
    setting("cacerts", server.ca());
    let output = run(&server, line).await;
    assert_eq!(output.error, "");
    let expected = json!({
        "certificate-authority-data": server.ca_data(),
        "server": "https://kubeconfigs.example/apis/authentication.k8s.io/v1/tokenreviews",
    });
    assert_eq!(cluster(&output), expected);
}

#[tokio::test]
async fn the_endpoint_of_the_flags_may_have_an_authority_and_must_be_secure() {
    let server = server().await;
    let file = server.file("ca.pem", server.ca());
    let output = run(&server, &format!("{LINE} --server-ca-file {file}")).await;
    let authorities = &cluster(&output)["certificate-authority-data"];
    assert_eq!(*authorities, server.ca_data());
    for (flags, expected) in [
        (
            "--server-url http://a",
            "--server-url http://a must begin with https://",
        ),
        (
            "--server-url https://a --server-ca-file /nowhere",
            "--server-ca-file cannot be read: \"/nowhere\": No such file or directory (os error 2)",
        ),
    ] {
        let error = run(&server, &format!("cluster webhook prod {flags}"))
            .await
            .error;
        assert_eq!(error, expected);
    }
    assert_eq!(
        usage_error("cluster webhook prod --server-ca-file a"),
        "error: the following required arguments were not provided:\n  --server-url <URL>"
    );
}

#[tokio::test]
async fn only_the_certificates_of_the_ca_file_are_printed() {
    let server = server().await;
    let ca = server.ca();
    let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    let commented = server.file("commented", &format!("# \u{e9}\n{ca}\nsecret\n{ca}"));
    let output = run(&server, &format!("{LINE} --server-ca-file {commented}")).await;
    let authorities = &cluster(&output)["certificate-authority-data"];
    assert_eq!(*authorities, STANDARD.encode([ca, ca].concat()));
    let credential = server.object(SECRET);

    let not_certificates = "must contain only PEM-encoded X.509 certificates";
    for (content, expected) in [
        (
            format!("{ca}{key}"),
            "must contain only certificates, but contains a private key, which the operator of the cluster would get",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            not_certificates,
        ),
        ("secret".to_owned(), not_certificates),
        ("\n".to_owned(), "the file is empty"),
    ] {
        let file = server.file("other", &content);
        let error = format!("--server-ca-file cannot be used: {file:?}: {expected}");
        for command in ["webhook", "oidc"] {
            let flags = format!("--server-url {} --server-ca-file {file}", server.url());
            let output = run(&server, &format!("cluster {command} prod {flags}")).await;
            let expected = Output {
                error: error.clone(),
                ..Output::default()
            };
            assert_eq!(output, expected);
        }
    }
    assert_eq!(server.object(SECRET), credential);
}

#[tokio::test]
async fn of_two_runs_at_once_one_is_repeated() {
    let server = server().await;
    for method in ["POST", "PUT"] {
        let path = match method {
            "POST" => SECRET.rsplit_once('/').unwrap().0,
            _ => SECRET,
        };
        server.refuse(&format!("{method} {path}"), 409, "conflict");
        let output = run(&server, LINE).await;
        let error = "the credential of cluster prod cannot be stored: another client has just changed it; wait until other runs are finished, and run the command again";
        assert_eq!(
            output,
            Output {
                error: error.to_owned(),
                ..Output::default()
            }
        );
        server.forget(&format!("{method} {path}"));
        assert_eq!(run(&server, LINE).await.error, "");
    }
    server.refuse(&format!("PUT {SECRET}"), 403, "forbidden");
    assert_eq!(
        run(&server, LINE).await.error,
        "the credential of cluster prod cannot be stored: forbidden"
    );
}

#[tokio::test]
async fn in_a_host_the_secret_is_sealed_and_hashes_without_the_seal_are_discarded() {
    let server = server().await;
    server.answer("GET /apis", 200, groups(&["apiregistration.k8s.io"]));
    let sealing = host::sealing::Sealing::new(server.client().await, "kubeconfig-apiserver");
    let key = sealing.key().await.unwrap();
    let key = SealKey::new(&key.derive(SealKey::PURPOSE).unwrap());
    let cluster: Cluster = serde_json::from_value(server.object(CLUSTER)).unwrap();
    let binding = Binding::of(&cluster, Purpose::Webhook);
    let is_sealed = || {
        let secret: Secret = serde_json::from_value(server.object(SECRET)).unwrap();
        key.is_sealed(&secret, "kubeconfig-apiserver", Purpose::Webhook, &binding)
    };
    let planted = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "annotations": binding.annotations() },
        "data": { HASH_KEY: "dGhlaXJz" },
    });
    server.put(SECRET, planted);

    let first = token(&run(&server, LINE).await).hash();
    assert_eq!(entries(&server), json!({ HASH_KEY: first }));
    assert!(is_sealed());
    let second = token(&run(&server, LINE).await).hash();
    assert_eq!(
        entries(&server),
        json!({ HASH_KEY: second, PREVIOUS_HASH_KEY: first })
    );
    assert!(is_sealed());
}

#[test]
fn an_audience_is_not_empty() {
    assert_eq!(
        usage_error(&format!("{LINE} --api-audience ")),
        "error: a value is required for '--api-audience <AUDIENCE>' but none was supplied\n\nFor more information, try '--help'.\n"
    );
}
