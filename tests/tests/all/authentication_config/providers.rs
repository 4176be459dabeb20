//! Users of the plugin choose one of several providers (`--login-config`).

use std::fs;

use e2e::kubectl::Running;
use e2e::oidc_provider::CLIENT;
use e2e::server::Options;
use e2e::{Kubectl, OidcProvider, Server, poll};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{ConfigurationFile, LIMIT, people};

/// The secret of the client at the provider of the partners. Its characters are encoded in a header.
const SECRET: &str = "p&rtners: 1";

fn offers(providers: &[Value]) -> String {
    let file = json!({
        "apiVersion": "config.ext.cattle.io/v1",
        "kind": "LoginConfiguration",
        "providers": providers,
    });
    file.to_string()
}

fn offer(name: &str, provider: &OidcProvider) -> Value {
    json!({ "name": name, "issuer": provider.issuer(), "clientID": CLIENT })
}

#[track_caller]
fn line(command: &Running, is_meant: impl Fn(&str) -> bool) -> String {
    command.next_line_with(LIMIT, is_meant).unwrap()
}

/// Logs in with a device code, as `user` at `provider`. Returns the name that the server sees.
#[track_caller]
fn log_in(kubectl: &Kubectl, flags: &[&str], provider: &OidcProvider, user: &str) -> String {
    let login = [&["kubeconfig", "login", "--device-code"], flags].concat();
    let mut login = kubectl.start(&login).unwrap();
    let page = line(&login, |line| line.starts_with("    "));
    assert_eq!(page.trim(), format!("{}/device", provider.issuer()));
    let code = line(&login, |line| line.starts_with("    "));
    provider.type_code(code.trim(), user).unwrap();
    let end = line(&login, |line| line.starts_with("Logged in at "));
    assert!(login.wait(LIMIT).unwrap().success());
    let (_, account) = end.split_once(" as ").unwrap();
    account.split_once(", ").unwrap().0.to_owned()
}

fn document(server: &Server) -> Value {
    let path = "/.well-known/kubeconfig-login";
    let answer = server.anonymous().unwrap().get(path).unwrap();
    answer.json().unwrap()
}

#[test]
fn a_user_of_the_plugin_chooses_a_provider() {
    let staff = OidcProvider::start(&["alice"]).unwrap();
    let partners = OidcProvider::start_with_secret(&["alice", "bob"], SECRET).unwrap();
    let mut of_partners = people(&partners);
    of_partners["claimMappings"]["username"]["prefix"] = json!("partner-");
    let mut of_staff = people(&staff);
    of_staff["claimMappings"]["username"]["prefix"] = json!("");
    // Zitadel has no nonce in the ID tokens of device codes.
    let file = ConfigurationFile::of(&[of_staff, of_partners]);
    let folder = TempDir::new().unwrap();
    let offers_path = folder.path().join("login.yaml");
    let named = [offer("staff", &staff), offer("partners", &partners)];
    fs::write(&offers_path, offers(&named)).unwrap();
    let server = Server::start_with(Options {
        arguments: vec![
            format!("--authentication-config={}", file.path().display()),
            format!("--login-config={}", offers_path.display()),
            format!("--oidc-unbound-client-ids={CLIENT}"),
        ],
        ..Options::default()
    });
    let server = server.unwrap();
    let kubectl = server.kubectl("alice").unwrap().with_plugin().unwrap();
    let at = format!("--server={}", server.url().unwrap());
    let ca = format!(
        "--certificate-authority={}",
        server.data_dir().join("ca.crt").display()
    );
    let flags = |more: &[&'static str]| [&[at.as_str(), ca.as_str()], more].concat();
    let refused = |flags: &[&str]| {
        let login = [&["kubeconfig", "login"], flags].concat();
        let answer = kubectl.run(&login).unwrap();
        assert_eq!((answer.code, answer.stdout.as_str()), (1, ""));
        answer.stderr
    };

    // The user must choose.
    let names = format!(
        "staff ({}), partners ({})",
        staff.issuer(),
        partners.issuer()
    );
    let expected = format!(
        "error: the server has several providers; select one with --provider=NAME: {names}\n"
    );
    assert_eq!(refused(&flags(&[])), expected);
    let name = log_in(&kubectl, &flags(&["--provider=staff"]), &staff, "alice");
    assert_eq!(name, "alice");

    // The provider of the partners requires a secret, which the server publishes if the
    // administrator says so.
    let expected = "error: the provider rejected the login: ";
    let chosen = flags(&["--provider=partners", "--device-code"]);
    let found = refused(&chosen);
    assert!(found.starts_with(expected), "{found}");
    let mut published = offer("partners", &partners);
    published["publicClientSecret"] = json!(SECRET);
    fs::write(&offers_path, offers(&[published, offer("staff", &staff)])).unwrap();
    poll::until("the file is in use", LIMIT, || {
        Ok((document(&server)["providers"][0]["clientSecret"] == SECRET).then_some(()))
    })
    .unwrap();
    let name = log_in(&kubectl, &flags(&["--provider=partners"]), &partners, "bob");
    assert_eq!(name, "partner-bob");
    // Without a choice, the next login is at the same provider. The secret can be a file.
    let secret = folder.path().join("secret");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    fs::write(&offers_path, offers(&named)).unwrap();
    poll::until("the file is in use", LIMIT, || {
        Ok((document(&server)["providers"][0]["name"] == "staff").then_some(()))
    })
    .unwrap();
    let from_file = format!("--client-secret-file={}", secret.display());
    let again = [flags(&[]), vec![from_file.as_str()]].concat();
    let name = log_in(&kubectl, &again, &partners, "bob");
    assert_eq!(name, "partner-bob");

    // A provider whose tokens the server no longer accepts is not offered.
    file.write(&super::configuration(&[people(&staff)]));
    poll::until("the file is in use", LIMIT, || {
        let document = document(&server);
        Ok((document["providers"].as_array().unwrap().len() == 1).then_some(document))
    })
    .unwrap();
    assert_eq!(document(&server)["oidc"]["issuer"], json!(staff.issuer()));
}
