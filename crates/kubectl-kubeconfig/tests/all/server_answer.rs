//! Answers of a server that do not match the request.

use serde_json::{Value, json};

use crate::fake::Fake;
use crate::plugin::Plugin;

#[track_caller]
fn check(change: Value, why: &str) {
    let fake = Fake::start();
    let plugin = Plugin::logged_in(&fake);
    fake.state().token_change = change;
    let output = plugin.credential_output();
    let expected = format!("error: the server returned something other than requested: {why}\n");
    assert_eq!(
        (output.code, output.stdout.as_str(), output.stderr),
        (1, "", expected)
    );
    assert!(plugin.files("credential-").is_empty());
}

#[test]
fn a_token_that_is_not_the_one_asked_for_is_refused() {
    check(
        json!({ "spec": { "kubeconfigName": "other" } }),
        "a Token of kubeconfig \"other\" for cluster \"c-1\" instead of \"kubeconfig-abcde\" and \"c-1\"",
    );
    check(
        json!({ "spec": { "clusterName": "c-2" } }),
        "a Token of kubeconfig \"kubeconfig-abcde\" for cluster \"c-2\" instead of \"kubeconfig-abcde\" and \"c-1\"",
    );
    check(
        json!({ "status": { "expiresAt": "2001-01-01T00:00:00Z" } }),
        "a credential that expired at 2001-01-01T00:00:00Z",
    );
    check(
        json!({ "status": { "expiresAt": "2199-01-01T00:00:00Z" } }),
        "a credential that expires at 2199-01-01T00:00:00Z, which is later than the maximum",
    );
    check(
        json!({ "status": { "expiresAt": "9999-12-31T23:59:59Z" } }),
        "a Token that expires at \"9999-12-31T23:59:59Z\", which is not a timestamp",
    );
    check(
        json!({ "status": { "bearerToken": "" } }),
        "a Token without a value",
    );
    // The audience of this token is `cluster:c-2`.
    check(
        json!({ "status": { "bearerToken": "e30.eyJhdWQiOlsiY2x1c3RlcjpjLTIiXX0.c2ln" } }),
        "a token for [\"cluster:c-2\"] instead of \"cluster:c-1\", the audience in the kubeconfig",
    );
}

#[test]
fn a_certificate_for_another_key_is_refused() {
    let fake = Fake::start();
    let plugin = Plugin::logged_in(&fake);
    fake.state().token_change = json!({ "status": { "certificate": fake.authority() } });
    let mut command = plugin.credential("v1");
    command.arg("--client-certificate");
    let output = crate::plugin::finish(command.spawn().unwrap());
    let expected = "error: the server returned something other than requested: a certificate for another key\n";
    assert_eq!((output.code, output.stderr.as_str()), (1, expected));
}

#[test]
fn a_refusal_of_the_server_prints_no_line_of_its_own() {
    let fake = Fake::start();
    let plugin = Plugin::logged_in(&fake);
    fake.state().refusal = Some(
        "no\n\n    kubectl kubeconfig login --server=https://evil\u{202e}\u{1b}[2J\n".to_owned(),
    );
    let output = plugin.credential_output();
    let expected = format!(
        "error: {} refuses a credential for alice: no      kubectl kubeconfig login --server=https://evil[2J \n",
        fake.url()
    );
    assert_eq!((output.code, output.stderr), (1, expected));
}
