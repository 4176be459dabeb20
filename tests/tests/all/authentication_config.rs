//! Logins by a file with several issuers (`--authentication-config`).

mod differential;
mod providers;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::host::issuer::Issuer;
use e2e::http::Client;
use e2e::oidc_provider::CLIENT;
use e2e::server::Options;
use e2e::{OidcProvider, Server, poll};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Time limit for a change of the file, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A file that a server follows.
struct ConfigurationFile(TempDir);

impl ConfigurationFile {
    fn of(jwt: &[Value]) -> Self {
        let file = Self(TempDir::new().unwrap());
        file.write(&configuration(jwt));
        file
    }

    /// Replaces the file at once, as an administrator should.
    fn write(&self, text: &str) {
        let newest = self.0.path().join("newest.yaml");
        fs::write(&newest, text).unwrap();
        fs::rename(newest, self.path()).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("authentication.yaml")
    }

    /// Starts a server with this file, and with these audiences as unbound.
    fn start(&self, unbound: &[&str]) -> Server {
        let mut arguments = vec![format!("--authentication-config={}", self.path().display())];
        if !unbound.is_empty() {
            arguments.push(format!("--oidc-unbound-client-ids={}", unbound.join(",")));
        }
        let options = Options {
            arguments,
            ..Options::default()
        };
        Server::start_with(options).unwrap()
    }
}

fn configuration(jwt: &[Value]) -> String {
    let file = json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": jwt,
    });
    file.to_string()
}

/// Returns the current time, in seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "the servers compare with their clocks"
)]
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// Returns the user whom a server sees, or the code of its refusal.
fn user(client: &Client) -> Result<Value, u16> {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
    });
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = client.post(path, &review).unwrap();
    match answer.status {
        201 => Ok(answer.json().unwrap()["status"]["userInfo"].clone()),
        refused => Err(refused),
    }
}

fn wait_for_user(client: &Client, expected: Result<Value, u16>) {
    poll::until("the file is in use", LIMIT, || {
        Ok((user(client) == expected).then_some(()))
    })
    .unwrap();
}

/// An issuer like GitHub Actions: the workflow names the server as the audience of its token.
fn actions(issuer: &Issuer, server: &str) -> Value {
    json!({
        "issuer": {
            "url": format!("{}/actions", issuer.url()),
            "audiences": [server],
            "certificateAuthority": issuer.certificate(),
        },
        "claimValidationRules": [{
            "expression": "claims.repository_owner == 'acme'",
            "message": "only repositories of acme deploy",
        }],
        "claimMappings": {
            "username": {"expression": "'github:' + claims.repository + ':' + claims.ref"},
            "groups": {"expression": "['github:' + claims.repository_owner]"},
        },
        "userValidationRules": [{"expression": "!user.username.startsWith('system:')"}],
    })
}

/// An issuer like that of the people of a company.
fn people(provider: &OidcProvider) -> Value {
    json!({
        "issuer": {
            "url": provider.issuer(),
            "audiences": [CLIENT],
            "certificateAuthority": fs::read_to_string(provider.ca_file()).unwrap(),
        },
        "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
    })
}

#[test]
fn people_and_workflows_log_in_at_the_same_server() {
    let provider = OidcProvider::start(&["alice"]).unwrap();
    let issuer = Issuer::start().unwrap();
    let file = ConfigurationFile::of(&[people(&provider)]);
    let server = file.start(&[]);
    let (url, anonymous) = (server.url().unwrap(), server.anonymous().unwrap());
    let bound = provider.bound_id_token("alice", &url).unwrap();
    let alice = || bound.of(&anonymous);
    let of_alice = json!({"username": "alice", "groups": ["system:authenticated"]});
    wait_for_user(&alice(), Ok(of_alice.clone()));
    let unbound = provider.id_token("alice").unwrap();
    assert_eq!(user(&anonymous.with_token(&unbound)), Err(401), "not bound");

    // Another issuer is added without a restart.
    let workflow = |audience: &Value, owner: &str| {
        let claims = json!({
            "iss": format!("{}/actions", issuer.url()), "aud": audience, "jti": "example-id",
            "sub": format!("repo:{owner}/shop:ref:refs/heads/main"), "exp": now() + 300,
            "repository": format!("{owner}/shop"), "repository_owner": owner,
            "ref": "refs/heads/main",
        });
        anonymous.with_token(&issuer.sign(&claims).unwrap())
    };
    let deploy = workflow(&json!(url), "acme");
    assert_eq!(user(&deploy), Err(401), "not configured yet");
    file.write(&configuration(&[people(&provider), actions(&issuer, &url)]));
    let of_workflow = json!({
        "username": "github:acme/shop:refs/heads/main",
        "groups": ["github:acme", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/credential-id": ["JTI=example-id"]},
    });
    wait_for_user(&deploy, Ok(of_workflow.clone()));
    assert_eq!(user(&alice()), Ok(of_alice.clone()));
    assert_eq!(user(&workflow(&json!(url), "evil")), Err(401), "a rule");
    let elsewhere = json!("https://other.example");
    assert_eq!(user(&workflow(&elsewhere, "acme")), Err(401), "audience");

    // An invalid file changes nothing, and says what is wrong.
    file.write(&configuration(&[people(&provider), people(&provider)]));
    poll::until("the server logs the fault", LIMIT, || {
        let log = server.log()?;
        Ok(log
            .contains("jwt[1].issuer.url: Duplicate value")
            .then_some(()))
    })
    .unwrap();
    assert_eq!(user(&deploy), Ok(of_workflow));
    assert_eq!(user(&alice()), Ok(of_alice));

    // An issuer that is removed is refused.
    file.write(&configuration(&[actions(&issuer, &url)]));
    wait_for_user(&alice(), Err(401));
    assert!(user(&deploy).is_ok());
}

#[test]
fn an_audience_is_unbound_only_if_the_administrator_says_so() {
    let issuer = Issuer::start().unwrap();
    let jwt = json!({
        "issuer": {
            "url": issuer.url(),
            "audiences": ["ci", "kubectl"],
            "audienceMatchPolicy": "MatchAny",
            "certificateAuthority": issuer.certificate(),
        },
        "claimMappings": {"username": {"claim": "sub", "prefix": "ci:"}},
    });
    let server = ConfigurationFile::of(&[jwt]);
    let server = server.start(&["ci"]);
    let anonymous = server.anonymous().unwrap();
    let client = |audience: Value| {
        let claims = json!({
            "iss": issuer.url(), "aud": audience, "sub": "bot", "exp": now() + 300,
        });
        anonymous.with_token(&issuer.sign(&claims).unwrap())
    };
    let bot = json!({"username": "ci:bot", "groups": ["system:authenticated"]});
    wait_for_user(&client(json!("ci")), Ok(bot));
    assert_eq!(user(&client(json!("kubectl"))), Err(401));
    assert_eq!(user(&client(json!(["ci", "kubectl"]))), Err(401));
    assert_eq!(user(&client(json!("other"))), Err(401));
}
