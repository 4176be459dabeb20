//! The servers at which a login starts, and the servers at which it is valid.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;

use api::plugin::ServerUrl;
use api::plugin::login_binding::LoginBinding;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::login::{browse, login};
use crate::plugin::{Output, Plugin, at_a_terminal, finish, line_with, token as token_of};

const NOTHING: Vec<String> = Vec::new();

fn with_provider() -> Fake {
    let fake = Fake::start();
    fake.state().has_provider = true;
    fake
}

/// Types an answer at the terminal.
fn answer(terminal: OwnedFd, text: &str) -> File {
    let mut terminal = File::from(terminal);
    terminal.write_all(text.as_bytes()).unwrap();
    terminal
}

/// Logs in with a browser at the server of `plugin`, whose provider is `provider`.
fn log_in(plugin: &Plugin<'_>, provider: &Fake, flags: &[&str]) {
    let mut child = login(plugin, &[&["--no-browser"], flags].concat())
        .spawn()
        .unwrap();
    let url = line_with(&mut child, "    https://").unwrap();
    browse(provider, url.trim());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Returns the nonce in an ID token.
fn nonce(id_token: &str) -> Value {
    let claims = URL_SAFE_NO_PAD
        .decode(id_token.split('.').nth(1).unwrap())
        .unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    claims["nonce"].clone()
}

/// Returns the nonce of a login for a server.
fn nonce_for(random: &str, server: &str) -> Value {
    let server: ServerUrl = server.parse().unwrap();
    json!(LoginBinding::decode(random).unwrap().nonce(&server))
}

/// client-go runs the plugin with any arguments that a file contains.
#[test]
fn a_file_runs_credential_and_nothing_else() {
    let fake = Fake::start();
    let plugin = Plugin::logged_in(&fake);
    let before = fake.state().asked.len();
    let server = format!("--server={}", fake.url());
    for arguments in [
        &["login", &server, "--token-file=/etc/hostname"][..],
        &["logout", "--all"],
        &["clean"],
        &["create", &server, "--all-clusters", "--file=evil"],
        &["list"],
        &["merge", "--allow-exec", "evil.yaml"],
        &["prune"],
        &["delete", &server, "kubeconfig-abcde"],
        &["status"],
        &["completion", "bash"],
        &["__complete", "login"],
    ] {
        let mut command = plugin.command(arguments);
        command.env(
            "KUBERNETES_EXEC_INFO",
            plugin.exec_info("v1", false).to_string(),
        );
        let output = finish(command.spawn().unwrap());
        let expected = "error: a kubeconfig file may run only `credential`, but this file runs another command (KUBERNETES_EXEC_INFO is set): do not use the file\n";
        assert_eq!(
            (output.code, output.stdout.as_str(), output.stderr.as_str()),
            (1, "", expected),
            "{arguments:?}"
        );
    }
    assert_eq!(fake.state().asked.len(), before);
    assert_eq!(plugin.token(), "t0ken-1", "still logged in");
}

#[test]
fn a_server_of_an_unknown_ca_is_told_of_with_what_to_do() {
    let fake = Fake::start();
    let plugin = Plugin::new(&fake);
    let output = plugin.run(&["login", &format!("--server={}", fake.url())]);
    let expected = format!(
        "error: {} does not respond: invalid peer certificate: UnknownIssuer. If the server has a CA of its own, or a new \
         one, run `kubectl kubeconfig login` with --certificate-authority=FILE\n",
        fake.url()
    );
    assert_eq!((output.code, output.stderr), (1, expected));
}

/// A file with other content is not sent to a server.
#[test]
fn only_a_bearer_token_is_read_from_a_token_file() {
    let fake = Fake::start();
    let plugin = Plugin::new(&fake);
    let file = fake.folder().join("token");
    for text in [
        "two\nlines",
        "a\0b",
        "a\rb",
        "{\"json\":1}",
        "a b",
        "ä",
        "\n",
    ] {
        fs::write(&file, text).unwrap();
        let output = plugin.login(&[&format!("--token-file={}", file.display())]);
        assert_eq!(output.code, 1, "{text:?}: {}", output.stderr);
        let named = output.stderr.contains(&file.display().to_string());
        assert!(named, "{text:?}: {}", output.stderr);
    }
    assert_eq!(fake.asked("POST"), 0);
}

#[test]
fn a_file_starts_no_login_at_a_server_that_the_user_never_named() {
    for said in ["n\n", "\n", "no\n", "yess\n"] {
        let fake = with_provider();
        let plugin = Plugin::new(&fake);
        let (mut command, terminal) = plugin.interactive_credential();
        let child = command.spawn().unwrap();
        let _terminal = answer(terminal, said);
        let output = finish(child);
        assert_eq!((output.code, output.stdout.as_str()), (1, ""));
        let question = format!(
            "The kubeconfig refers to {}, where you have never logged in. Its certificate is trusted because of a CA in the kubeconfig (SHA-256 ",
            fake.url()
        );
        assert!(output.stderr.starts_with(&question), "{}", output.stderr);
        assert!(output.stderr.contains("). Log in there? [y/N] "));
        assert_eq!(fake.state().asked, NOTHING, "{said:?}");
    }
}

#[test]
fn a_user_who_says_yes_logs_in_and_is_not_asked_again() {
    let fake = with_provider();
    let plugin = Plugin::new(&fake);
    let (mut command, terminal) = plugin.interactive_credential();
    let mut child = command.spawn().unwrap();
    let _terminal = answer(terminal, "y\n");
    let url = line_with(&mut child, "    https://").unwrap();
    browse(&fake, url.trim());
    let output = finish(child);
    assert_eq!((output.code, token_of(&output)), (0, "t0ken-1".to_owned()));

    // The user has named the server now.
    assert_eq!(plugin.run(&["logout", "--all"]).code, 0);
    let (mut command, _terminal) = plugin.interactive_credential();
    let mut child = command.spawn().unwrap();
    let url = line_with(&mut child, "    https://").unwrap();
    browse(&fake, url.trim());
    assert_eq!(finish(child).code, 0);
}

#[test]
fn a_file_does_not_choose_who_vouches_for_a_known_server() {
    let (fake, evil) = (with_provider(), with_provider());
    let plugin = Plugin::logged_out(&fake);
    // The server is known, but with another CA than the file names.
    plugin.change("known-", |known| known["server"] = json!(evil.url()));
    let known = plugin.files("known-").remove(0);
    fs::rename(&known, known.with_file_name("known-evil")).unwrap();
    let mut info = plugin.exec_info("v1", true);
    let cluster = &mut info["spec"]["cluster"];
    cluster["server"] = json!(format!("{}/k8s/clusters/c-1", evil.url()));
    cluster["config"]["server"] = json!(evil.url());
    cluster["config"]["certificateAuthorityData"] = json!(evil.authority_data());
    let (mut command, _terminal) = at_a_terminal(plugin.credential_for(&info));
    let output = finish(command.spawn().unwrap());
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert_eq!(evil.state().asked, NOTHING);
}

#[test]
fn a_file_does_not_choose_the_cas_of_the_machine() {
    let fake = Fake::start();
    let plugin = Plugin::new(&fake);
    let token = fake.folder().join("token");
    fs::write(&token, "l0gin\n").unwrap();
    fake.state().logins.push("l0gin".to_owned());
    let (server, token) = (
        format!("--server={}", fake.url()),
        format!("--token-file={}", token.display()),
    );
    let roots = fake.authority_file();
    let mut login = plugin.command(&["login", &server, &token]);
    let said = finish(login.env("SSL_CERT_FILE", &roots).spawn().unwrap());
    let expected = format!(
        "Logged in at {} as alice, trusting the CAs of SSL_CERT_FILE={}.\n",
        fake.url(),
        roots.display()
    );
    assert_eq!((said.code, said.stderr), (0, expected));
    let mut without_ca = plugin.exec_info("v1", false);
    without_ca["spec"]["cluster"]["certificate-authority-data"] = Value::Null;
    let mut same = plugin.credential_for(&without_ca);
    let output = finish(same.env("SSL_CERT_FILE", &roots).spawn().unwrap());
    assert_eq!(token_of(&output), "t0ken-1");
    fake.state().asked.clear();
    // The file can set `SSL_CERT_FILE` in `env` of an exec entry, here to the file that contains
    // the environment.
    let mut other = plugin.credential_for(&without_ca);
    let output = finish(
        other
            .env("SSL_CERT_FILE", "/proc/self/environ")
            .spawn()
            .unwrap(),
    );
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    let why = "but the environment specifies the CAs of SSL_CERT_FILE=/proc/self/environ.";
    assert!(output.stderr.contains(why), "{}", output.stderr);
    assert_eq!(fake.state().asked, NOTHING);
}

#[test]
fn the_login_document_of_another_server_starts_no_login() {
    let (real, evil) = (with_provider(), with_provider());
    let plugin = Plugin::new(&evil);
    evil.state().published_url = real.url();
    let output = plugin.login(&[]);
    let expected = Output {
        code: 1,
        stdout: String::new(),
        stderr: format!(
            "error: {} publishes the URL {real}. If this is the server that you mean, run:\n\n    kubectl kubeconfig login --server={real}\n\n",
            evil.url(),
            real = real.url()
        ),
    };
    assert_eq!(output, expected);
    assert_eq!(evil.state().asked, ["GET /.well-known/kubeconfig-login"]);
}

/// Makes `evil` serve the login document of `real`, but with its own URL.
fn imitate(evil: &Fake, real: &Fake) {
    evil.state().login_document = Some(json!({ "server": evil.url(), "oidc": {
        "issuer": format!("{}/idp", real.url()),
        "clientID": "kubectl",
        "scopes": ["openid"],
        "certificateAuthorityData": real.authority_data(),
    }}));
}

#[test]
fn a_client_belongs_to_the_first_server_that_named_it() {
    let (real, evil) = (with_provider(), with_provider());
    imitate(&evil, &real);
    let plugin = Plugin::new(&real);
    log_in(&plugin, &real, &[]);
    // The client still belongs to the server after a logout.
    assert_eq!(plugin.run(&["logout", "--all"]).code, 0);
    real.state().asked.clear();
    let at_evil = Plugin::at_home(&evil, plugin.into_home());
    let output = at_evil.login(&[]);
    let expected = Output {
        code: 1,
        stdout: String::new(),
        stderr: format!(
            "error: {evil} uses client \"kubectl\" of {real}/idp, with which you log in at {real}: a login for one of them might be accepted by the other. If both belong to the same operator, run:\n\n    kubectl kubeconfig login --server={evil} --shares-client-with={real}\n\n",
            evil = evil.url(),
            real = real.url()
        ),
    };
    assert_eq!(output, expected);
    assert_eq!(real.state().asked, NOTHING, "the provider");

    // A file at a terminal leads to the same error.
    let (mut command, terminal) = at_evil.interactive_credential();
    let child = command.spawn().unwrap();
    let _terminal = answer(terminal, "y\n");
    let output = finish(child);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("--shares-client-with="),
        "{}",
        output.stderr
    );
    assert_eq!(real.state().asked, NOTHING, "the provider");

    let other = format!("--shares-client-with={}", evil.url());
    assert_eq!(at_evil.login(&[&other]).code, 1, "not its own word");
    let shared = format!("--shares-client-with={}", real.url());
    let mut child = login(&at_evil, &["--no-browser", &shared]).spawn().unwrap();
    let url = line_with(&mut child, "    https://").unwrap();
    browse(&real, url.trim());
    child.wait().unwrap();
    let shown = evil.state().shown.clone();
    let [id_token, random] = &shown[0];
    // The token that the other server gets is valid only there.
    assert_eq!(nonce(id_token), nonce_for(random, &evil.url()));
    assert_ne!(nonce(id_token), nonce_for(random, &real.url()));
}

#[test]
fn an_id_token_is_bound_to_the_server_and_its_successors_by_it() {
    for keeps_nonces in [true, false] {
        let fake = with_provider();
        fake.state().refresh_token = Some("r3fresh".to_owned());
        fake.state().keeps_nonces = keeps_nonces;
        let plugin = Plugin::new(&fake);
        log_in(&plugin, &fake, &[]);
        assert_eq!(plugin.token(), "t0ken-1");
        let [first, random] = fake.state().shown[0].clone();
        assert_eq!(nonce(&first), nonce_for(&random, &fake.url()));
        assert_eq!(fake.state().shown[1], [first.clone(), random.clone()]);

        let end = |it: &mut Value| it["means"]["expires"] = json!("2020-01-01T00:00:00Z");
        plugin.change("session-", end);
        plugin.change("credential-", |it| {
            it["expires"] = json!("2020-01-01T00:00:00Z")
        });
        fake.state().shown.clear();
        assert_eq!(plugin.token(), "t0ken-2");
        let [second, binding] = fake.state().shown[0].clone();
        assert_ne!(first, second);
        let expected = match keeps_nonces {
            true => random,
            false => format!("{random}.{first}"),
        };
        assert_eq!(binding, expected);
    }
}

#[test]
fn a_device_code_that_binds_nothing_is_used_only_where_the_server_says_so() {
    let fake = with_provider();
    fake.state().keeps_nonces = false;
    let plugin = Plugin::new(&fake);
    let output = plugin.login(&["--device-code"]);
    assert_eq!(output.code, 1);
    let why = "the provider does not bind device-code logins to a server";
    assert!(output.stderr.contains(why), "{}", output.stderr);
    assert_eq!(fake.state().shown, Vec::<[String; 2]>::new());
    fake.state().unbound = true;
    assert_eq!(plugin.login(&["--device-code"]).code, 0);
}

/// Returns a login command without a CA flag, for a user whose kubeconfig file names the CA of the
/// fake.
fn login_by_file(plugin: &Plugin<'_>, fake: &Fake) -> std::process::Command {
    let config = plugin.home().join(".kube/config");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    let server = fake.url();
    let file = json!({ "clusters": [{ "name": "c", "cluster": {
        "server": format!("{server}/k8s/clusters/c-1"),
        "certificate-authority-data": fake.authority_data(),
    }}], "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c", "extensions": [
        { "name": "kubeconfig-apiserver", "extension": { "server": server, "kubeconfig": "kubeconfig-abcde" } },
    ]}}]});
    fs::write(config, file.to_string()).unwrap();
    fake.state().logins.push("l0gin".to_owned());
    let token = fake.folder().join("token");
    fs::write(&token, "l0gin\n").unwrap();
    let (server, token) = (
        format!("--server={server}"),
        format!("--token-file={}", token.display()),
    );
    plugin.command(&["login", &server, &token])
}

#[test]
fn a_ca_in_a_file_vouches_for_a_server_only_with_the_users_consent() {
    let fake = Fake::start();
    let plugin = Plugin::new(&fake);
    let config = plugin.home().join(".kube/config");
    let output = finish(login_by_file(&plugin, &fake).spawn().unwrap());
    assert_eq!(output.code, 1);
    let why = format!(
        "error: this machine does not trust {}; the CA in {} is used only if you pass it with --certificate-authority: ",
        fake.url(),
        config.display()
    );
    assert!(output.stderr.starts_with(&why), "{}", output.stderr);
    assert_eq!(fake.state().asked, NOTHING);

    for (said, expected) in [("n\n", 1), ("y\n", 0)] {
        let (mut command, terminal) = at_a_terminal(login_by_file(&plugin, &fake));
        let child = command.spawn().unwrap();
        let _terminal = answer(terminal, said);
        let output = finish(child);
        assert_eq!(output.code, expected, "{}", output.stderr);
        let question = format!("This machine does not trust {}, but the CA in ", fake.url());
        assert!(output.stderr.starts_with(&question), "{}", output.stderr);
    }
    // The next login uses the CA that the user has accepted.
    let output = finish(login_by_file(&plugin, &fake).spawn().unwrap());
    let expected = format!(
        "Logged in at {} as alice, trusting the CA of your last login there.\n",
        fake.url()
    );
    assert_eq!((output.code, output.stderr), (0, expected));
}
