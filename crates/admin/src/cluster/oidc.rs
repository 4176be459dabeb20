//! `cluster oidc`: prints the configuration with which a cluster verifies tokens itself, without
//! requests to the server, and has tokens for the cluster contain the groups of their users.

use anyhow::{Context, Result};
use kube::api::{Patch, PatchParams};
use machinery::meta::MetadataExt;
use serde_json::{Value, json};
use signing::jwks::DISCOVERY_PATH;
use signing::jwt::audience;

use super::Server;
use super::endpoint::Endpoint;
use super::records::{self, Record};
use crate::args::OidcArgs;
use crate::client::told;

/// The use of the printed file, and its limits.
const EXPLANATION: &str = "\
Pass the printed configuration to the kube-apiserver of the cluster with --authentication-config=FILE, instead of --oidc-* flags. It reloads
the file when it changes. Before Kubernetes 1.34, the apiVersion of the file is apiserver.config.k8s.io/v1beta1.

The cluster verifies tokens itself, even while this server is not reachable. It does not learn that a kubeconfig was deleted or suspended,
that a user was disabled or left a group, or that a user may no longer get the cluster: a token is valid there until it expires. Keep lifetimes short (setting kubeconfig-max-token-ttl-minutes), or have
the cluster ask this server: cluster webhook. A token for more than 64 clusters names none of them, and is rejected there.";

/// Runs the command.
pub(super) async fn run(server: &Server<'_>, args: &OidcArgs) -> Result<()> {
    let name = args.name.as_str();
    let all = records::all(server).await?;
    let record = records::named(&all, name)?;
    let endpoint = Endpoint::read(server, &args.endpoint).await?;
    let issuer = issuer(&endpoint).await?;
    let file = serde_saphyr::to_string(&configuration(name, &issuer, &endpoint));
    let file = file.context("the configuration cannot be written as YAML")?;
    if !args.no_groups {
        put_groups_into_tokens(server, record).await?;
    }
    server.console.print(&file)?;
    server.console.say_all(EXPLANATION.lines());
    Ok(())
}

/// Sets `spec.groups.inTokens` of the Cluster.
async fn put_groups_into_tokens(server: &Server<'_>, record: &Record) -> Result<()> {
    let groups = record.spec.groups.as_ref();
    if groups.is_some_and(|groups| groups.in_tokens) {
        return Ok(());
    }
    let name = record.metadata.name();
    let patch = json!({ "spec": { "groups": { "inTokens": true } } });
    let clusters = records::clusters(server);
    let patched = clusters
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    patched.map_err(told).with_context(|| {
        format!("spec.groups.inTokens of cluster {name} cannot be set: set it, or use --no-groups")
    })?;
    server.say(format_args!(
        "server: cluster {name}: new tokens contain the groups of their users (spec.groups.inTokens)"
    ));
    Ok(())
}

/// Reads the issuer from the server's own discovery document. The request goes to the endpoint that
/// clusters use: if the server is behind a host, the address in the kubeconfig file is that of the
/// host.
async fn issuer(endpoint: &Endpoint) -> Result<String> {
    let request = http::Request::get(DISCOVERY_PATH).body(Vec::new())?;
    let document = endpoint.client()?.request::<Value>(request).await;
    let document = document
        .map_err(told)
        .with_context(|| format!("{} does not publish the issuer of its tokens", endpoint.url))?;
    let issuer = document["issuer"].as_str();
    Ok(issuer
        .context("the server does not publish the issuer of its tokens")?
        .to_owned())
}

/// Returns the content of the file for `--authentication-config`.
fn configuration(name: &str, issuer: &str, endpoint: &Endpoint) -> Value {
    let mut source = json!({ "url": issuer });
    if issuer.trim_end_matches('/') != endpoint.url {
        source["discoveryURL"] = format!("{}{DISCOVERY_PATH}", endpoint.url).into();
    }
    if !endpoint.ca_certs.is_empty() {
        source["certificateAuthority"] = endpoint.ca_certs.as_str().into();
    }
    source["audiences"] = json!([audience(issuer, name)]);
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [{
            "issuer": source,
            "claimValidationRules": [{
                "expression": "has(claims.jti) && claims.jti != ''",
                "message": "the token does not name a record",
            }],
            "claimMappings": {
                "username": { "claim": "sub", "prefix": "" },
                "groups": { "claim": "groups", "prefix": "" },
            },
            "userValidationRules": [
                {
                    "expression": "!user.username.startsWith('system:')",
                    "message": "the user name is reserved",
                },
                {
                    "expression": "user.groups.all(group, !group.startsWith('system:'))",
                    "message": "a group name is reserved",
                },
            ],
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(ca_certs: &str) -> Endpoint {
        Endpoint {
            url: "https://10.0.0.1:8443".to_owned(),
            ca_certs: ca_certs.to_owned(),
        }
    }

    #[test]
    fn the_file_says_whom_to_believe_and_what() {
        let file = configuration(
            "prod",
            "https://kubeconfig-apiserver",
            &endpoint("line\nline\n"),
        );
        let expected = "\
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
      line
      line
    discoveryURL: https://10.0.0.1:8443/.well-known/openid-configuration
    url: https://kubeconfig-apiserver
  userValidationRules:
  - expression: \"!user.username.startsWith('system:')\"
    message: the user name is reserved
  - expression: user.groups.all(group, !group.startsWith('system:'))
    message: a group name is reserved
kind: AuthenticationConfiguration
";
        assert_eq!(serde_saphyr::to_string(&file).unwrap(), expected);
    }

    #[test]
    fn an_issuer_that_is_the_server_is_discovered_by_its_url() {
        let issuer =
            |url: &str| configuration("prod", url, &endpoint(""))["jwt"][0]["issuer"].take();
        let expected = json!({ "url": "https://10.0.0.1:8443", "audiences": ["cluster:prod"] });
        assert_eq!(issuer("https://10.0.0.1:8443"), expected);
    }

    #[test]
    fn the_server_itself_is_called_by_the_issuer() {
        let file = configuration("local", "https://10.0.0.1:8443", &endpoint(""));
        let expected = json!(["https://10.0.0.1:8443"]);
        assert_eq!(file["jwt"][0]["issuer"]["audiences"], expected);
    }
}
