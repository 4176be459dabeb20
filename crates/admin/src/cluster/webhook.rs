//! `cluster webhook`: creates a credential with which a cluster requests token reviews, and prints
//! the configuration for its kube-apiserver.
//!
//! The server stores the hash of the credential. The credential itself is only in the printed file.
//! The previous credential stays valid until the next run or `--revoke-previous`, so that the API
//! servers of a cluster can be reconfigured one after the other.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use machinery::invisible::printable;
use management::cluster_secret::{Binding, Purpose, SealKey};
use serde_json::{Value, json};
use tokens::cluster_credential::{
    AUDIENCES_KEY, ClusterToken, DEFAULT_AUDIENCE, HASH_KEY, PREVIOUS_HASH_KEY,
};

use super::Server;
use super::endpoint::Endpoint;
use super::objects;
use super::records;
use crate::args::WebhookArgs;
use crate::client::told;
use crate::seal_key;

/// A new credential of a cluster, and the parameters of the Secret for its hash.
struct Credential {
    token: ClusterToken,
    binding: Binding,
    /// The namespace of the Secret.
    namespace: String,
    /// The key that seals the Secret. `None` if it needs no seal.
    seal: Option<SealKey>,
}

/// The path of token reviews. kube-apiserver uses the URL in the file unchanged.
const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// Runs the command.
pub(super) async fn run(server: &Server<'_>, args: &WebhookArgs) -> Result<()> {
    let name = args.name.as_str();
    let all = records::all(server).await?;
    let cluster = records::object(records::named(&all, name)?);
    let binding = Binding::of(&cluster, Purpose::Webhook);
    let endpoint = Endpoint::read(server, &args.endpoint).await?;
    let token = ClusterToken::generate(name);
    let secret = store(
        server,
        args,
        &Credential {
            token: token.clone(),
            binding,
            namespace: server.namespace.clone(),
            seal: seal_key::of_server(&server.client, &server.namespace).await?,
        },
    )
    .await
    .with_context(|| format!("the credential of cluster {name} cannot be stored"))?;
    let file = serde_saphyr::to_string(&configuration(&endpoint, &token));
    let file = file.context("the configuration cannot be written as YAML")?;
    server.console.print(&file)?;
    server.console.say_all(explanation(name, &secret).lines());
    Ok(())
}

/// Writes the Secret of the cluster. Fails if it is changed concurrently.
async fn store(server: &Server<'_>, args: &WebhookArgs, new: &Credential) -> Result<Secret> {
    let secrets = Api::<Secret>::namespaced(server.client.clone(), &server.namespace);
    let name = Purpose::Webhook.secret_name(&args.name);
    let params = PostParams::default();
    let found = secrets.get_opt(&name).await.map_err(told)?;
    let secret = rotated(found.clone(), args, new);
    let written = match found {
        None => secrets.create(&params, &secret).await,
        Some(_) => secrets.replace(&name, &params, &secret).await,
    };
    match written {
        Ok(secret) => Ok(secret),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            bail!(
                "another client has just changed it; wait until other runs are finished, and run the command again"
            )
        }
        Err(error) => Err(told(error)),
    }
}

/// Returns the Secret with the hash of a new token. The hash of the former token moves to the
/// second entry, unless it is revoked. If the former Secret was not bound to the cluster or had no
/// seal, its data is discarded.
fn rotated(found: Option<Secret>, args: &WebhookArgs, new: &Credential) -> Secret {
    let mut secret = found.unwrap_or_else(|| Secret {
        metadata: ObjectMeta {
            name: Some(Purpose::Webhook.secret_name(&args.name)),
            labels: objects::labels(),
            ..ObjectMeta::default()
        },
        ..Secret::default()
    });
    let counted = new.is_held_by(&secret);
    let annotations = secret.metadata.annotations.get_or_insert_default();
    annotations.extend(new.binding.annotations());
    let data = secret.data.get_or_insert_default();
    if !counted {
        data.clear();
    }
    let former = data.insert(HASH_KEY.to_owned(), bytes(&new.token.hash()));
    match former.filter(|_| !args.revoke_previous) {
        Some(former) => data.insert(PREVIOUS_HASH_KEY.to_owned(), former),
        None => data.remove(PREVIOUS_HASH_KEY),
    };
    if !args.api_audience.is_empty() {
        let audiences = bytes(&args.api_audience.join("\n"));
        data.insert(AUDIENCES_KEY.to_owned(), audiences);
    }
    if let Some(key) = &new.seal {
        key.seal(&mut secret, &new.namespace, Purpose::Webhook, &new.binding);
    }
    secret
}

impl Credential {
    /// Returns whether the server accepts the hashes in a Secret as those of the cluster.
    fn is_held_by(&self, secret: &Secret) -> bool {
        let bound = Binding::read(&secret.metadata, Purpose::Webhook);
        let is_sealed =
            |key: &SealKey| key.is_sealed(secret, &self.namespace, Purpose::Webhook, &self.binding);
        bound.as_ref() == Some(&self.binding) && self.seal.as_ref().is_none_or(is_sealed)
    }
}

/// Returns the content of the file for `--authentication-token-webhook-config-file`, which has the
/// format of a kubeconfig: the server, and the credential of the cluster.
fn configuration(endpoint: &Endpoint, token: &ClusterToken) -> Value {
    let mut cluster = json!({ "server": format!("{}{PATH}", endpoint.url) });
    if !endpoint.ca_certs.is_empty() {
        cluster["certificate-authority-data"] = STANDARD.encode(&endpoint.ca_certs).into();
    }
    let (server, user) = ("kubeconfig-apiserver", token.cluster());
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": server, "cluster": cluster }],
        "users": [{ "name": user, "user": { "token": token.expose() } }],
        "contexts": [{ "name": server, "context": { "cluster": server, "user": user } }],
        "current-context": server,
    })
}

/// Returns instructions for the printed file.
fn explanation(name: &str, secret: &Secret) -> String {
    let none = BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&none);
    let before = match data.contains_key(PREVIOUS_HASH_KEY) {
        true => "the previous one is valid until the next run, or until --revoke-previous",
        false => "no other one is valid",
    };
    let audiences = data.get(AUDIENCES_KEY);
    let audiences = audiences.map(|ByteString(text)| {
        let text = String::from_utf8_lossy(text).replace('\n', ", ");
        printable(&text)
    });
    let audiences = audiences.unwrap_or_else(|| DEFAULT_AUDIENCE.to_owned());
    format!(
        "\
cluster {name} has a new credential; {before}.
Save the printed configuration in a file that only the kube-apiserver of the cluster can read, and set these flags:

  --authentication-token-webhook-config-file=FILE
  --authentication-token-webhook-version=v1
  --authentication-token-webhook-cache-ttl=10s

A revoked token stays valid there for the duration in the last flag (2m0s without the flag), and for 10 seconds more, which no flag changes.
The kube-apiserver must have the API audience {audiences}: set by --api-audiences,
else by --service-account-issuer. If it has another one, run this command again with --api-audience."
    )
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::EndpointArgs;

    const TOKEN: &str = "cluster.prod.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn args(revoke_previous: bool, api_audience: &[&str]) -> WebhookArgs {
        WebhookArgs {
            name: "prod".to_owned(),
            revoke_previous,
            api_audience: api_audience.iter().map(|&text| text.to_owned()).collect(),
            endpoint: EndpointArgs {
                server_url: None,
                server_ca_file: None,
            },
        }
    }

    fn token() -> ClusterToken {
        ClusterToken::parse(TOKEN).unwrap()
    }

    fn credential() -> Credential {
        Credential {
            token: token(),
            binding: Binding::to_cluster("prod", "1"),
            namespace: "own".to_owned(),
            seal: None,
        }
    }

    fn secret(data: &[(&str, &str)]) -> Secret {
        let data = data
            .iter()
            .map(|(key, text)| ((*key).to_owned(), bytes(text)));
        Secret {
            metadata: ObjectMeta {
                name: Some("cluster-prod-webhook".to_owned()),
                labels: objects::labels(),
                annotations: Some(credential().binding.annotations()),
                ..ObjectMeta::default()
            },
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    #[test]
    fn the_file_says_where_to_ask_and_as_whom() {
        let mut endpoint = Endpoint {
            url: "https://10.0.0.1:8443".to_owned(),
            ca_certs: "PEM".to_owned(),
        };
        let expected = "\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: UEVN
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
    token: cluster.prod.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
";
        let file = configuration(&endpoint, &token());
        assert_eq!(serde_saphyr::to_string(&file).unwrap(), expected);
        endpoint.ca_certs.clear();
        let file = configuration(&endpoint, &token());
        let server = "https://10.0.0.1:8443/apis/authentication.k8s.io/v1/tokenreviews";
        assert_eq!(file["clusters"][0]["cluster"], json!({ "server": server }));
    }

    #[test]
    fn the_former_hash_is_kept_unless_it_is_revoked() {
        #[track_caller]
        fn check(found: Option<Secret>, args: &WebhookArgs, expected: &[(&str, &str)]) {
            assert_eq!(rotated(found, args, &credential()), secret(expected));
        }
        let new = token().hash();
        let old = || Some(secret(&[(HASH_KEY, "old"), (PREVIOUS_HASH_KEY, "older")]));
        let only_new = [(HASH_KEY, new.as_str())];
        let both = [(HASH_KEY, new.as_str()), (PREVIOUS_HASH_KEY, "old")];
        check(None, &args(false, &[]), &only_new);
        check(None, &args(true, &[]), &only_new);
        check(old(), &args(false, &[]), &both);
        check(old(), &args(true, &[]), &only_new);
        let former = Binding::to_cluster("prod", "0").annotations();
        for annotations in [None, Some(former)] {
            let mut invalid = secret(&[(HASH_KEY, "old")]);
            invalid.metadata.annotations = annotations;
            check(Some(invalid), &args(false, &[]), &only_new);
        }
    }

    #[test]
    fn nothing_of_a_secret_without_the_seal_is_kept() {
        let sealing = Credential {
            seal: Some(SealKey::new(&[7; 32])),
            ..credential()
        };
        let planted = secret(&[(HASH_KEY, "theirs"), (AUDIENCES_KEY, "theirs")]);
        let first = rotated(Some(planted), &args(false, &[]), &sealing);
        let new = token().hash();
        assert_eq!(first.data, secret(&[(HASH_KEY, &new)]).data);
        assert!(sealing.is_held_by(&first));

        let second = rotated(Some(first), &args(false, &[]), &sealing);
        let both = secret(&[(HASH_KEY, &new), (PREVIOUS_HASH_KEY, &new)]);
        assert_eq!(second.data, both.data);
        assert!(sealing.is_held_by(&second));
    }

    #[test]
    fn audiences_stay_until_others_are_given() {
        let new = token().hash();
        let named = secret(&[(AUDIENCES_KEY, "https://issuer.example")]);
        let kept = secret(&[(AUDIENCES_KEY, "https://issuer.example"), (HASH_KEY, &new)]);
        assert_eq!(
            rotated(Some(named.clone()), &args(false, &[]), &credential()),
            kept
        );
        let others = secret(&[(AUDIENCES_KEY, "a\nb"), (HASH_KEY, &new)]);
        assert_eq!(
            rotated(Some(named), &args(false, &["a", "b"]), &credential()),
            others
        );
    }

    #[test]
    fn the_explanation_says_what_counts() {
        let first = explanation("prod", &secret(&[(HASH_KEY, "new")]));
        let expected = "\
cluster prod has a new credential; no other one is valid.
Save the printed configuration in a file that only the kube-apiserver of the cluster can read, and set these flags:

  --authentication-token-webhook-config-file=FILE
  --authentication-token-webhook-version=v1
  --authentication-token-webhook-cache-ttl=10s

A revoked token stays valid there for the duration in the last flag (2m0s without the flag), and for 10 seconds more, which no flag changes.
The kube-apiserver must have the API audience https://kubernetes.default.svc.cluster.local: set by --api-audiences,
else by --service-account-issuer. If it has another one, run this command again with --api-audience.";
        assert_eq!(first, expected);
        let keys = [
            (HASH_KEY, "new"),
            (PREVIOUS_HASH_KEY, "old"),
            (AUDIENCES_KEY, "a\nb"),
        ];
        let second = explanation("prod", &secret(&keys));
        assert!(
            second.contains("the previous one is valid until the next run"),
            "{second}"
        );
        assert!(
            second.contains("must have the API audience a, b: set by"),
            "{second}"
        );
    }
}
