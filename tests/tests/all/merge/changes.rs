//! Changes of a file of the server. Each makes kubectl run a program, read a file or trust another
//! server.

use serde_json::{Value, json};

/// A change of one field.
pub(super) struct Change {
    /// A JSON pointer (RFC 6901), of which only the last segment may be new.
    pointer: &'static str,
    value: Value,
    /// The plugin's reason for rejecting the change in an answer of a server.
    pub(super) refusal: String,
    /// The text with which the plugin asks for consent to merge the change.
    pub(super) hazard: String,
}

impl Change {
    fn at(pointer: &'static str, value: Value) -> Self {
        Self {
            pointer,
            value,
            refusal: String::new(),
            hazard: String::new(),
        }
    }

    fn refused(self, why: impl Into<String>) -> Self {
        Self {
            refusal: why.into(),
            ..self
        }
    }

    fn hazardous(self, what: impl Into<String>) -> Self {
        Self {
            hazard: what.into(),
            ..self
        }
    }

    #[track_caller]
    pub(super) fn make(&self, file: &mut Value) {
        let (parent, field) = self.pointer.rsplit_once('/').unwrap();
        file.pointer_mut(parent).unwrap()[field] = self.value.clone();
    }
}

/// Returns a change that makes kubectl run this program with the arguments that the server writes.
pub(super) fn program(program: &str, args: &[String]) -> Change {
    Change::at("/users/0/user/exec/command", json!(program))
        .refused(format!(
            "user \"prod\": it runs {program:?} {args:?}, which the server never generates"
        ))
        .hazardous(format!("user \"prod\" runs {program:?} {args:?}"))
}

/// Returns other changes.
pub(super) fn others(args: &[String]) -> [Change; 10] {
    let plugin = "kubectl-kubeconfig";
    let thief = "http://thief.example";
    let of_exec =
        "`apiVersion`, `command`, `args`, `installHint`, `interactiveMode`, `provideClusterInfo`";
    let of_cluster = "`server`, `certificate-authority-data`, `extensions`";
    let of_user = "`token` or `exec`";
    let unknown = |field: &str, known: &str| {
        format!("the kubeconfig: unknown field `{field}`, expected {known}")
    };
    [
        Change::at("/users/0/user/exec/args", json!(["logout", "--all"]))
            .refused(format!(
                "user \"prod\": it runs {plugin:?} [\"logout\", \"--all\"], which the server never generates"
            ))
            .hazardous(format!(
                "user \"prod\" runs {plugin:?} [\"logout\", \"--all\"]"
            )),
        Change::at(
            "/users/0/user/exec/env",
            json!([{ "name": "LD_PRELOAD", "value": "/evil.so" }]),
        )
        .refused(unknown("env", &format!("one of {of_exec}")))
        .hazardous(format!(
            "user \"prod\" runs {plugin:?} {args:?} with environment variables of the file"
        )),
        Change::at("/users/0/user/exec/provideClusterInfo", json!(false))
            .refused(format!(
                "user \"prod\": it runs {plugin:?} {args:?}, which the server never generates"
            ))
            .hazardous(format!("user \"prod\" runs {plugin:?} {args:?}")),
        Change::at("/users/0/user", json!({ "tokenFile": "/etc/hostname" }))
            .refused(unknown("tokenFile", of_user))
            .hazardous("user \"prod\" reads the file \"/etc/hostname\""),
        Change::at("/users/0/user/auth-provider", json!({ "name": "oidc" }))
            .refused(unknown("auth-provider", of_user))
            .hazardous("user \"prod\" uses the auth provider \"oidc\""),
        Change::at("/clusters/0/cluster/server", json!(thief))
            .refused(format!(
                "cluster \"prod\": {thief:?} is not an https URL of a cluster"
            ))
            .hazardous(format!(
                "cluster \"prod\" is reached without TLS at {thief:?}"
            )),
        Change::at(
            "/clusters/0/cluster/insecure-skip-tls-verify",
            json!(true),
        )
        .refused(unknown(
            "insecure-skip-tls-verify",
            &format!("one of {of_cluster}"),
        ))
        .hazardous("cluster \"prod\" is not verified"),
        Change::at("/clusters/0/cluster/proxy-url", json!(thief))
            .refused(unknown("proxy-url", &format!("one of {of_cluster}")))
            .hazardous(format!(
                "cluster \"prod\" is reached through the proxy {thief:?}"
            )),
        Change::at(
            "/clusters/0/cluster/certificate-authority",
            json!("/etc/hostname"),
        )
        .refused(unknown(
            "certificate-authority",
            &format!("one of {of_cluster}"),
        ))
        .hazardous("cluster \"prod\" reads the file \"/etc/hostname\""),
        Change::at("/contexts/0/context/namespace", json!("a\u{202e}b"))
            .refused("context \"prod\": an invalid namespace")
            .hazardous("context \"prod\" has the namespace \"a\\u{202e}b\""),
    ]
}
