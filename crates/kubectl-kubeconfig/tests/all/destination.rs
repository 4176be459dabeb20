//! The addresses to which a credential may be sent.

use serde_json::{Value, json};

use crate::fake::Fake;
use crate::plugin::{Output, Plugin, finish, token};

fn ask(plugin: &Plugin<'_>, change: impl Fn(&mut Value)) -> Output {
    let mut info = plugin.exec_info("v1", false);
    change(&mut info["spec"]);
    finish(plugin.credential_for(&info).spawn().unwrap())
}

#[track_caller]
fn check_refused(output: &Output, why: &str) {
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    assert!(output.stderr.contains(why), "{}", output.stderr);
}

#[test]
fn a_hostile_file_gets_no_credential_for_its_own_server() {
    let (fake, evil) = (Fake::start(), Fake::start());
    let plugin = Plugin::logged_in(&fake);
    let other = "it is not an address that the server publishes for this cluster";
    for server in [
        evil.url(),
        format!("{}/k8s/clusters/c-1", evil.url()),
        format!("{}/k8s/clusters/c-2", fake.url()),
        fake.url(),
    ] {
        let output = ask(&plugin, |spec| {
            spec["cluster"]["server"] = json!(server);
            spec["cluster"]["certificate-authority-data"] = json!(evil.authority_data());
        });
        check_refused(&output, other);
    }
    let output = ask(&plugin, |spec| {
        spec["cluster"]["certificate-authority-data"] = json!(evil.authority_data());
    });
    check_refused(
        &output,
        "the kubeconfig has a CA for it that the server does not have",
    );
    let output = ask(&plugin, |spec| {
        spec["cluster"]["insecure-skip-tls-verify"] = json!(true);
    });
    check_refused(&output, "insecure-skip-tls-verify: true");
    let output = ask(&plugin, |spec| {
        spec["cluster"]["tls-server-name"] = json!("evil.example")
    });
    check_refused(
        &output,
        "tls-server-name: \"evil.example\", which is another server",
    );
    let output = ask(&plugin, |spec| spec["cluster"] = Value::Null);
    check_refused(
        &output,
        "the kubeconfig does not set provideClusterInfo: true",
    );
    assert_eq!(evil.state().asked, Vec::<String>::new());

    let output = ask(&plugin, |spec| {
        spec["cluster"]["certificate-authority-data"] = json!(fake.authority_data());
    });
    assert_eq!(output.code, 0, "{}", output.stderr);
}

#[test]
fn an_address_that_the_server_names_gets_the_credential() {
    let (fake, direct) = (Fake::start(), Fake::start());
    let plugin = Plugin::logged_in(&fake);
    let to_direct = |spec: &mut Value| {
        spec["cluster"]["server"] = json!(direct.url());
        spec["cluster"]["certificate-authority-data"] = json!(direct.authority_data());
    };
    let named = |server: &str| {
        json!({ "status": { "endpoints": [
            { "server": server, "certificateAuthorityData": direct.authority_data() },
        ]}})
    };
    fake.state().token_change = named("https://other.example");
    check_refused(
        &ask(&plugin, to_direct),
        "it is not an address that the server publishes",
    );
    // The cluster moves. The cached credential is replaced once its check is due.
    fake.state().token_change = named(&direct.url());
    plugin.change("credential-", |it| {
        it["checked"] = json!("2020-01-01T00:00:00Z")
    });
    let output = ask(&plugin, to_direct);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert_eq!(token(&output), "t0ken-2");
    assert_eq!(token(&ask(&plugin, to_direct)), "t0ken-2");
}

#[test]
fn a_file_chooses_no_other_name_for_the_certificate_of_the_server() {
    let fake = Fake::start();
    let plugin = Plugin::logged_in(&fake);
    let name = |spec: &mut Value| spec["cluster"]["tls-server-name"] = json!("127.0.0.1");
    assert_eq!(ask(&plugin, name).code, 0);
}
