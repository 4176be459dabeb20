//! `cluster oidc`.

use serde_json::json;

use crate::api_server::ApiServer;
use crate::command::{Output, run};

const DISCOVERY: &str = "GET /.well-known/openid-configuration";

const EXPLANATION: &str = "\
Pass the printed configuration to the kube-apiserver of the cluster with --authentication-config=FILE, instead of --oidc-* flags. It reloads
the file when it changes. Before Kubernetes 1.34, the apiVersion of the file is apiserver.config.k8s.io/v1beta1.

The cluster verifies tokens itself, even while this server is not reachable. It does not learn that a kubeconfig was deleted or suspended,
that a user was disabled or left a group, or that a user may no longer get the cluster: a token is valid there until it expires. Keep lifetimes short (setting kubeconfig-max-token-ttl-minutes), or have
the cluster ask this server: cluster webhook. A token for more than 64 clusters names none of them, and is rejected there.
";

async fn server() -> ApiServer {
    let server = ApiServer::start().await;
    let cluster = json!({ "apiVersion": "management.cattle.io/v3", "kind": "Cluster", "spec": {} });
    server.put("/apis/management.cattle.io/v3/clusters/prod", cluster);
    server
}

/// Starts a server that publishes the issuer of its tokens.
async fn publishing_server() -> ApiServer {
    let server = server().await;
    let issuer = json!({ "issuer": "https://issuer.example" });
    server.answer(DISCOVERY, 200, issuer);
    server
}

/// Returns the flags for the endpoint of the server itself.
fn endpoint(server: &ApiServer) -> String {
    let file = server.file("ca.pem", server.ca());
    format!("--server-url {} --server-ca-file {file}", server.url())
}

#[tokio::test]
async fn the_issuer_is_the_one_that_the_endpoint_publishes() {
    let server = publishing_server().await;
    let line = format!("cluster oidc prod {}", endpoint(&server));
    let output = run(&server, &line).await;
    let said = "server: cluster prod: new tokens contain the groups of their users (spec.groups.inTokens)\n";
    assert_eq!(
        (output.stderr, output.error.as_str()),
        (format!("{said}{EXPLANATION}"), "")
    );
    let ca: String = server
        .ca()
        .lines()
        .map(|line| format!("      {line}\n"))
        .collect();
    let expected = format!(
        "\
apiVersion: apiserver.config.k8s.io/v1
jwt:
- claimMappings:
    groups:
      claim: groups
      prefix: \"\"
    username:
      claim: sub
      prefix: \"\"
  claimValidationRules:
  - expression: has(claims.jti) && claims.jti != ''
    message: the token does not name a record
  issuer:
    audiences:
    - cluster:prod
    certificateAuthority: |
{ca}    discoveryURL: {}/.well-known/openid-configuration
    url: https://issuer.example
  userValidationRules:
  - expression: \"!user.username.startsWith('system:')\"
    message: the user name is reserved
  - expression: user.groups.all(group, !group.startsWith('system:'))
    message: a group name is reserved
kind: AuthenticationConfiguration
",
        server.url()
    );
    assert_eq!(output.stdout, expected);
    // The document is public, so the credential of the administrator is not sent.
    let asked = server
        .asked()
        .into_iter()
        .find(|asked| asked.line == DISCOVERY);
    assert_eq!(asked.unwrap().authorization, "");
}

#[tokio::test]
async fn tokens_contain_groups_unless_that_is_declined() {
    let server = publishing_server().await;
    let line = format!("cluster oidc prod {}", endpoint(&server));
    let path = "/apis/management.cattle.io/v3/clusters/prod";
    let in_tokens = || server.object(path)["spec"]["groups"].clone();
    let output = run(&server, &format!("{line} --no-groups")).await;
    assert_eq!(output.stderr, EXPLANATION);
    assert_eq!(in_tokens(), json!(null));

    let patch = format!("PATCH {path}");
    server.refuse(&patch, 403, "no");
    let output = run(&server, &line).await;
    let why = "spec.groups.inTokens of cluster prod cannot be set: set it, or use --no-groups: no";
    assert_eq!((output.stdout.as_str(), output.error.as_str()), ("", why));
    server.forget(&patch);

    for _ in 0..2 {
        run(&server, &line).await;
        assert_eq!(in_tokens(), json!({ "inTokens": true }));
    }
}

#[tokio::test]
async fn without_an_issuer_nothing_is_printed() {
    let server = server().await;
    let line = format!("cluster oidc prod {}", endpoint(&server));
    let url = server.url();
    server.refuse(DISCOVERY, 404, "not found");
    let missing = format!("{url} does not publish the issuer of its tokens: not found");
    let error = |error: &str| Output {
        error: error.to_owned(),
        ..Output::default()
    };
    assert_eq!(run(&server, &line).await, error(&missing));
    server.answer(DISCOVERY, 200, json!({}));
    let empty = "the server does not publish the issuer of its tokens";
    assert_eq!(run(&server, &line).await, error(empty));
}

#[tokio::test]
async fn the_cluster_must_exist() {
    let server = server().await;
    assert_eq!(
        run(&server, "cluster oidc prd").await.error,
        "cluster \"prd\" does not exist; the clusters are prod"
    );
}
