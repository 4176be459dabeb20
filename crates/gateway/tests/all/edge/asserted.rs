//! Names from a webhook or a provider that an intermediary or another reader could change.

use api::management::cluster::ADMIN_GROUP;
use serde_json::{Value, json};

use super::provider::IdentityProvider;
use super::{Edge, TOKEN, webhook, yes};
use crate::client::Answer;
use crate::cluster::lines;

/// Returns variants of a name that may be read as that name after transport or by another reader.
fn spellings(name: &str) -> Vec<String> {
    let outer = [
        " ", "\t", "  ", "\u{85}", "\u{a0}", "\u{180e}", "\u{2003}", "\u{200b}", "\u{200f}",
        "\u{202e}", "\u{2060}", "\u{3000}", "\u{feff}",
    ];
    let mut all = Vec::new();
    for space in outer {
        all.push(format!("{space}{name}"));
        all.push(format!("{name}{space}"));
        all.push(format!("{space}{name}{space}"));
    }
    all.extend(["\0", "\r\n", "\u{7f}"].map(|control| format!("{name}{control}")));
    all.push(name.to_uppercase());
    all.push(name.replace(':', "\u{ff1a}"));
    all.push(name.replace('s', "\u{455}"));
    all
}

impl Edge {
    /// Returns the answers to a plain request and to a WebSocket request.
    async fn both(&self, authorization: &str) -> [Answer; 2] {
        let host = format!("Host: {}", self.name);
        let authorization = format!("Authorization: {authorization}");
        let plain = [host.as_str(), authorization.as_str()];
        let upgrade = ["Connection: Upgrade", "Upgrade: websocket"];
        let upgrade = [&plain[..], &upgrade].concat();
        let mut answers = Vec::new();
        for headers in [&plain[..], &upgrade] {
            let line = "GET /api/v1/secrets?watch=1";
            let mut client = self.world.send_to(&self.name, line, headers).await;
            answers.push(client.answer().await);
        }
        answers.try_into().unwrap()
    }
}

#[tokio::test]
async fn no_spelling_of_a_reserved_name_comes_from_a_webhook() {
    let edge = Edge::start().await;
    let mut users = Vec::new();
    for name in spellings("system:masters") {
        users.push(json!({"username": name}));
        users.push(json!({"username": "alice", "groups": ["dev", name]}));
    }
    for name in spellings(ADMIN_GROUP) {
        users.push(json!({"username": "alice", "groups": ["dev", name]}));
    }
    for name in [" alice", "alice\t", "\u{2060}alice"] {
        users.push(json!({"username": name}));
        users.push(json!({"username": "alice", "uid": name}));
        users.push(json!({"username": "alice", "extra": {"a": [name]}}));
        users.push(json!({"username": "alice", "extra": {name: ["a"]}}));
    }
    for user in users {
        let asked = webhook(&edge.world, 200, &yes(user.clone())).await;
        edge.use_webhook(&asked, json!({})).await;
        let codes = edge.both(TOKEN).await.map(|answer| answer.code);
        let is_refused = codes == [401; 2] || codes == [403; 2];
        assert!(is_refused, "{codes:?} {user}");
    }
    assert_eq!(edge.cluster.seen(), [""; 0]);
}

/// The extra key names the token of a request, in the cluster's audit log and for a host of this
/// server.
#[tokio::test]
async fn no_webhook_names_the_token_of_a_request() {
    let edge = Edge::start().await;
    for (key, quoted) in [
        ("requesttokenid", "requesttokenid"),
        ("RequestTokenID", "requesttokenid"),
        ("r\u{435}questtokenid", "r\u{435}questtokenid"),
        ("\u{ff52}equesttokenid", "\u{ff52}equesttokenid"),
    ] {
        let user = json!({"username": "alice", "extra": {key: ["token-abcde"]}});
        let asked = webhook(&edge.world, 200, &yes(user)).await;
        edge.use_webhook(&asked, json!({})).await;
        let refused =
            format!("forbidden: {quoted:?} is a reserved extra key: only this server sets it");
        for answer in edge.both(TOKEN).await {
            assert_eq!(answer.summary(), (403, refused.clone()), "{key}");
        }
    }
    assert_eq!(edge.cluster.seen(), [""; 0]);
}

#[tokio::test]
async fn no_spelling_of_a_reserved_name_comes_from_a_provider() {
    let edge = Edge::start().await;
    let provider = IdentityProvider::start(&edge.world).await;
    let oidc = json!({
        "issuer": provider.issuer, "clientID": "kubectl", "caData": edge.authority(),
        "usernameClaim": "name", "usernamePrefix": "-", "groupsClaim": "groups",
    });
    edge.configure(json!({ "oidc": oidc })).await;
    let token = |name: &str, groups: Value| {
        let claims = json!({
            "iss": provider.issuer, "aud": "kubectl", "exp": 1_767_323_045 + 60,
            "name": name, "groups": groups,
        });
        format!("Bearer {}", provider.sign(&claims))
    };
    let exact = [
        "system:masters".to_owned(),
        "system:authenticated".to_owned(),
    ];
    for name in spellings("system:masters").iter().chain(&exact) {
        for token in [token(name, json!([])), token("alice", json!(["dev", name]))] {
            let codes = edge.both(&token).await.map(|answer| answer.code);
            assert_eq!(codes, [401; 2], "{name:?}");
        }
    }
    for name in spellings(ADMIN_GROUP)
        .iter()
        .chain(&[ADMIN_GROUP.to_owned()])
    {
        let codes = edge.both(&token("alice", json!(["dev", name]))).await;
        let codes = codes.map(|answer| answer.code);
        assert!(codes == [401; 2] || codes == [403; 2], "{codes:?} {name:?}");
    }
    assert_eq!(edge.cluster.seen(), [""; 0]);
}

#[tokio::test]
async fn a_name_beyond_ascii_and_a_key_of_any_case_reach_the_cluster() {
    let edge = Edge::start().await;
    let user = json!({
        "username": "Jos\u{e9} \u{77f3}\u{5ddd}", "groups": ["\u{e0}"], "extra": {"canonicalArn": ["a"]},
    });
    let asked = webhook(&edge.world, 200, &yes(user)).await;
    edge.use_webhook(&asked, json!({})).await;
    assert_eq!(edge.get(TOKEN).await.code, 200);
    let mut received = lines(&edge.cluster.only(), &["impersonate-"]);
    received.sort();
    assert_eq!(
        received,
        [
            "impersonate-extra-canonicalarn: a",
            "impersonate-group: \u{e0}",
            "impersonate-user: Jos\u{e9} \u{77f3}\u{5ddd}",
        ]
    );
}
