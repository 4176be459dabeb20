//! A login by ID token, and its exchange for tokens, with a real provider: the whole life of a file
//! without secrets.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::http::{Answer, Client, Request, expect};
use e2e::oidc_provider::{BoundToken, CLIENT};
use e2e::server::Options;
use e2e::{OidcProvider, Server, poll};
use serde_json::{Value, json};

use crate::record;

const TOKENS: &str = "/apis/ext.cattle.io/v1/tokens";
const DISCOVERY: &str = "/.well-known/kubeconfig-login";

/// Time limit, far more than the interval between two fetches of keys.
const LIMIT: Duration = Duration::from_secs(120);

fn start(provider: &OidcProvider) -> Server {
    start_with(provider, &[])
}

pub(crate) fn start_with(provider: &OidcProvider, more: &[&str]) -> Server {
    let arguments = [
        format!("--oidc-issuer-url={}", provider.issuer()),
        format!("--oidc-client-id={CLIENT}"),
        format!("--oidc-ca-file={}", provider.ca_file().display()),
        "--oidc-username-prefix=-".to_owned(),
    ];
    let more = more.iter().map(|&argument| argument.to_owned());
    let options = Options {
        arguments: arguments.into_iter().chain(more).collect(),
        ..Options::default()
    };
    Server::start_with(options).unwrap()
}

/// Returns a client that logs in by an ID token for this server.
pub(crate) fn bound(server: &Server, provider: &OidcProvider, user: &str) -> (Client, BoundToken) {
    let url = server.url().unwrap();
    let token = provider.bound_id_token(user, &url).unwrap();
    (token.of(&server.anonymous().unwrap()), token)
}

/// Returns a client with this bearer token.
fn login(server: &Server, token: &str) -> Client {
    server.anonymous().unwrap().with_token(token)
}

fn status(client: &Client, path: &str) -> u16 {
    client.get(path).unwrap().status
}

/// Exchanges a login for a token of a record for the server itself.
fn exchange(client: &Client, name: &str) -> Answer {
    let token = json!({
        "apiVersion": "ext.cattle.io/v1", "kind": "Token",
        "spec": { "kubeconfigName": name, "clusterName": "local" },
    });
    client.post(TOKENS, &token).unwrap()
}

fn bearer(answer: Answer) -> String {
    let token = expect(answer, 201).unwrap().json().unwrap();
    token["status"]["bearerToken"].as_str().unwrap().to_owned()
}

fn suspend(client: &Client, name: &str, suspended: bool) {
    let patch = json!({ "spec": { "suspended": suspended } }).to_string();
    let request = Request::new("PATCH", &record::at(name));
    let request = request.body("application/merge-patch+json", patch);
    expect(client.send(&request).unwrap(), 200).unwrap();
}

#[test]
fn a_login_by_id_token_is_exchanged_for_tokens_of_a_record() {
    let mut provider = OidcProvider::start(&["alice", "carol"]).unwrap();
    let mut server = start(&provider);

    // The login methods can be read without authentication.
    let anonymous = server.anonymous().unwrap();
    let told = expect(anonymous.get(DISCOVERY).unwrap(), 200).unwrap();
    let ca = std::fs::read(provider.ca_file()).unwrap();
    let expected = json!({ "server": server.url().unwrap(), "oidc": {
        "issuer": provider.issuer(),
        "clientID": CLIENT,
        "scopes": ["openid"],
        "certificateAuthorityData": STANDARD.encode(ca),
    }});
    assert_eq!(told.json().unwrap(), expected);

    // Alice is a user; the file that she gets contains no secret.
    let (alice, id_token) = bound(&server, &provider, "alice");
    let created = record::create(&alice, json!({ "generateToken": false }));
    let name = record::name(&created);
    let file = created["status"]["value"].as_str().unwrap();
    let file: Value = serde_saphyr::from_str(file).unwrap();
    let args = json!([
        "credential",
        format!("--server={}", server.url().unwrap()),
        format!("--kubeconfig={name}")
    ]);
    assert_eq!(file["users"][0]["user"]["exec"]["args"], args);
    assert_eq!(created["status"].get("tokens"), None);

    // The token from the exchange is invalid after the deletion of the record, and during its
    // suspension.
    let exchanged = exchange(&alice, &name);
    let addresses = exchanged.json().unwrap()["status"]["endpoints"].clone();
    let cluster = &file["clusters"][0]["cluster"];
    let expected = json!([{
        "server": cluster["server"],
        "certificateAuthorityData": cluster["certificate-authority-data"],
    }]);
    assert_eq!(addresses, expected, "those of the file");
    let token = login(&server, &bearer(exchanged));
    assert_eq!(status(&token, &record::at(&name)), 200);
    suspend(&alice, &name, true);
    assert_eq!(status(&token, record::PATH), 401);
    assert_eq!(exchange(&alice, &name).status, 403);
    suspend(&alice, &name, false);
    assert_eq!(status(&token, record::PATH), 200);
    let bob = server.client("bob").unwrap();
    assert_eq!(exchange(&bob, &name).status, 404, "bob has no such record");
    let gone = alice
        .send(&Request::new("DELETE", &record::at(&name)))
        .unwrap();
    expect(gone, 200).unwrap();
    assert_eq!(status(&token, record::PATH), 401);
    assert_eq!(exchange(&alice, &name).status, 404);
    poll::until("the token's record goes with its kubeconfig", LIMIT, || {
        let tokens = alice.get(TOKENS)?.json()?;
        Ok(tokens["items"]
            .as_array()
            .filter(|items| items.is_empty())
            .map(|_| ()))
    })
    .unwrap();

    // Carol is known to the provider, but is not a user here.
    let (carol, _) = bound(&server, &provider, "carol");
    let refused = carol
        .post(record::PATH, &record::wanted(json!({})))
        .unwrap();
    let message = refused.json().unwrap()["message"].clone();
    let expected = "kubeconfigs.ext.cattle.io is forbidden: user carol is not a Rancher user. An administrator can create a User whose principalIds contain \"carol\", or set the setting user-provisioning to on-login";
    assert_eq!((refused.status, message), (403, json!(expected)));

    // A modified token is not accepted.
    let (head, signature) = id_token.token.rsplit_once('.').unwrap();
    let changed = BoundToken {
        token: format!("{head}.{}", signature.chars().rev().collect::<String>()),
        ..id_token
    };
    let changed = changed.of(&anonymous);
    assert_eq!(status(&changed, record::PATH), 401);

    // After a restart without a reachable provider, its tokens are rejected. The server runs, and
    // recovers.
    provider.stop().unwrap();
    assert_eq!(status(&alice, record::PATH), 200, "its keys are known");
    server.restart().unwrap();
    assert_eq!(status(&alice, record::PATH), 401);
    provider.resume().unwrap();
    let (alice, _) = bound(&server, &provider, "alice");
    poll::until("the keys are found", LIMIT, || {
        Ok((alice.get(record::PATH)?.status == 200).then_some(()))
    })
    .unwrap();
}

#[test]
fn a_server_without_provider_tells_of_none() {
    let server = Server::start().unwrap();
    let anonymous = server.anonymous().unwrap();
    let told = expect(anonymous.get(DISCOVERY).unwrap(), 200).unwrap();
    let expected = json!({ "server": server.url().unwrap() });
    assert_eq!(told.json().unwrap(), expected);
}
