//! `user`.

use serde_json::{Value, json};

use crate::api_server::ApiServer;
use crate::command::{Output, run, run_with};

const USERS: &str = "/apis/management.cattle.io/v3/users";

/// Starts a server with the users bot, who is disabled, and dana, who logs in by her address.
async fn server() -> ApiServer {
    let server = ApiServer::start().await;
    server.put(
        &format!("{USERS}/dana-1"),
        json!({
            "apiVersion": "management.cattle.io/v3", "kind": "User",
            "metadata": { "labels": { "cattle.io/last-login": "1767319445" } },
            "principalIds": ["dana@example.com", "github_user://7"],
        }),
    );
    server.put(
        &format!("{USERS}/bot"),
        json!({
            "apiVersion": "management.cattle.io/v3", "kind": "User",
            "metadata": { "labels": { "cattle.io/last-login": "soon" } },
            "enabled": false,
        }),
    );
    server
}

/// Returns the error and no output.
fn error(text: &str) -> Output {
    Output {
        error: text.to_owned(),
        ..Output::default()
    }
}

#[tokio::test]
async fn users_are_listed_with_the_names_that_they_log_in_with() {
    let expected = "\
NAME     LOGS IN AS                          ENABLED   LAST LOGIN   AGE
bot      bot                                 false     <none>       27h
dana-1   dana@example.com, github_user://7   true      60m ago      27h
";
    run(&server().await, "user list").await.is(expected);
}

#[tokio::test]
async fn a_user_is_disabled_and_enabled_by_any_of_its_names() {
    let server = server().await;
    for (line, enabled, expected) in [
        (
            "user disable github_user://7",
            false,
            "User dana-1 is disabled: all requests are denied, and all tokens are rejected.\n",
        ),
        ("user enable dana-1", true, "User dana-1 is enabled.\n"),
    ] {
        run(&server, line).await.is(expected);
        let dana = server.object(&format!("{USERS}/dana-1"));
        assert_eq!(dana["enabled"], enabled);
    }
}

#[tokio::test]
async fn a_user_is_removed() {
    let server = server().await;
    let expected = "\
User dana-1 was removed. All tokens of the user are rejected.
A login creates the user again if the setting user-provisioning is on-login: use user disable to keep the user out.
";
    run(&server, "user remove dana@example.com")
        .await
        .is(expected);
    assert_eq!(server.paths(), [format!("{USERS}/bot")]);
}

#[tokio::test]
async fn a_user_is_added_once() {
    let server = server().await;
    let hint = "The user needs a login of the server. With --data-dir, this command prints a kubeconfig with a certificate.\n";
    run(&server, "user add erin")
        .await
        .is(&format!("User erin was added.\n{hint}"));
    let mut erin = server.object(&format!("{USERS}/erin"));
    erin["metadata"] = Value::Null;
    assert_eq!(
        erin,
        json!({
            "apiVersion": "management.cattle.io/v3", "kind": "User", "metadata": null,
            "displayName": "erin", "username": "erin", "principalIds": ["erin"], "enabled": true,
        })
    );
    let before = server.paths();
    for name in ["erin", "dana@example.com"] {
        let added = run(&server, &format!("user add {name}")).await;
        added.is(&format!("User {name} exists.\n{hint}"));
    }
    let disabled = run(&server, "user add bot").await;
    let expected = "user \"bot\" is disabled: run user enable first";
    assert_eq!(disabled, error(expected));
    assert_eq!(server.paths(), before);
}

#[tokio::test]
async fn nothing_is_sent_for_a_name_that_cannot_log_in() {
    let reserved = "must not begin with \"system:\" or \"serviceaccount:\"";
    for (line, expected) in [
        (
            "user add system:admin",
            format!("user name \"system:admin\" {reserved}"),
        ),
        (
            "user add serviceaccount:a:b:c",
            format!("user name \"serviceaccount:a:b:c\" {reserved}"),
        ),
        (
            "user add erin --group system:masters --data-dir d",
            format!("group \"system:masters\" {reserved}"),
        ),
        (
            "user add ",
            "user name \"\" must not be empty".to_owned(),
        ),
        (
            "user add System:admin",
            "user name \"System:admin\" must not be another spelling of a name that begins with \"system:\"".to_owned(),
        ),
        (
            "user add erin --group team-a",
            "--group needs --data-dir: groups are in the certificate that its CA issues".to_owned(),
        ),
        (
            "user add erin --data-dir d",
            "d has no CA".to_owned(),
        ),
    ] {
        let server = server().await;
        let said = run(&server, line).await;
        assert_eq!(said, error(&expected));
        assert_eq!(server.asked(), []);
    }
}

#[tokio::test]
async fn a_user_that_does_not_exist_is_an_error() {
    for command in ["disable", "enable", "remove"] {
        let said = run(&server().await, &format!("user {command} erin")).await;
        let expected = "there is no user \"erin\"; user list shows all";
        assert_eq!(said, error(expected));
    }
}

#[tokio::test]
async fn another_server_is_named() {
    let server = ApiServer::start().await;
    server.answer(
        &format!("GET {USERS}"),
        404,
        json!({ "kind": "Status", "code": 404 }),
    );
    let said = run(&server, "user list").await;
    let expected = "the server of --kubeconfig or KUBECONFIG is not a kubeconfig-apiserver: it does not serve users.management.cattle.io";
    assert_eq!(said, error(expected));
}

#[tokio::test]
async fn the_file_of_the_administrator_is_in_the_data_folder() {
    let said = run_with("user list --data-dir /nonexistent", None).await;
    let expected = "no kubeconfig file for the kubeconfig-apiserver: cannot read /nonexistent/admin.kubeconfig: No such file or directory (os error 2)";
    assert_eq!(said, error(expected));
}
