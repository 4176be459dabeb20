//! What kubectl reads from a file that the plugin has written: names that YAML has a word for, and none
//! that anybody had before.

use std::fs;

use e2e::Kubectl;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What could end a text, a line or a document, be taken for another type, or turn the reading around.
const NAMES: [&str; 14] = [
    "\"",
    "'",
    "a\nusers: []",
    "a: b",
    "a # b",
    "&a *a",
    "!!binary x",
    "---",
    "- a",
    "null",
    "0x1f",
    "a\u{85}b\u{2028}c",
    "a\u{202e}b",
    "{{.}} ${HOME} $(id)",
];

/// A file with these names for everything, as kubectl shows it.
fn file() -> Value {
    let each =
        |make: &dyn Fn(&str) -> Value| NAMES.iter().map(|name| make(name)).collect::<Value>();
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": each(&|name| json!({ "name": name, "cluster": { "server": "https://a.b" } })),
        "contexts": each(&|name| json!({ "name": name, "context": { "cluster": name, "user": name } })),
        "current-context": NAMES[0],
        "users": each(&|name| json!({ "name": name, "user": { "token": name } })),
    })
}

#[test]
fn kubectl_reads_what_was_merged_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let (incoming, merged) = (folder.path().join("incoming"), folder.path().join("merged"));
    fs::write(&incoming, file().to_string()).unwrap();
    let kubectl = Kubectl::new(&merged, folder.path()).unwrap();
    // Some of the names are not what they look like, which is asked about.
    let merge = ["kubeconfig", "merge", "--use-context", "--allow-exec"];
    let merge = [&merge[..], &[incoming.to_str().unwrap()]].concat();
    kubectl.with_plugin().unwrap().output(&merge).unwrap();
    let read = ["config", "view", "--raw", "--output=json"];
    let read: Value = serde_json::from_str(&kubectl.output(&read).unwrap()).unwrap();
    let sorted = |mut file: Value| {
        for list in ["clusters", "contexts", "users"] {
            let entries = file[list].as_array_mut().unwrap();
            entries.sort_by_key(|entry| entry["name"].as_str().unwrap().to_owned());
        }
        file
    };
    assert_eq!(sorted(read), sorted(file()));
}
