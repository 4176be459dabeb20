//! The programs, files and unverified connections that a kubeconfig file makes kubectl use.

use std::path::Path;

use anyhow::{Result, ensure};
use machinery::invisible::is_invisible;
use serde_json::Value;

use super::issued::is_ours;
use super::{Document, Section};

/// Returns whether a field of an entry contains only data.
fn is_data(section: Section, field: &str) -> bool {
    let known: &[&str] = match section {
        Section::Clusters => &[
            "certificate-authority-data",
            "tls-server-name",
            "disable-compression",
            "extensions",
        ],
        Section::Users => &[
            "token",
            "username",
            "password",
            "client-certificate-data",
            "client-key-data",
            "as",
            "as-uid",
            "as-groups",
            "as-user-extra",
            "extensions",
        ],
        Section::Contexts => &["cluster", "user", "extensions"],
    };
    known.contains(&field)
}

/// Fields that name a local file.
pub(super) const PATHS: [&str; 4] = [
    "certificate-authority",
    "client-certificate",
    "client-key",
    "tokenFile",
];

/// Returns the hazards of a file, each in one line. A file that the server wrote has none.
pub(crate) fn hazards(document: &Document) -> Vec<String> {
    let mut hazards = Vec::new();
    for section in Section::ALL {
        for name in document.names(section) {
            let fields = document.get(section, name).and_then(Value::as_object);
            let of = format!("{} {name:?}", section.field());
            if is_deceptive(name) {
                hazards.push(format!("{of} has a name with invisible characters"));
            }
            for (field, value) in fields.into_iter().flatten() {
                if !is_data(section, field) && !is_harmless(field, value) {
                    hazards.push(hazard(&of, field, value));
                }
            }
        }
    }
    hazards
}

fn is_harmless(field: &str, value: &Value) -> bool {
    match field {
        "exec" => value.is_null() || is_ours(value),
        "insecure-skip-tls-verify" => *value == false,
        // Without a scheme, client-go may connect without TLS.
        "server" => value.as_str().is_none_or(is_https),
        "namespace" => value.as_str().is_some_and(|it| !is_deceptive(it)),
        _ => value.is_null() || *value == "",
    }
}

fn is_https(url: &str) -> bool {
    let scheme = url.get(..8).unwrap_or_default();
    url.is_empty() || scheme.eq_ignore_ascii_case("https://")
}

/// Returns whether a text has characters that a terminal does not show.
fn is_deceptive(text: &str) -> bool {
    text.contains(is_invisible)
}

fn hazard(of: &str, field: &str, value: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    match field {
        "exec" => {
            let args = value["args"].as_array().map(Vec::as_slice);
            let args: Vec<String> = args.unwrap_or_default().iter().map(text).collect();
            let env = value["env"].as_array().map_or(0, Vec::len);
            let with = match env {
                0 => String::new(),
                _ => " with environment variables of the file".to_owned(),
            };
            format!("{of} runs {:?} {args:?}{with}", text(&value["command"]))
        }
        "auth-provider" => format!("{of} uses the auth provider {:?}", text(&value["name"])),
        "proxy-url" => format!("{of} is reached through the proxy {:?}", text(value)),
        "insecure-skip-tls-verify" => format!("{of} is not verified"),
        "server" => format!("{of} is reached without TLS at {:?}", text(value)),
        "namespace" => format!("{of} has the namespace {:?}", text(value)),
        _ if PATHS.contains(&field) => format!("{of} reads the file {:?}", text(value)),
        _ => format!("{of} has the unknown field {field:?}"),
    }
}

/// Makes the local paths of a file absolute. They are relative to its folder. `None` for a file
/// without a folder.
///
/// # Errors
/// Fails if a path is relative and there is no folder.
pub(crate) fn resolve_paths(document: &mut Document, folder: Option<&Path>) -> Result<()> {
    for section in [Section::Clusters, Section::Users] {
        for content in document.contents_mut(section) {
            for field in PATHS {
                resolve(content.get_mut(field), folder)?;
            }
            let command = content.get_mut("exec").and_then(|it| it.get_mut("command"));
            // A command without a slash is looked up in PATH.
            let command = command.filter(|it| it.as_str().is_some_and(|it| it.contains('/')));
            resolve(command, folder)?;
        }
    }
    Ok(())
}

fn resolve(field: Option<&mut Value>, folder: Option<&Path>) -> Result<()> {
    let Some(Value::String(path)) = field else {
        return Ok(());
    };
    if path.is_empty() || Path::new(&path).is_absolute() {
        return Ok(());
    }
    let resolved = folder.map(|folder| folder.join(&path));
    let resolved = resolved.as_deref().and_then(Path::to_str);
    ensure!(
        resolved.is_some(),
        "{path:?} is relative to the folder of the file, which is not known"
    );
    *path = resolved.unwrap_or_default().to_owned();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(cluster: &str, user: &str) -> Document {
        let text = format!(
            "clusters:\n- name: c\n  cluster: {cluster}\nusers:\n- name: u\n  user: {user}\ncontexts:\n- name: x\n  context: {{cluster: c, user: u}}\n"
        );
        Document::parse(&text).unwrap()
    }

    #[track_caller]
    fn check(cluster: &str, user: &str, expected: &[&str]) {
        assert_eq!(hazards(&document(cluster, user)), expected);
    }

    #[test]
    fn what_kubectl_would_run_or_read_is_named() {
        check("{server: https://a.b}", "{token: x, as: y}", &[]);
        check(
            "{server: https://a.b, certificate-authority: ca.crt, insecure-skip-tls-verify: true, proxy-url: 'http://p'}",
            "{exec: {command: /bin/sh, args: [-c, 'touch x'], env: [{name: A, value: b}]}}",
            &[
                "cluster \"c\" reads the file \"ca.crt\"",
                "cluster \"c\" is not verified",
                "cluster \"c\" is reached through the proxy \"http://p\"",
                "user \"u\" runs \"/bin/sh\" [\"-c\", \"touch x\"] with environment variables of the file",
            ],
        );
        check(
            "{}",
            "{auth-provider: {name: gcp}, client-certificate: c, client-key: k, tokenFile: t, Exec: {command: x}}",
            &[
                "user \"u\" has the unknown field \"Exec\"",
                "user \"u\" uses the auth provider \"gcp\"",
                "user \"u\" reads the file \"c\"",
                "user \"u\" reads the file \"k\"",
                "user \"u\" reads the file \"t\"",
            ],
        );
        check("{insecure-skip-tls-verify: false}", "{tokenFile: ''}", &[]);
        check("{server: HTTPS://a.b}", "{}", &[]);
        for server in ["http://a.b", "a.b:6443", "//a.b"] {
            let expected = format!("cluster \"c\" is reached without TLS at {server:?}");
            check(&format!("{{server: '{server}'}}"), "{}", &[&expected]);
        }
    }

    #[test]
    fn texts_that_look_like_others_are_named() {
        let text = "contexts: [{name: \"a\\e[2J\", context: {namespace: \"a\\nb\"}}, {name: \"b\\u202E\", context: {}}, {name: \"c\\u2028\", context: {}}, {name: ö, context: {namespace: ö}}]";
        let expected = [
            "context \"a\\u{1b}[2J\" has a name with invisible characters",
            "context \"a\\u{1b}[2J\" has the namespace \"a\\nb\"",
            "context \"b\\u{202e}\" has a name with invisible characters",
            "context \"c\\u{2028}\" has a name with invisible characters",
        ];
        assert_eq!(hazards(&Document::parse(text).unwrap()), expected);
    }

    #[test]
    fn paths_are_those_of_the_file() {
        let mut document = document(
            "{certificate-authority: ca.crt}",
            "{client-key: /abs/key, tokenFile: sub/t, exec: {command: ./plug}}",
        );
        resolve_paths(&mut document, Some(Path::new("/from"))).unwrap();
        let user = document.get(Section::Users, "u").unwrap();
        let cluster = document.get(Section::Clusters, "c").unwrap();
        assert_eq!(cluster["certificate-authority"], "/from/ca.crt");
        assert_eq!(user["client-key"], "/abs/key");
        assert_eq!(user["tokenFile"], "/from/sub/t");
        assert_eq!(user["exec"]["command"], "/from/./plug");
        // No relative path is left after the first call.
        resolve_paths(&mut document, None).unwrap();
        let mut bare = super::tests::document("{}", "{exec: {command: plug}}");
        resolve_paths(&mut bare, None).unwrap();
        let mut relative = super::tests::document("{}", "{tokenFile: t}");
        assert!(resolve_paths(&mut relative, None).is_err());
    }
}
