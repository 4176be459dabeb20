//! `keys`.

use serde_json::{Value, json};

use crate::api_server::ApiServer;
use crate::command::{Output, run, run_with};

const OPERATIONS: &str = "POST /apis/ext.cattle.io/v1/keyoperations";

/// Starts a server that answers each operation with this status.
async fn server(status: Value) -> ApiServer {
    let server = ApiServer::start().await;
    server.respond(OPERATIONS, move |operation| {
        let mut answer = operation.body.clone();
        answer["status"] = status.clone();
        (201, answer)
    });
    server
}

fn signing_keys() -> Value {
    json!([
        {
            "kid": "first", "state": "Signing", "created": "2026-01-01T00:00:00Z",
            "activates": "2026-01-01T00:00:00Z", "retires": "2026-04-01T00:00:00Z",
            "expires": "2026-05-01T00:00:00Z",
        },
        { "kid": "second\u{1b}[2J", "state": "Pending", "created": "2026-01-02T00:00:00Z" },
    ])
}

const TABLE: &str = "\
KID         STATE     CREATED                SIGNS FROM             SIGNS UNTIL            VALID UNTIL
first       Signing   2026-01-01T00:00:00Z   2026-01-01T00:00:00Z   2026-04-01T00:00:00Z   2026-05-01T00:00:00Z
second[2J   Pending   2026-01-02T00:00:00Z   <none>                 <none>                 <none>
";

/// Checks that a command performs one operation, and its output.
async fn check(line: &str, status: Value, action: &str, expected: &str) {
    let server = server(status).await;
    run(&server, line).await.is(expected);
    let asked = server.asked();
    let bodies: Vec<&Value> = asked.iter().map(|asked| &asked.body).collect();
    let body = json!({
        "apiVersion": "ext.cattle.io/v1",
        "kind": "KeyOperation",
        "metadata": { "name": "" },
        "spec": { "action": action },
    });
    assert_eq!(bodies, [&body]);
}

#[tokio::test]
async fn signing_keys_are_listed_with_their_times() {
    check(
        "keys list",
        json!({ "signingKeys": signing_keys() }),
        "List",
        TABLE,
    )
    .await;
}

#[tokio::test]
async fn a_rotation_says_when_the_new_key_signs() {
    let expected = format!(
        "{TABLE}The pending key starts to sign at the time in the column SIGNS FROM. All tokens stay valid.\n"
    );
    check(
        "keys rotate",
        json!({ "signingKeys": signing_keys() }),
        "Rotate",
        &expected,
    )
    .await;
}

const REVOKED: &str = "\
3 signing keys were removed. Every token that was issued before is invalid.
Ask users to create their kubeconfigs again; the old records can be deleted.
Clusters that verify tokens by OIDC keep the old keys until they read the key set again: restart their kube-apiserver to make sure.
";

#[tokio::test]
async fn a_revocation_says_how_many_keys_were_removed_and_what_to_do() {
    let status = json!({ "signingKeys": signing_keys(), "revoked": 3 });
    let expected = format!("{TABLE}{REVOKED}");
    check("keys revoke-all --yes", status, "RevokeAll", &expected).await;

    let status = json!({ "signingKeys": signing_keys(), "revoked": 1 });
    let expected = expected.replace("3 signing keys were", "1 signing key was");
    check("keys revoke-all --yes", status, "RevokeAll", &expected).await;
}

#[tokio::test]
async fn a_revocation_needs_a_yes() {
    let server = server(json!({ "signingKeys": signing_keys(), "revoked": 3 })).await;
    let line = format!("keys revoke-all --kubeconfig {}", server.kubeconfig());
    let error = "revoke-all invalidates every token of every user; add --yes to confirm it without a terminal";
    let refused = Output {
        error: error.to_owned(),
        ..Output::default()
    };
    assert_eq!(run_with(&line, None).await, refused);
    let question = "\
Every kubeconfig file with tokens stops working, and its user must create a new one.
Type yes to revoke all tokens: ";
    for answer in ["no\n", "\n", "", "y\n", "YES\n"] {
        let expected = Output {
            stderr: question.to_owned(),
            error: "nothing was changed".to_owned(),
            ..Output::default()
        };
        assert_eq!(run_with(&line, Some(answer)).await, expected, "{answer:?}");
    }
    assert_eq!(server.asked(), []);
    let expected = Output {
        stdout: TABLE.to_owned(),
        stderr: format!("{question}{REVOKED}"),
        error: String::new(),
    };
    assert_eq!(run_with(&line, Some("yes\n")).await, expected);
}

#[tokio::test]
async fn resealing_says_which_keys_are_still_needed() {
    let key = |id: &str, values: u32, newest: bool| json!({ "id": id, "values": values, "newest": newest });
    check(
        "keys reseal",
        json!({ "resealed": 12, "unreadable": 0, "encryptionKeys": [key("k2", 12, true)] }),
        "Reseal",
        "\
ID   VALUES   NEWEST
k2   12       yes
12 values were encrypted again with the newest key.
Every other line of the file of encryption keys can be removed.
",
    )
    .await;
    check(
        "keys reseal",
        json!({ "resealed": 12, "unreadable": 2, "encryptionKeys": [key("k2", 12, true), key("k1", 1, false)] }),
        "Reseal",
        "\
ID   VALUES   NEWEST
k2   12       yes
k1   1        no
12 values were encrypted again with the newest key.
2 values cannot be decrypted with any key of the file and were left as they are.
An older key is still in use: another replica writes with it. Give all replicas the same first line, restart them, and repeat the command.
",
    )
    .await;
}

#[tokio::test]
async fn a_fault_is_one_line() {
    let server = ApiServer::start().await;
    for (code, message, expected) in [
        (
            404,
            "not found",
            "the server of --kubeconfig or KUBECONFIG does not serve keyoperations.ext.cattle.io: it is not a kubeconfig-apiserver, or is an older version",
        ),
        (
            403,
            "keyoperations is forbidden",
            "keyoperations is forbidden",
        ),
        (500, "", "it responded 500 InternalError"),
    ] {
        server.refuse(OPERATIONS, code, message);
        let output = run(&server, "keys list").await;
        assert_eq!(
            output,
            Output {
                error: expected.to_owned(),
                ..Output::default()
            }
        );
    }
    server.answer(
        OPERATIONS,
        201,
        json!({ "metadata": {}, "spec": { "action": "List" } }),
    );
    let error = run(&server, "keys list").await.error;
    assert_eq!(error, "the server responded without a result");
}
