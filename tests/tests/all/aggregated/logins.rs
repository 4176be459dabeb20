//! Users of a provider at the gateway of a server behind a host: with their login, files without
//! tokens work through the plugin.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use e2e::{Host, Kubectl, OidcProvider};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::record;

/// Leaves no records. The host must have no records before.
#[track_caller]
pub(super) fn open_files_without_tokens(host: &Host, provider: &OidcProvider) {
    let created = record::create(
        &host.client("alice").unwrap(),
        json!({ "generateToken": false }),
    );
    let (name, folder) = (record::name(&created), TempDir::new().unwrap());
    let [file, token, ca] = ["file", "token", "ca.crt"].map(|name| folder.path().join(name));
    let text = created["status"]["value"].as_str().unwrap();
    fs::write(&file, text).unwrap();
    let parsed: Value = serde_saphyr::from_str(text).unwrap();
    let data = &parsed["clusters"][0]["cluster"]["certificate-authority-data"];
    fs::write(&ca, STANDARD.decode(data.as_str().unwrap()).unwrap()).unwrap();
    fs::write(&token, provider.id_token("alice").unwrap()).unwrap();
    let alice = Kubectl::new(&file, folder.path()).unwrap();
    let alice = alice.with_plugin().unwrap();

    let url = host.gateway_url();
    let (server, token, authority) = (
        format!("--server={url}"),
        format!("--token-file={}", token.display()),
        format!("--certificate-authority={}", ca.display()),
    );
    let said = alice
        .run(&["kubeconfig", "login", &server, &token, &authority])
        .unwrap();
    let expected = format!(
        "Logged in at {url} as alice, trusting the CA in {}.\n",
        ca.display()
    );
    assert_eq!((said.code, said.stderr), (0, expected));
    let who = ["auth", "whoami", "-o=jsonpath={.status.userInfo.username}"];
    assert_eq!(alice.output(&who).unwrap(), "alice");
    let record = format!("kubeconfig.ext.cattle.io/{name}\n");
    for list in [
        ["get", "kubeconfigs", "--output=name"],
        ["kubeconfig", "list", "--output=name"],
    ] {
        assert_eq!(alice.output(&list).unwrap(), record);
    }
    alice.output(&["kubeconfig", "delete", &name]).unwrap();
    assert_eq!(alice.run(&["get", "kubeconfigs"]).unwrap().code, 1);
}
