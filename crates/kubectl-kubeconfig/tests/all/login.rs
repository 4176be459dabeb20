use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::{Arc, Barrier};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::json;

use crate::fake::{ClientAuth, Fake};
use crate::plugin::{Plugin, finish, line_with, token};

const REFRESH: &str = "POST /token";

/// Opens the address that the program prints, as a browser would, and returns the last answer.
pub(crate) fn browse(fake: &Fake, url: &str) -> String {
    let pem = std::fs::read(fake.authority_file()).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(certificates::roots::from_pem(&pem).unwrap())
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let (host, path) = url
        .strip_prefix("https://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut stream = StreamOwned::new(tls, TcpStream::connect(host).unwrap());
    let answer = get(&mut stream, host, path);
    let location = answer
        .lines()
        .find_map(|line| line.strip_prefix("location: "))
        .unwrap();
    let (host, path) = location
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    get(&mut TcpStream::connect(host).unwrap(), host, path)
}

fn get(stream: &mut (impl Read + Write), host: &str, path: &str) -> String {
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    // The server may close the connection without a TLS close notification.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

pub(crate) fn login(plugin: &Plugin<'_>, flags: &[&str]) -> Command {
    let fake = plugin.fake;
    let server = format!("--server={}", fake.url());
    let authority = format!(
        "--certificate-authority={}",
        fake.authority_file().display()
    );
    plugin.command(&[&["login", &server, &authority], flags].concat())
}

#[test]
fn a_login_in_a_browser_is_kept_renewed_and_ends() {
    let fake = Fake::start();
    fake.state().has_provider = true;
    fake.state().refresh_token = Some("r3fresh".to_owned());
    let plugin = Plugin::new(&fake);
    let mut child = login(&plugin, &["--no-browser"]).spawn().unwrap();
    let url = line_with(&mut child, "https://").unwrap();
    let page = browse(&fake, url.trim());
    assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
    assert!(child.wait().unwrap().success());
    assert_eq!(plugin.token(), "t0ken-1");
    assert_eq!(fake.asked(REFRESH), 1);

    // The ID token has expired: fifty credentials cost one refresh.
    plugin.expire_id_token();
    fake.state().tokens.clear();
    plugin.change("credential-", |it| {
        it["checked"] = json!("2020-01-01T00:00:00Z")
    });
    let all: Vec<_> = (0..50)
        .map(|_| plugin.credential("v1").spawn().unwrap())
        .collect();
    let codes: Vec<i32> = all.into_iter().map(|it| finish(it).code).collect();
    assert_eq!(codes, vec![0; 50]);
    assert_eq!(plugin.token(), "t0ken-2");
    assert_eq!(fake.asked(REFRESH), 2);

    // The refreshed ID token was stored.
    let end_credential = || {
        plugin.change("credential-", |it| {
            it["expires"] = json!("2020-01-01T00:00:00Z")
        })
    };
    end_credential();
    assert_eq!(plugin.token(), "t0ken-3");
    assert_eq!(fake.asked(REFRESH), 2);

    // The provider refuses the refresh token.
    plugin.expire_id_token();
    fake.state().refresh_token = Some("other".to_owned());
    end_credential();
    let output = plugin.credential_output();
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(
        output.stderr.contains("kubectl kubeconfig login --server="),
        "{}",
        output.stderr
    );
}

#[test]
fn on_a_terminal_the_user_logs_in_when_needed() {
    let fake = Fake::start();
    fake.state().has_provider = true;
    let plugin = Plugin::logged_out(&fake);
    let (mut command, _terminal) = plugin.interactive_credential();
    let mut child = command.spawn().unwrap();
    let url = line_with(&mut child, "    https://").unwrap();
    browse(&fake, url.trim());
    let output = finish(child);
    assert_eq!((output.code, token(&output)), (0, "t0ken-1".to_owned()));
    assert_eq!(plugin.token(), "t0ken-1");
}

#[test]
fn a_user_who_says_no_is_asked_once() {
    let fake = Fake::start();
    fake.state().has_provider = true;
    fake.state().refuses = true;
    let plugin = Plugin::logged_out(&fake);
    let all: Vec<_> = (0..5).map(|_| plugin.interactive_credential()).collect();
    // One process prints an address for the user, and the others print that they wait for it.
    let all_there = Barrier::new(5);
    let run = |(mut command, _terminal): (Command, OwnedFd)| {
        let mut child = command.spawn().unwrap();
        let line = line_with(&mut child, "https://").unwrap();
        all_there.wait();
        if line.contains("/authorize") {
            browse(&fake, line.trim());
        }
        child.wait().unwrap().code()
    };
    let codes: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = all.into_iter().map(|it| scope.spawn(|| run(it))).collect();
        all.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(codes, vec![Some(1); 5]);
    assert_eq!(fake.asked("GET /authorize"), 1);
}

#[test]
fn an_id_token_of_another_login_is_refused() {
    let fake = Fake::start();
    fake.state().has_provider = true;
    fake.state().id_token_end = 0;
    let plugin = Plugin::new(&fake);
    let mut child = login(&plugin, &["--no-browser"]).spawn().unwrap();
    let url = line_with(&mut child, "https://").unwrap();
    browse(&fake, url.trim());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert_eq!(plugin.files("session-"), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_login_by_device_code_waits_for_the_user() {
    let fake = Fake::start();
    fake.state().has_provider = true;
    fake.state().pending = 1;
    let plugin = Plugin::new(&fake);
    let output = plugin.login(&["--device-code"]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, ""),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains("    WDJB-MJHT\n"),
        "{}",
        output.stderr
    );
    let end = format!(
        " as alice, trusting the CA in {}.\n",
        fake.authority_file().display()
    );
    assert!(output.stderr.ends_with(&end), "{}", output.stderr);
    assert_eq!(plugin.token(), "t0ken-1");
}

#[test]
fn a_login_that_the_server_does_not_accept_is_not_kept() {
    let fake = Fake::start();
    let plugin = Plugin::new(&fake);
    let file = fake.folder().join("token");
    std::fs::write(&file, "wr0ng").unwrap();
    let output = plugin.login(&[&format!("--token-file={}", file.display())]);
    let expected = "error: the server rejected this login: Unauthorized\n";
    assert_eq!((output.code, output.stderr.as_str()), (1, expected));
    assert_eq!(plugin.files("session-"), Vec::<std::path::PathBuf>::new());

    let output = plugin.login(&[]);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("has no OpenID Connect provider"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_context_is_a_login_whose_credential_is_read_again() {
    let fake = Fake::start();
    let plugin = Plugin::new(&fake);
    fake.state().logins = vec!["f1rst".to_owned(), "sec0nd".to_owned()];
    let file = plugin.home().join(".kube/config");
    std::fs::create_dir(plugin.home().join(".kube")).unwrap();
    let write = |token: &str| {
        let cluster = json!({
            "server": fake.url(), "certificate-authority": fake.authority_file(),
        });
        let text = json!({
            "clusters": [{ "name": "a", "cluster": cluster }],
            "users": [{ "name": "alice", "user": { "token": token } }],
            "contexts": [{ "name": "b", "context": { "cluster": "a", "user": "alice" } }],
            "current-context": "b",
        });
        std::fs::write(&file, text.to_string()).unwrap();
    };
    write("f1rst");
    for flag in ["--from-context", "--from-context=b"] {
        let output = plugin.run(&["login", flag]);
        let expected = format!(
            "Logged in at {} as alice, trusting the CA in {}.\n",
            fake.url(),
            file.display()
        );
        assert_eq!((output.code, output.stderr), (0, expected));
    }
    assert_eq!(plugin.token(), "t0ken-1");

    // The credential of the first token has ended.
    fake.state().tokens.clear();
    plugin.change("credential-", |it| {
        it["expires"] = json!("2020-01-01T00:00:00Z");
    });
    fake.state().logins = vec!["sec0nd".to_owned()];
    let output = plugin.credential_output();
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    write("sec0nd");
    assert_eq!(plugin.token(), "t0ken-2");

    let flags = ["login", "--from-context", "--server=https://a.b"];
    let output = plugin.run(&flags);
    assert_eq!(output.code, 2, "{}", output.stderr);
}

#[test]
fn a_server_that_nobody_vouches_for_learns_nothing() {
    let (fake, other) = (Fake::start(), Fake::start());
    let plugin = Plugin::logged_in(&fake);
    // The session names another address, whose certificate is not from the CA of the login.
    plugin.change("session-", |session| {
        session["server"] = json!(other.url());
    });
    let session = plugin.files("session-").remove(0);
    let renamed = session.with_file_name("session-renamed");
    std::fs::rename(&session, renamed).unwrap();
    let server = format!("--server={}", other.url());
    let output = plugin.run(&[
        "credential",
        &server,
        "--kubeconfig=kubeconfig-abcde",
        "--cluster=c-1",
    ]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert_eq!(other.state().asked, Vec::<String>::new());
}

#[test]
fn logout_takes_back_what_the_login_got() {
    let fake = Fake::start();
    let plugin = Plugin::logged_in(&fake);
    assert_eq!(plugin.token(), "t0ken-1");
    let output = plugin.run(&["clean"]);
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert_eq!(fake.state().tokens, Vec::<String>::new());
    assert_eq!(plugin.token(), "t0ken-2");

    let output = plugin.run(&["logout", "--all"]);
    let expected = format!("Logged out alice from {}.\n", fake.url());
    assert_eq!((output.code, output.stderr), (0, expected));
    assert_eq!(fake.state().tokens, Vec::<String>::new());
    for prefix in ["session-", "credential-"] {
        assert_eq!(plugin.files(prefix), Vec::<std::path::PathBuf>::new());
    }
    assert_eq!(
        plugin.run(&["logout", "--all"]).stderr,
        "You are not logged in.\n"
    );
}

#[test]
fn logout_takes_back_the_newest_refresh_token() {
    let fake = Fake::start();
    fake.state().has_provider = true;
    fake.state().rotates = true;
    fake.state().refresh_token = Some("r3fresh".to_owned());
    let plugin = Plugin::new(&fake);
    assert_eq!(plugin.login(&["--device-code"]).code, 0);
    assert_eq!(plugin.token(), "t0ken-1");
    plugin.expire_id_token();
    let server = format!("--server={}", fake.url());
    assert_eq!(plugin.run(&["logout", &server]).code, 0);
    assert_eq!(fake.state().tokens, Vec::<String>::new());
    assert_eq!(fake.state().revoked.as_deref(), Some("r3fresh++"));
}

/// Returns the login document of a server that offers these providers. All are the fake, but only
/// that of `staff` exists.
fn providers(fake: &Fake, secret: &str) -> serde_json::Value {
    let provider = |name: &str, issuer: &str| {
        json!({
            "name": name,
            "displayName": name.to_uppercase(),
            "issuer": format!("{}/{issuer}", fake.url()),
            "clientID": "kubectl",
            "scopes": ["openid"],
            "certificateAuthorityData": fake.authority_data(),
            "clientSecret": secret,
        })
    };
    let (staff, partners) = (provider("staff", "idp"), provider("partners", "other"));
    json!({ "server": fake.url(), "oidc": partners, "providers": [partners, staff] })
}

#[test]
fn one_of_several_providers_is_selected() {
    let fake = Fake::start();
    fake.state().login_document = Some(providers(&fake, ""));
    let plugin = Plugin::new(&fake);
    let expected = "error: the server has several providers; select one with --provider=NAME: \
                    partners (PARTNERS), staff (STAFF)\n";
    let output = plugin.login(&["--device-code"]);
    assert_eq!((output.code, output.stderr.as_str()), (1, expected));
    let expected =
        "error: no provider is named \"x\"; use one of: partners (PARTNERS), staff (STAFF)\n";
    let output = plugin.login(&["--device-code", "--provider=x"]);
    assert_eq!((output.code, output.stderr.as_str()), (1, expected));
    let output = plugin.login(&["--device-code", "--provider=staff"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(plugin.token(), "t0ken-1");
    // The next login is with the same provider.
    let output = plugin.login(&["--device-code"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    let output = plugin.login(&["--provider=staff", "--token-file=x"]);
    assert_eq!(output.code, 2, "{}", output.stderr);
}

#[test]
fn a_client_with_a_secret_authenticates_as_the_provider_supports_it() {
    for (method, secret, sent) in [
        ("client_secret_basic", "s3cret", "s3cret"),
        ("client_secret_basic", "s3 &ret:", "s3+%26ret%3A"),
        ("client_secret_post", "s3 &ret:", "s3 &ret:"),
    ] {
        let fake = Fake::start();
        fake.state().client_auth = Some(ClientAuth {
            method,
            secret: sent,
        });
        fake.state().refresh_token = Some("r3fresh".to_owned());
        let plugin = Plugin::new(&fake);
        let file = fake.folder().join("secret");
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        let from_file = format!("--client-secret-file={}", file.display());
        let staff = ["--device-code", "--provider=staff"];

        // The secret of the document, and the file in place of a wrong one.
        fake.state().login_document = Some(providers(&fake, secret));
        assert_eq!(plugin.login(&staff).code, 0);
        fake.state().login_document = Some(providers(&fake, "wr0ng"));
        let output = plugin.login(&staff);
        let expected = "error: the provider rejected the login: invalid_client\n";
        assert_eq!((output.code, output.stderr.as_str()), (1, expected));
        assert_eq!(plugin.login(&[&staff[..], &[&from_file]].concat()).code, 0);

        // The refresh and the end of the login authenticate, too. The file is read again.
        plugin.change("session-", |it| {
            assert_eq!(it["means"]["provider"]["clientSecret"]["kind"], "file");
        });
        plugin.expire_id_token();
        assert_eq!(plugin.token(), "t0ken-1");
        assert_eq!(fake.asked(REFRESH), 3, "two logins and a refresh");
        let output = plugin.run(&["logout", "--all"]);
        assert_eq!(fake.state().revoked.as_deref(), Some("r3fresh"));
        let expected = format!("Logged out alice from {}.\n", fake.url());
        assert_eq!(output.stderr, expected);
        std::fs::remove_file(&file).unwrap();
        let output = plugin.login(&[&staff[..], &[&from_file]].concat());
        let expected = format!("error: cannot read {}: No such file", file.display());
        assert!(output.stderr.starts_with(&expected), "{}", output.stderr);
    }
}

#[test]
fn an_error_in_a_successful_answer_is_an_error() {
    let fake = Fake::start();
    fake.state().has_provider = true;
    fake.state().answers_200 = true;
    fake.state().pending = 1;
    fake.state().refresh_token = Some("r3fresh".to_owned());
    let plugin = Plugin::new(&fake);
    assert_eq!(plugin.login(&["--device-code"]).code, 0);
    plugin.expire_id_token();
    fake.state().refresh_token = Some("other".to_owned());
    let output = plugin.credential_output();
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(
        output.stderr.contains("kubectl kubeconfig login --server="),
        "{}",
        output.stderr
    );
}

#[test]
fn a_refreshed_id_token_is_that_of_the_same_user() {
    let fake = Fake::start();
    fake.state().has_provider = true;
    fake.state().refresh_token = Some("r3fresh".to_owned());
    fake.state().subject = "alice";
    let plugin = Plugin::new(&fake);
    assert_eq!(plugin.login(&["--device-code"]).code, 0);
    plugin.expire_id_token();
    fake.state().subject = "bob";
    let output = plugin.credential_output();
    let expected = "error: the provider returned an ID token of another user\n";
    assert_eq!((output.code, output.stderr.as_str()), (1, expected));
    fake.state().subject = "alice";
    assert_eq!(plugin.token(), "t0ken-1");
}

#[test]
fn no_browser_is_sent_to_an_address_without_tls() {
    let fake = Fake::start();
    fake.state().has_provider = true;
    fake.state().authorization_endpoint = Some("http://idp.example/authorize");
    let plugin = Plugin::new(&fake);
    let output = plugin.login(&["--no-browser"]);
    let expected = "error: http://idp.example/authorize is not an https URL\n";
    assert_eq!((output.code, output.stderr.as_str()), (1, expected));
}

#[test]
fn only_a_short_regular_file_is_a_client_secret() {
    let fake = Fake::start();
    fake.state().has_provider = true;
    let plugin = Plugin::new(&fake);
    let long = fake.folder().join("secret");
    std::fs::write(&long, "s".repeat(4097)).unwrap();
    for path in ["/dev/zero", long.to_str().unwrap()] {
        let from_file = format!("--client-secret-file={path}");
        let output = plugin.login(&["--device-code", &from_file]);
        let expected = format!("error: {path} is not a file of at most 4 KiB\n");
        assert_eq!((output.code, output.stderr), (1, expected));
    }
    assert_eq!(fake.asked("POST /device"), 0);
}
