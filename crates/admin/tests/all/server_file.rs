//! The kubeconfig file of the server, which all commands need.

use crate::api_server::ApiServer;
use crate::command::{run, run_with};

const FILE: &str = r"
apiVersion: v1
kind: Config
current-context: a
clusters:
- { name: it, cluster: { server: URL, certificate-authority-data: CA } }
users:
- { name: a, user: { token: of-a } }
- { name: b, user: { token: of-b } }
- { name: c, user: { tokenFile: /nowhere } }
contexts:
- { name: a, context: { cluster: it, user: a } }
- { name: b, context: { cluster: it, user: b } }
- { name: c, context: { cluster: it, user: c } }
- { name: d, context: { cluster: nowhere, user: a } }
";

/// Writes the file for a server.
fn file(server: &ApiServer) -> String {
    let text = FILE
        .replace("URL", &server.url())
        .replace("CA", &server.ca_data());
    server.file("contexts", &text)
}

#[tokio::test]
async fn a_command_acts_as_the_user_of_the_context() {
    let server = ApiServer::start().await;
    let file = file(&server);
    for (line, expected) in [
        ("cluster list", "Bearer of-a"),
        ("keys list", "Bearer of-a"),
        ("keys list --context b", "Bearer of-b"),
    ] {
        run_with(&format!("{line} --kubeconfig {file}"), None).await;
        let asked = server.asked().pop().unwrap();
        assert_eq!(asked.authorization, expected, "{line}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_says_why() {
    let server = ApiServer::start().await;
    let contexts = file(&server);
    let rubbish = server.file("rubbish", "[");
    for (flags, expected) in [
        (
            "--kubeconfig /nowhere".to_owned(),
            "no kubeconfig file for the kubeconfig-apiserver: cannot read /nowhere: No such file or directory (os error 2)",
        ),
        (
            format!("--kubeconfig {rubbish}"),
            "no kubeconfig file for the kubeconfig-apiserver: failed to parse kubeconfig YAML: ",
        ),
        (
            format!("--kubeconfig {contexts} --context x"),
            "the kubeconfig of the server cannot be used: failed to load current context: x",
        ),
        (
            format!("--kubeconfig {contexts} --context d"),
            "the kubeconfig of the server cannot be used: failed to load the cluster of context: nowhere",
        ),
    ] {
        let error = run_with(&format!("keys list {flags}"), None).await.error;
        assert!(error.starts_with(expected), "{error}");
    }
    assert_eq!(server.asked(), []);
}

#[tokio::test]
async fn a_server_with_a_certificate_of_another_authority_is_not_used() {
    let (server, other) = (ApiServer::start().await, ApiServer::start().await);
    let text = FILE
        .replace("URL", &server.url())
        .replace("CA", &other.ca_data());
    let file = server.file("other", &text);
    let error = run_with(&format!("cluster list --kubeconfig {file}"), None)
        .await
        .error;
    let expected = "the kubeconfig-apiserver has a certificate that cannot be verified: invalid peer certificate: ";
    assert!(error.starts_with(expected), "{error}");
    assert_eq!(server.asked(), []);
}

#[tokio::test]
async fn an_error_of_the_server_is_its_message() {
    let server = ApiServer::start().await;
    let clusters = "GET /apis/management.cattle.io/v3/clusters";
    for (code, message, expected) in [
        (
            403,
            "clusters is forbidden",
            "the kubeconfig-apiserver does not permit the request: clusters is forbidden",
        ),
        (
            500,
            "",
            "the kubeconfig-apiserver responded with an error: it responded 500 InternalError",
        ),
    ] {
        server.refuse(clusters, code, message);
        assert_eq!(run(&server, "cluster list").await.error, expected);
    }
}
