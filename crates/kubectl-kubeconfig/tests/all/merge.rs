//! Files from other sources, merged into those of the user.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::fake::Fake;
use crate::plugin::{Output, Plugin, finish};

fn file(cluster: &str, user: &str) -> String {
    format!(
        "clusters:\n- name: c\n  cluster: {cluster}\nusers:\n- name: u\n  user: {user}\ncontexts:\n- name: x\n  context: {{cluster: c, user: u}}\ncurrent-context: x\n"
    )
}

/// Merges a file of this content with these flags.
fn merge(plugin: &Plugin<'_>, text: &str, flags: &[&str]) -> Output {
    let path = plugin.home().join("in/coming");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    plugin.run(&[&["merge", path.to_str().unwrap()], flags].concat())
}

#[test]
fn a_file_that_has_kubectl_run_something_is_merged_only_with_consent() {
    let fake = Fake::start();
    let plugin = Plugin::new(&fake);
    let config = plugin.home().join(".kube/config");
    let incoming = plugin.home().join("in/coming");
    let hostile = file(
        "{server: 'https://a.b', certificate-authority: ca.crt}",
        "{exec: {command: ./plug, args: [a]}, tokenFile: /etc/passwd}",
    );
    let output = merge(&plugin, &hostile, &[]);
    let folder = plugin.home().join("in");
    let named = format!(
        "With {file}, kubectl would do the following:\n    cluster \"c\" reads the file \"{folder}/ca.crt\"\n    user \"u\" runs \"{folder}/./plug\" [\"a\"]\n    user \"u\" reads the file \"/etc/passwd\"\n",
        file = incoming.display(),
        folder = folder.display()
    );
    let refused = format!(
        "error: {} was not merged; if you trust it, add --allow-exec\n",
        incoming.display()
    );
    assert_eq!(
        (output.code, output.stderr),
        (1, format!("{named}{refused}"))
    );
    assert!(!config.exists());

    let output = merge(&plugin, &hostile, &["--allow-exec"]);
    let merged = format!("Merged into {}: x.\n", config.display());
    assert_eq!(
        (output.code, output.stderr),
        (0, format!("{named}{merged}"))
    );
    let text = fs::read_to_string(&config).unwrap();
    for path in ["in/ca.crt", "in/./plug"] {
        let path = plugin.home().join(path);
        assert!(text.contains(path.to_str().unwrap()), "{text}");
    }
    assert!(!text.contains("current-context"), "{text}");

    // A file without hazards needs no consent, and its current context becomes current on request.
    let harmless = file("{server: 'https://a.b'}", "{token: t}");
    let output = merge(&plugin, &harmless, &["--use-context"]);
    assert_eq!(output.code, 0, "{}", output.stderr);
    assert!(
        output.stderr.contains("The current context is x-2.\n"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_file_without_contexts_is_rejected() {
    let fake = Fake::start();
    let plugin = Plugin::new(&fake);
    let incoming = plugin.home().join("in/coming");
    for text in ["", "a: b\n", "clusters: []\ncontexts: []\n"] {
        let output = merge(&plugin, text, &[]);
        let expected = format!(
            "error: {}: the file has no contexts: there is nothing to merge\n",
            incoming.display()
        );
        assert_eq!((output.code, output.stderr), (1, expected), "{text:?}");
    }
    assert!(!plugin.home().join(".kube/config").exists());
}

#[test]
fn a_context_of_a_file_does_not_take_the_user_of_another() {
    let fake = Fake::start();
    let plugin = Plugin::new(&fake);
    let own = file("{server: 'https://a.b'}", "{token: s3cret}");
    assert_eq!(merge(&plugin, &own, &[]).code, 0);
    let hostile = "clusters:\n- {name: evil, cluster: {server: 'https://evil'}}\ncontexts:\n- {name: hostile, context: {cluster: evil, user: u}}\n";
    let output = merge(&plugin, hostile, &["--allow-exec"]);
    assert_eq!(output.code, 1);
    let why = "context \"hostile\" names user \"u\", which is not in the file\n";
    assert!(output.stderr.ends_with(why), "{}", output.stderr);
}

#[test]
fn what_is_not_a_file_is_not_waited_for() {
    let fake = Fake::start();
    let plugin = Plugin::new(&fake);
    let pipe = plugin.home().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let output = plugin.run(&["merge", pipe.to_str().unwrap()]);
    let why = format!(
        "error: {path}: {path} is not a regular file; use - for stdin\n",
        path = pipe.display()
    );
    assert_eq!((output.code, output.stderr), (1, why));

    let mut command = plugin.command(&["merge", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let text = file(
        "{server: 'https://a.b'}",
        "{client-key: k, client-certificate: c}",
    );
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = finish(child);
    assert_eq!(output.code, 1);
    let why = "is relative to the folder of the file, which is not known\n";
    assert!(output.stderr.ends_with(why), "{}", output.stderr);
}
