//! Tokens that are not sent to a webhook.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokens::cluster_credential::ClusterToken;

use super::provider::IdentityProvider;
use super::{Edge, webhook, yes};
use crate::client::Answer;
use crate::world::LOGIN_ISSUER;

fn jwt(claims: &Value) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

impl Edge {
    /// Returns the answers to a token in the header, and in a subprotocol of a WebSocket.
    async fn shown(&self, token: &str) -> [Answer; 2] {
        let plain = self.get(&format!("Bearer {token}")).await;
        let protocol = format!(
            "Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.{}, v5.channel.k8s.io",
            URL_SAFE_NO_PAD.encode(token)
        );
        let host = format!("Host: {}", self.name);
        let upgrade = ["Connection: Upgrade", "Upgrade: websocket"];
        let headers = [&[host.as_str(), protocol.as_str()][..], &upgrade].concat();
        let mut client = self.world.send_to(&self.name, "GET /api", &headers).await;
        [plain, client.answer().await]
    }
}

#[tokio::test]
async fn tokens_that_are_for_another_server_are_not_sent_to_a_webhook() {
    let edge = Edge::start().await;
    let asked = webhook(&edge.world, 200, &yes(json!({"username": "alice"}))).await;
    edge.use_webhook(&asked, json!({})).await;
    let minted = edge.world.mint("alice", &["c-1"]).await;
    let issuer = {
        let claims = URL_SAFE_NO_PAD.decode(minted.split('.').nth(1).unwrap());
        serde_json::from_slice::<Value>(&claims.unwrap()).unwrap()["iss"].clone()
    };
    let unauthorized = "Unauthorized";
    let account = "ServiceAccount tokens are not sent to the webhook of a cluster: use them at the cluster's own API server";
    let login = "ID tokens that log in to this server are not sent to the webhook of a cluster: use a kubeconfig of this server, or another client of the provider";
    for (token, message) in [
        (minted, unauthorized),
        (jwt(&json!({"iss": issuer, "sub": "alice"})), unauthorized),
        (
            ClusterToken::generate("c-1").expose().to_owned(),
            unauthorized,
        ),
        (
            jwt(
                &json!({"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:a:b"}),
            ),
            account,
        ),
        (
            jwt(
                &json!({"iss": "https://kubernetes.default.svc", "kubernetes.io": {"namespace": "a"}}),
            ),
            account,
        ),
        (
            jwt(&json!({"iss": LOGIN_ISSUER, "aud": ["login"], "sub": "alice"})),
            login,
        ),
    ] {
        for answer in edge.shown(&token).await {
            assert_eq!(answer.summary(), (401, message.to_owned()), "{token}");
        }
    }
    assert_eq!(asked.seen(), [""; 0]);
    assert_eq!(edge.cluster.seen(), [""; 0]);
}

#[tokio::test]
async fn other_tokens_go_to_the_webhook_as_before() {
    for token in [
        "opaque".to_owned(),
        jwt(&json!({"iss": "https://idp.example.com", "sub": "alice"})),
        jwt(&json!({"iss": LOGIN_ISSUER, "aud": "another", "sub": "alice"})),
    ] {
        let edge = Edge::start().await;
        let asked = webhook(&edge.world, 200, &yes(json!({"username": "alice"}))).await;
        edge.use_webhook(&asked, json!({})).await;
        assert_eq!(edge.get(&format!("Bearer {token}")).await.code, 200);
        let (_, review) = asked
            .only()
            .split_once("\r\n\r\n")
            .map(|(head, body)| (head.to_owned(), body.to_owned()))
            .unwrap();
        let review: Value = serde_json::from_str(&review).unwrap();
        assert_eq!(review["spec"]["token"], token);
    }
}

#[tokio::test]
async fn a_provider_may_be_the_issuer_of_another_clusters_service_accounts() {
    let edge = Edge::start().await;
    let provider = IdentityProvider::start(&edge.world).await;
    let oidc = json!({
        "issuer": provider.issuer, "clientID": "kubectl", "caData": edge.authority(), "usernamePrefix": "other:",
    });
    edge.configure(json!({ "oidc": oidc })).await;
    let token = provider.sign(&json!({
        "iss": provider.issuer, "aud": "kubectl", "exp": 1_767_323_045 + 60,
        "sub": "system:serviceaccount:a:b", "kubernetes.io": {"namespace": "a"},
    }));
    assert_eq!(edge.get(&format!("Bearer {token}")).await.code, 200);
}
