//! Users of a standalone server that an administrator adds by `user …`, and users that a login adds.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use e2e::http::Request;
use e2e::program::{self, Outcome};
use e2e::{Client, OidcProvider, Server};
use serde_json::json;
use tempfile::TempDir;

use crate::oidc;
use crate::record;

/// Runs a `user` command in the data folder of a server.
#[track_caller]
fn user(server: &Server, arguments: &[&str]) -> Outcome {
    let folder = server.data_dir().display().to_string();
    program::run(&[&["user"], arguments, &["--data-dir", &folder]].concat()).unwrap()
}

#[test]
fn an_administrator_gives_a_person_a_first_file() {
    let (server, folder) = (Server::start().unwrap(), TempDir::new().unwrap());
    let file = folder.path().join("dana.kubeconfig");
    let name = file.display().to_string();
    let add = [
        "add",
        "dana@example.com",
        "--group=team-a",
        "--group=team-b",
    ];
    let added = user(&server, &[&add[..], &["--file", &name]].concat());
    assert_eq!((added.code, added.stdout.as_str()), (0, ""));
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let again = user(&server, &[&add[..], &["--file", &name]].concat());
    let expected = format!("error: cannot write {name}: File exists (os error 17)\n");
    assert_eq!(again.code, 1);
    assert!(again.stderr.ends_with(&expected), "{}", again.stderr);
    let without_file = user(&server, &["add", "erin", "--file", &name]);
    assert_eq!(without_file.stderr, expected);
    let admin = server.client("admin").unwrap();
    let erin = admin.get("/apis/management.cattle.io/v3/users/erin");
    assert_eq!(erin.unwrap().status, 404, "no user without access");

    let dana = Client::from_file(&file).unwrap();
    let created = record::create(&dana, json!({}));
    let status = &created["status"];
    assert_eq!(status["userName"], "dana@example.com");
    assert_eq!(status["groups"], json!(["team-a", "team-b"]));
    let token = &record::tokens(&created)[0];
    let with_token = dana.without_credential().with_token(token);
    assert_eq!(with_token.get(record::PATH).unwrap().status, 200);

    // The plugin logs in with the file.
    let plugin = server.kubectl("admin").unwrap().with_kubeconfig(&file);
    let plugin = plugin.with_plugin().unwrap();
    let login = plugin
        .run(&["kubeconfig", "login", "--from-context"])
        .unwrap();
    assert_eq!(login.code, 0, "{}", login.stderr);
    let list = plugin
        .output(&["kubeconfig", "list", "--output=name"])
        .unwrap();
    let expected = format!("kubeconfig.ext.cattle.io/{}\n", record::name(&created));
    assert_eq!(list, expected);

    assert_eq!(user(&server, &["disable", "dana@example.com"]).code, 0);
    assert_eq!(dana.get(record::PATH).unwrap().status, 403);
    assert_eq!(with_token.get(record::PATH).unwrap().status, 401);
    assert_eq!(user(&server, &["enable", "dana@example.com"]).code, 0);
    assert_eq!(with_token.get(record::PATH).unwrap().status, 200);
    assert_eq!(user(&server, &["remove", "dana@example.com"]).code, 0);
    assert_eq!(with_token.get(record::PATH).unwrap().status, 401);
    let refused = dana.post(record::PATH, &record::wanted(json!({}))).unwrap();
    assert_eq!(refused.status, 403);
    // Another user of this name.
    let next = folder.path().join("next.kubeconfig");
    let next = next.display().to_string();
    let added = user(&server, &["add", "dana@example.com", "--file", &next]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    assert_eq!(with_token.get(record::PATH).unwrap().status, 401);
    record::create(&dana, json!({}));
}

#[test]
fn a_folder_without_a_ca_gives_no_file() {
    let server = Server::start().unwrap();
    let folder = TempDir::new().unwrap();
    let (data, admin) = (
        folder.path().display().to_string(),
        server.kubeconfig("admin").display().to_string(),
    );
    let arguments = [
        "user",
        "add",
        "dana",
        "--data-dir",
        &data,
        "--kubeconfig",
        &admin,
    ];
    let refused = program::run(&arguments).unwrap();
    let expected =
        format!("error: {data} is not the data folder of a standalone server: it has no ca.key\n");
    assert_eq!((refused.code, refused.stderr), (1, expected));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let dana = server.client("admin").unwrap();
    let dana = dana
        .get("/apis/management.cattle.io/v3/users/dana")
        .unwrap();
    assert_eq!(dana.status, 404);
}

#[test]
fn a_file_needs_the_folder_of_the_ca() {
    let server = Server::start().unwrap();
    let admin = server.kubeconfig("admin").display().to_string();
    let arguments = ["user", "add", "dana", "--file=f", "--kubeconfig", &admin];
    let refused = program::run(&arguments).unwrap();
    let expected = "error: --file needs --data-dir: its CA issues the certificate in the file\n";
    assert_eq!((refused.code, refused.stderr.as_str()), (1, expected));
}

#[test]
fn a_login_at_a_provider_adds_the_user() {
    let provider = OidcProvider::start(&["dev"]).unwrap();
    let server = oidc::start_with(&provider, &[]);
    let admin = server.client("admin").unwrap();
    let users = "/apis/management.cattle.io/v3/users/dev";
    let (dev, _) = oidc::bound(&server, &provider, "dev");
    assert_eq!(dev.get(record::PATH).unwrap().status, 200);
    assert_eq!(admin.get(users).unwrap().status, 404);
    let setting = "/apis/management.cattle.io/v3/settings/user-provisioning";
    let patch = Request::new("PATCH", setting);
    let patch = patch.body("application/merge-patch+json", r#"{"value":"on-login"}"#);
    assert_eq!(admin.send(&patch).unwrap().status, 200);
    record::create(&dev, json!({}));
    let added = admin.get(users).unwrap().json().unwrap();
    assert_eq!(added["principalIds"], json!(["dev"]));
}
