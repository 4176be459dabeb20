use serde_json::json;

use crate::fake::Fake;
use crate::plugin::{Plugin, finish, token};
use crate::proxy::Proxy;

const EXCHANGE: &str = "POST /apis/ext.cattle.io/v1/tokens";

#[test]
fn the_proxy_of_the_file_leads_to_the_server() {
    let (fake, proxy) = (Fake::start(), Proxy::start());
    let plugin = Plugin::logged_in(&fake);
    let mut info = plugin.exec_info("v1", false);
    info["spec"]["cluster"]["proxy-url"] = json!(proxy.url());
    let output = finish(plugin.credential_for(&info).spawn().unwrap());
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(token(&output), "t0ken-1");
    let host = fake.url().replace("https://", "");
    assert_eq!(proxy.asked(), [format!("CONNECT {host} HTTP/1.1")]);
}

#[test]
fn the_proxy_of_the_environment_leads_to_the_server() {
    let (fake, proxy) = (Fake::start(), Proxy::start());
    let plugin = Plugin::logged_in(&fake);
    let mut command = plugin.credential("v1");
    let output = finish(command.env("HTTPS_PROXY", proxy.url()).spawn().unwrap());
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(proxy.asked().len(), 1);
}

#[test]
fn nobody_is_trusted_without_proof_because_the_file_says_so() {
    let (fake, other) = (Fake::start(), Fake::start());
    let plugin = Plugin::logged_in(&fake);
    plugin.change("session-", |session| {
        session["trust"]["pem"] = json!(other.authority())
    });
    let mut info = plugin.exec_info("v1", false);
    info["spec"]["cluster"]["insecure-skip-tls-verify"] = json!(true);
    let output = finish(plugin.credential_for(&info).spawn().unwrap());
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert_eq!(fake.asked(EXCHANGE), 0);
}
