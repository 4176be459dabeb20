//! Any text in any field is written so that a YAML parser reads the same text.

use api::plugin::{EXEC_EXTENSION, ExecClusterConfig, INSTALL_HINT};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

use super::*;
use crate::file::document::write;
use crate::file::entries::{Credential, Entries, Target, User};
use crate::file::exec::{COMMAND, Exec};

/// Texts that have a meaning in YAML or end a line in one of its versions.
const SPECIAL: &[&str] = &[
    "\"",
    "'",
    "\\",
    "\\u0041",
    "\n",
    "\r\n",
    "\t",
    " ",
    "  ",
    ": ",
    " #",
    "- ",
    "---",
    "\n---\n",
    "\n...\n",
    "%YAML 1.1\n",
    "!!str",
    "&a",
    "*a",
    "|",
    "null",
    "\0",
    "\u{1b}",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{d7ff}",
    "\u{e000}",
    "\u{fffd}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{10000}",
    "\u{10ffff}",
];

fn text() -> impl Strategy<Value = String> {
    let piece = || {
        prop_oneof![
            select(SPECIAL).prop_map(str::to_owned),
            any::<char>().prop_map(String::from),
            "[ -~]{0,8}",
        ]
    };
    let long = (piece(), 1_000_usize..10_000).prop_map(|(piece, times)| piece.repeat(times));
    let short = vec(piece(), 0..8).prop_map(|pieces| pieces.concat());
    prop_oneof![50 => short, 1 => long]
}

/// Arbitrary texts, in the order in which a file takes them.
struct Texts(std::vec::IntoIter<String>);

impl Texts {
    fn next(&mut self) -> String {
        self.0.next().unwrap()
    }

    fn target(&mut self, exec: Option<ExecClusterConfig>) -> Target {
        Target {
            name: self.next(),
            server: self.next(),
            ca_data: self.next(),
            user: self.next(),
            exec,
        }
    }

    fn extension(&mut self) -> ExecClusterConfig {
        ExecClusterConfig {
            server: self.next(),
            certificate_authority_data: self.next(),
            kubeconfig: self.next(),
            cluster: self.next(),
            audience: self.next(),
            oidc: Some(OidcLogin {
                issuer: self.next(),
                client_id: self.next(),
                scopes: vec![self.next(), self.next()],
                certificate_authority_data: self.next(),
                unbound: false,
            }),
        }
    }
}

/// Returns the value that a parser must read from a file with these entries.
fn value_of(entries: &Entries<'_>) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": entries.targets.iter().map(cluster).collect::<Vec<_>>(),
        "users": entries.users.iter().map(user).collect::<Vec<_>>(),
        "contexts": entries.targets.iter()
            .map(|target| context(target, entries.namespace))
            .collect::<Vec<_>>(),
        "current-context": entries.current_context,
    })
}

fn cluster(target: &Target) -> Value {
    let mut cluster = json!({ "server": target.server });
    if !target.ca_data.is_empty() {
        cluster["certificate-authority-data"] = json!(target.ca_data);
    }
    if let Some(extension) = &target.exec {
        cluster["extensions"] = json!([{ "name": EXEC_EXTENSION, "extension": extension }]);
    }
    json!({ "name": target.name, "cluster": cluster })
}

fn user(user: &User<'_>) -> Value {
    let credential = match &user.credential {
        Credential::Token(token) => json!({ "token": token.expose() }),
        Credential::Exec(exec) => json!({ "exec": {
            "apiVersion": exec.api_version,
            "command": COMMAND,
            "args": exec.args,
            "installHint": INSTALL_HINT,
            "interactiveMode": "IfAvailable",
            "provideClusterInfo": true,
        }}),
    };
    json!({ "name": user.name, "user": credential })
}

fn context(target: &Target, namespace: &str) -> Value {
    let mut context = json!({ "cluster": target.name, "user": target.user });
    if !namespace.is_empty() {
        context["namespace"] = json!(namespace);
    }
    json!({ "name": target.name, "context": context })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_text_in_any_field_comes_back_as_it_went_in(texts in vec(text(), 25)) {
        let mut texts = Texts(texts.into_iter());
        let extension = texts.extension();
        let targets = vec![texts.target(None), texts.target(Some(extension))];
        let token = Bearer::new(texts.next());
        let exec = Exec {
            api_version: "client.authentication.k8s.io/v1",
            args: vec![texts.next()],
        };
        let credentials = [Credential::Token(&token), Credential::Exec(exec)];
        let users = credentials.into_iter();
        let users = users.map(|credential| User { name: texts.next(), credential });
        let users = users.collect();
        let (namespace, record) = (texts.next(), texts.next());
        let entries = Entries {
            targets,
            users,
            namespace: &namespace,
            current_context: texts.next(),
        };
        let record = Record { name: &record, created: None, ttl_secs: 1 };
        let file = write(&record, &entries);
        proptest::prop_assert_eq!(parsed(file.expose()), value_of(&entries));
    }
}
