//! A kubeconfig as the server writes it: the only form that `create` accepts.
//!
//! A kubeconfig can make kubectl run programs, read files and skip checks. A file of the server
//! needs only one program, which is this one. A file is therefore parsed into types that have no
//! field for anything else. The stored file is written from the parsed data rather than copied,
//! because another parser might read the original text differently.

use anyhow::{Context, Result, bail, ensure};
use api::management::cluster::LOCAL;
use api::plugin::{EXEC_EXTENSION, INSTALL_HINT};
use machinery::invisible::is_invisible;
use machinery::validation::dns1123_label;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Document, Section};
use crate::destination::is_plain_address;
use crate::exec_credential;
use crate::server_url::ServerUrl;

/// The program of this crate, looked up in PATH.
const COMMAND: &str = "kubectl-kubeconfig";

/// The maximum number of lines that are kept of a heading.
const HEADING_LINES: usize = 8;

/// A file that the server issued.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) document: Document,
    heading: String,
}

impl Issued {
    /// Parses the file of a record.
    ///
    /// # Errors
    /// Fails if the file has something that the server never writes.
    pub(crate) fn parse(text: &str, record: &str) -> Result<Self> {
        let mut document = Document::parse(text)?;
        ensure!(
            document.record() == Some(record),
            "the heading does not name the record {record}"
        );
        let config: Config = document.typed().context("the kubeconfig")?;
        config.check(record)?;
        set_install_hint(&mut document);
        Ok(Self {
            document,
            heading: heading(text),
        })
    }

    /// Returns the text of the file to store.
    pub(crate) fn to_text(&self) -> Result<Zeroizing<String>> {
        let yaml = self.document.to_yaml()?;
        Ok(Zeroizing::new(format!("{}{}", self.heading, *yaml)))
    }
}

/// Replaces the text that kubectl prints if the plugin is missing. The text in the file could name
/// a malicious program.
fn set_install_hint(document: &mut Document) {
    for user in document.contents_mut(Section::Users) {
        if let Some(exec) = user.get_mut("exec") {
            exec["installHint"] = INSTALL_HINT.into();
        }
    }
}

/// Returns the comments at the top, without the characters that a terminal does not show.
fn heading(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    let lines = lines.take(HEADING_LINES);
    lines
        .map(|line| crate::say::printable(line) + "\n")
        .collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
    contexts: Vec<NamedContext>,
    #[serde(rename = "current-context")]
    current_context: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Cluster {
    server: String,
    #[serde(default)]
    certificate_authority_data: String,
    #[serde(default)]
    extensions: Vec<NamedExtension>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedExtension {
    name: String,
    extension: Extension,
}

/// Like `ExecClusterConfig`, but rejects unknown fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Extension {
    server: String,
    #[serde(default)]
    certificate_authority_data: String,
    kubeconfig: String,
    cluster: String,
    #[serde(rename = "audience")]
    _audience: String,
    #[serde(rename = "oidc")]
    _oidc: Option<Provider>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Provider {
    #[serde(rename = "issuer")]
    _issuer: String,
    #[serde(rename = "clientID")]
    _client_id: String,
    #[serde(rename = "scopes")]
    _scopes: Vec<String>,
    #[serde(default, rename = "certificateAuthorityData")]
    _certificate_authority_data: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedUser {
    name: String,
    user: User,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    token: Option<String>,
    exec: Option<Exec>,
}

/// The exec entry of a user that runs this program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Exec {
    api_version: String,
    command: String,
    args: Vec<String>,
    install_hint: String,
    interactive_mode: String,
    provide_cluster_info: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedContext {
    name: String,
    context: ContextEntry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContextEntry {
    cluster: String,
    user: String,
    #[serde(default)]
    namespace: String,
}

impl Config {
    fn check(&self, record: &str) -> Result<()> {
        ensure!(
            self.api_version == "v1" && self.kind == "Config",
            "it is not a v1 Config"
        );
        for entry in &self.clusters {
            let checked = check_name(&entry.name).and_then(|()| entry.cluster.check(record));
            checked.with_context(|| format!("cluster {:?}", entry.name))?;
        }
        for entry in &self.users {
            let checked = check_name(&entry.name).and_then(|()| entry.user.check(record));
            checked.with_context(|| format!("user {:?}", entry.name))?;
        }
        for entry in &self.contexts {
            let checked = check_name(&entry.name).and_then(|()| entry.context.check());
            checked.with_context(|| format!("context {:?}", entry.name))?;
        }
        for entry in &self.contexts {
            let checked = self.check_exec(&entry.context);
            checked.with_context(|| format!("context {:?}", entry.name))?;
        }
        let current = &self.current_context;
        let is_there = current.is_empty() || self.contexts.iter().any(|it| it.name == *current);
        ensure!(is_there, "the current context {current:?} is not in it");
        Ok(())
    }
}

impl Config {
    /// Checks that the context runs the plugin for the server and the cluster that the context
    /// leads to.
    fn check_exec(&self, context: &ContextEntry) -> Result<()> {
        let user = self.users.iter().find(|it| it.name == context.user);
        let Some(exec) = user.and_then(|it| it.user.exec.as_ref()) else {
            return Ok(());
        };
        let cluster = self.clusters.iter().find(|it| it.name == context.cluster);
        let extensions = cluster.map_or(&[][..], |it| &it.cluster.extensions);
        let [NamedExtension { extension, .. }] = extensions else {
            bail!("its cluster does not name the server for the plugin");
        };
        let id = exec.value("--cluster=").unwrap_or(LOCAL);
        let is_same =
            exec.value("--server=") == Some(extension.server.as_str()) && id == extension.cluster;
        ensure!(is_same, "it runs the plugin for another server or cluster");
        Ok(())
    }
}

impl Cluster {
    fn check(&self, record: &str) -> Result<()> {
        ensure!(
            is_plain_address(&self.server),
            "{:?} is not an https URL of a cluster",
            self.server
        );
        exec_credential::check_trust(&self.certificate_authority_data)?;
        for named in &self.extensions {
            let extension = &named.extension;
            ensure!(named.name == EXEC_EXTENSION, "an unknown extension");
            ensure!(
                extension.kubeconfig == record && extension.server.parse::<ServerUrl>().is_ok(),
                "an extension of another record"
            );
            ensure!(
                dns1123_label(&extension.cluster).is_empty(),
                "an extension of an invalid cluster"
            );
            exec_credential::check_trust(&extension.certificate_authority_data)?;
        }
        Ok(())
    }
}

impl User {
    fn check(&self, record: &str) -> Result<()> {
        match (&self.token, &self.exec) {
            (Some(token), None) => {
                let is_plain = token.bytes().all(|byte| byte.is_ascii_graphic());
                ensure!(is_plain && !token.is_empty(), "an invalid token");
                Ok(())
            }
            (None, Some(exec)) => {
                exec.check()?;
                let named = format!("--kubeconfig={record}");
                ensure!(exec.args.contains(&named), "a command for another record");
                Ok(())
            }
            _ => bail!("it must have either a token or an exec entry"),
        }
    }
}

impl Exec {
    /// Returns the value of a flag.
    fn value(&self, flag: &str) -> Option<&str> {
        let mut args = self.args.iter();
        args.find_map(|argument| argument.strip_prefix(flag))
    }

    /// Checks that the entry runs this program with arguments that the server writes.
    fn check(&self) -> Result<()> {
        let version = self
            .api_version
            .strip_prefix("client.authentication.k8s.io/");
        let is_ours = self.command == COMMAND
            && matches!(version, Some("v1" | "v1beta1"))
            && self.interactive_mode == "IfAvailable"
            && self.provide_cluster_info
            && are_ours(&self.args);
        ensure!(
            is_ours,
            "it runs {:?} {:?}, which the server never generates",
            self.command,
            self.args
        );
        Ok(())
    }
}

/// Returns whether the arguments have the form that the server writes: a fixed order, and each
/// value in the same argument as its flag.
fn are_ours(args: &[String]) -> bool {
    let value = |argument: Option<&String>, flag: &str| {
        argument.and_then(|it| it.strip_prefix(flag).map(str::to_owned))
    };
    let mut rest = args.iter().peekable();
    if rest.next().is_none_or(|it| it != "credential") {
        return false;
    }
    let server = value(rest.next(), "--server=");
    let record = value(rest.next(), "--kubeconfig=");
    let are_named = server.is_some_and(|it| it.parse::<ServerUrl>().is_ok())
        && record.is_some_and(|it| machinery::validation::dns1123_subdomain(&it).is_empty());
    if let Some(cluster) = value(rest.peek().copied(), "--cluster=") {
        if !dns1123_label(&cluster).is_empty() {
            return false;
        }
        rest.next();
    }
    rest.next_if(|it| *it == "--client-certificate");
    are_named && rest.next().is_none()
}

/// Returns whether the exec entry of a user is one that the server writes.
pub(super) fn is_ours(exec: &Value) -> bool {
    let is_ours = |exec: Exec| exec.check().is_ok() && exec.install_hint == INSTALL_HINT;
    Exec::deserialize(exec).is_ok_and(is_ours)
}

impl ContextEntry {
    fn check(&self) -> Result<()> {
        for name in [&self.cluster, &self.user] {
            check_name(name)?;
        }
        let is_namespace = self.namespace.is_empty() || dns1123_label(&self.namespace).is_empty();
        ensure!(is_namespace, "an invalid namespace");
        Ok(())
    }
}

/// Checks the name of an entry. The name of a cluster may be any text, but kubectl prints it.
fn check_name(name: &str) -> Result<()> {
    ensure!(
        !name.is_empty() && !name.contains(is_invisible),
        "a name that is empty or has invisible characters"
    );
    Ok(())
}

/// Checks that names are unique in a file and that its contexts refer only to its own entries.
/// After a merge, a name that the file lacks would refer to an entry of another file.
///
/// # Errors
/// Fails if a name occurs twice, or if a context refers to an entry that is not in the file.
pub(crate) fn check_references(document: &Document) -> Result<()> {
    for section in Section::ALL {
        let mut names: Vec<&str> = document.names(section).collect();
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
        ensure!(
            twice.is_none(),
            "it has two entries of the same name: {twice:?}"
        );
    }
    for name in document.names(Section::Contexts) {
        let context = document.get(Section::Contexts, name);
        for section in [Section::Clusters, Section::Users] {
            let part = context.and_then(|it| it[section.field()].as_str());
            let is_there =
                part.is_none_or(|part| part.is_empty() || document.get(section, part).is_some());
            ensure!(
                is_there,
                "context {name:?} names {} {:?}, which is not in the file",
                section.field(),
                part.unwrap_or_default()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"# Generated by kubeconfig-apiserver
# name: kubeconfig-abcde
# ttl: 60
apiVersion: v1
kind: Config
clusters:
- name: "prod"
  cluster:
    server: "https://a.b/k8s/clusters/c-1"
    certificate-authority-data: "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBQUEKLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
    extensions:
    - name: "client.authentication.k8s.io/exec"
      extension:
        server: "https://a.b"
        kubeconfig: "kubeconfig-abcde"
        cluster: "c-1"
        audience: "cluster:c-1"
        oidc:
          issuer: "https://idp"
          clientID: "kubectl"
          scopes:
          - "openid"
users:
- name: "prod"
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: kubectl-kubeconfig
      args:
      - "credential"
      - "--server=https://a.b"
      - "--kubeconfig=kubeconfig-abcde"
      - "--cluster=c-1"
      installHint: "Run evil.sh"
      interactiveMode: IfAvailable
      provideClusterInfo: true
- name: "rancher"
  user:
    token: "e30.e30.c2ln"
contexts:
- name: "prod"
  context:
    cluster: "prod"
    namespace: "web"
    user: "prod"
current-context: "prod"
"#;

    /// Returns the file with one line replaced.
    fn with(line: &str, other: &str) -> String {
        assert_eq!(FILE.matches(line).count(), 1, "{line}");
        FILE.replace(line, other)
    }

    #[test]
    fn a_file_of_the_server_is_kept_as_it_was_read() {
        let issued = Issued::parse(FILE, "kubeconfig-abcde").unwrap();
        let user = issued.document.get(Section::Users, "prod").unwrap();
        assert_eq!(user["exec"]["installHint"], INSTALL_HINT);
        let text = issued.to_text().unwrap();
        let again = Issued::parse(&text, "kubeconfig-abcde").unwrap();
        assert_eq!(again.document, issued.document);
        let heading = "# Generated by kubeconfig-apiserver\n# name: kubeconfig-abcde\n# ttl: 60\napiVersion: v1\n";
        assert!(text.starts_with(heading), "{}", *text);
        check_references(&issued.document).unwrap();
        let certificate = with(
            "      - \"--cluster=c-1\"",
            "      - \"--cluster=c-1\"\n      - \"--client-certificate\"",
        );
        Issued::parse(&certificate, "kubeconfig-abcde").unwrap();
    }

    #[test]
    fn whatever_the_server_never_writes_is_refused() {
        let command = "      command: kubectl-kubeconfig";
        let token = "    token: \"e30.e30.c2ln\"";
        let server = "    server: \"https://a.b/k8s/clusters/c-1\"";
        let cluster_argument = "      - \"--cluster=c-1\"";
        for text in [
            with(command, "      command: /bin/sh"),
            with(command, "      command: ./kubectl-kubeconfig"),
            with(
                command,
                "      command: kubectl-kubeconfig\n      env: [{name: A, value: b}]",
            ),
            with(token, "    tokenFile: /etc/passwd"),
            with(token, &format!("{token}\n    tokenFile: /etc/passwd")),
            with(token, &format!("{token}\n    auth-provider: {{name: x}}")),
            with(token, &format!("{token}\n    client-key: /key")),
            with(token, &format!("{token}\n    as: root")),
            with(token, &format!("{token}\n    exec: {{command: sh}}")),
            with(
                token,
                &format!("{token}\n    <<: {{exec: {{command: sh}}}}"),
            ),
            with(
                token,
                &format!("{token}\n    \"<<\": {{exec: {{command: sh}}}}"),
            ),
            with(token, "    token: \"a\\nb\""),
            with(token, "    token: \"\""),
            with(token, "    {}"),
            with(
                server,
                &format!("{server}\n    insecure-skip-tls-verify: true"),
            ),
            with(server, &format!("{server}\n    proxy-url: http://evil")),
            with(server, &format!("{server}\n    certificate-authority: /ca")),
            with(server, &format!("{server}\n    tls-server-name: evil")),
            with(server, "    server: \"http://a.b/k8s/clusters/c-1\""),
            with(server, "    server: \"https://u:p@a.b\""),
            with(server, "    server: \"https://a.b/x?y\\n\""),
            with(
                cluster_argument,
                "      - \"--cluster=c-1\"\n      - \"--server=https://evil\"",
            ),
            with(cluster_argument, "      - \"--cluster=c-2\""),
            with(
                "      - \"--server=https://a.b\"",
                "      - \"--server=https://c.d\"",
            ),
            with(cluster_argument, "      - \"--cluster=../x\""),
            with(
                "      - \"--kubeconfig=kubeconfig-abcde\"",
                "      - \"--kubeconfig=other\"",
            ),
            with("      - \"credential\"", "      - \"login\""),
            with("provideClusterInfo: true", "provideClusterInfo: false"),
            with("client.authentication.k8s.io/exec", "other"),
            with(
                "        kubeconfig: \"kubeconfig-abcde\"",
                "        kubeconfig: \"other\"",
            ),
            with("    namespace: \"web\"", "    namespace: \"-\""),
            with("- name: \"rancher\"", "- name: \"\\e[2J\""),
            with("kind: Config", "kind: Config\npreferences: {}"),
            with("kind: Config", "kind: Secret"),
            with("current-context: \"prod\"", "current-context: \"other\""),
            with("# name: kubeconfig-abcde", "# name: other"),
        ] {
            let parsed = Issued::parse(&text, "kubeconfig-abcde");
            assert!(parsed.is_err(), "{text}");
        }
    }

    #[test]
    fn an_anchor_is_what_it_stands_for() {
        let text = with(
            "    token: \"e30.e30.c2ln\"",
            "    token: &t \"e30.e30.c2ln\"",
        )
        .replace("namespace: \"web\"", "namespace: *t");
        assert!(Issued::parse(&text, "kubeconfig-abcde").is_err());
    }

    #[test]
    fn an_entry_that_is_not_in_the_file_cannot_be_named() {
        let parse = |text: &str| Document::parse(text).unwrap();
        for text in [
            with("    user: \"prod\"", "    user: \"me\""),
            with("    cluster: \"prod\"\n", "    cluster: \"mine\"\n"),
            with("- name: \"rancher\"", "- name: \"prod\""),
        ] {
            assert!(check_references(&parse(&text)).is_err(), "{text}");
        }
    }
}
