//! Users of the plugin choose one of several providers (`--login-config`).

use std::fs;

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

/// Logs in with a browser, as `user` at `provider`. Returns the name that the server sees, or the
/// reason for which the provider refuses.
#[track_caller]
fn log_in(
    kubectl: &Kubectl,
    flags: &[&str],
    provider: &OidcProvider,
    user: &str,
) -> Result<String, String> {
    let login = [&["kubeconfig", "login", "--no-browser"], flags].concat();
    let mut login = kubectl.start(&login).unwrap();
    let line = |start: &'static [&str]| {
        let is_meant = |line: &str| start.iter().any(|start| line.starts_with(start));
        login.next_line_with(LIMIT, is_meant).unwrap()
    };
    let address = line(&["    https://"]);
    provider.browse(address.trim(), user).unwrap();
    let end = line(&["Logged in at ", "error: "]);
    let succeeds = login.wait(LIMIT).unwrap().success();
    match end.split_once(" as ") {
        Some((_, account)) if succeeds => Ok(account.split_once(", ").unwrap().0.to_owned()),
        _ => Err(end),
    }
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
    let file = ConfigurationFile::of(&[of_staff, of_partners]);
    let folder = TempDir::new().unwrap();
    let offers_path = folder.path().join("login.yaml");
    let named = [offer("staff", &staff), offer("partners", &partners)];
    fs::write(&offers_path, offers(&named)).unwrap();
    let server = Server::start_with(Options {
        arguments: vec![
            format!("--authentication-config={}", file.path().display()),
            format!("--login-config={}", offers_path.display()),
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
    assert_eq!(name.as_deref(), Ok("alice"));

    // The provider of the partners requires a secret, which the server publishes if the
    // administrator says so.
    let chosen = flags(&["--provider=partners"]);
    let refusal = log_in(&kubectl, &chosen, &partners, "bob").unwrap_err();
    let expected = "error: the provider rejected the login: ";
    assert!(refusal.starts_with(expected), "{refusal}");
    let mut published = offer("partners", &partners);
    published["publicClientSecret"] = json!(SECRET);
    fs::write(&offers_path, offers(&[published, offer("staff", &staff)])).unwrap();
    poll::until("the file is in use", LIMIT, || {
        Ok((document(&server)["providers"][0]["clientSecret"] == SECRET).then_some(()))
    })
    .unwrap();
    let name = log_in(&kubectl, &chosen, &partners, "bob");
    assert_eq!(name.as_deref(), Ok("partner-bob"));
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
    assert_eq!(name.as_deref(), Ok("partner-bob"));

    // A provider whose tokens the server no longer accepts is not offered.
    file.write(&super::configuration(&[people(&staff)]));
    poll::until("the file is in use", LIMIT, || {
        let document = document(&server);
        Ok((document["providers"].as_array().unwrap().len() == 1).then_some(document))
    })
    .unwrap();
    assert_eq!(document(&server)["oidc"]["issuer"], json!(staff.issuer()));
}
