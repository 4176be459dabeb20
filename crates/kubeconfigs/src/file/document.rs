//! The text of the file: a heading of comments, then the `v1` `Config` of client-go's clientcmd
//! API.
//!
//! The serializer writes everything below the heading. What did not originate here is written as a
//! double-quoted scalar, with escapes for all that a YAML 1.1 or 1.2 reader would take for
//! structure.

use std::fmt::Write;

use api::plugin::{EXEC_EXTENSION, ExecClusterConfig, OidcLogin};
use api::plugin::{FILE_HEADING, FILE_NAME};
use jiff::Timestamp;
use serde::Serialize;
use serde_saphyr::DoubleQuoted;

use super::entries::{Credential, Entries, Target, User};
use super::exec::Exec;
use tokens::secret::SecretString;

use super::Record;

/// How `time.Time{}` of Go prints: the creation time of what was never created.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

type Text<'a> = DoubleQuoted<&'a str>;

/// Room for the heading, and for the keys and the indentation of one entry: more than they take.
const HEADING_BYTES: usize = 512;
const ENTRY_BYTES: usize = 512;

/// What an escape makes of a byte at most: `\x7F`.
const ESCAPED: usize = 4;

/// Writes the file, in one allocation. In case of an error nothing of the text is kept.
pub(super) fn write(
    record: &Record<'_>,
    entries: &Entries<'_>,
) -> Result<SecretString, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let room = room(record, entries);
    let mut text = String::with_capacity(room);
    write_heading(&mut text, record)?;
    serde_saphyr::to_fmt_writer_with_options(&mut text, &Config::new(entries), options)?;
    debug_assert!(
        text.len() <= room,
        "a buffer that grows leaves secrets behind"
    );
    Ok(SecretString::new(text))
}

/// How long the text may become, in bytes.
fn room(record: &Record<'_>, entries: &Entries<'_>) -> usize {
    let targets = entries.targets.iter().map(|target| {
        let names = 3 * target.name.len() + target.user.len() + target.server.len();
        ENTRY_BYTES + target.ca_data.len() + ESCAPED * names
    });
    let users = entries.users.iter().map(|user| {
        let credential = match &user.credential {
            Credential::Token(token) => token.expose().len(),
            Credential::Exec(_) => ENTRY_BYTES,
        };
        ENTRY_BYTES + ESCAPED * user.name.len() + credential
    });
    let named = record.name.len() + entries.current_context.len();
    HEADING_BYTES + ESCAPED * named + targets.chain(users).sum::<usize>()
}

fn write_heading(text: &mut String, record: &Record<'_>) -> std::fmt::Result {
    write!(text, "{FILE_HEADING}\n{FILE_NAME}")?;
    push_comment(text, record.name);
    match record.created {
        Some(created) => writeln!(text, "# createdTimestamp: {}", rfc3339(created))?,
        None => writeln!(text, "# createdTimestamp: {ZERO_TIME}")?,
    }
    writeln!(text, "# ttl: {}", record.ttl_secs)
}

/// Ends a comment line with `value`. What could end the line earlier, or stop a YAML reader
/// altogether, appears as its escape.
fn push_comment(text: &mut String, value: &str) {
    for character in value.chars() {
        let is_special = character.is_control()
            || matches!(
                character,
                '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}'
            );
        if is_special {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text.push('\n');
}

fn rfc3339(time: Timestamp) -> impl std::fmt::Display {
    time.strftime("%Y-%m-%dT%H:%M:%SZ")
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Config<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    clusters: Vec<NamedCluster<'a>>,
    users: Vec<NamedUser<'a>>,
    contexts: Vec<NamedContext<'a>>,
    current_context: Text<'a>,
}

#[derive(Serialize)]
struct NamedCluster<'a> {
    name: Text<'a>,
    cluster: Cluster<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster<'a> {
    server: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions: Option<[NamedExtension<'a>; 1]>,
}

#[derive(Serialize)]
struct NamedExtension<'a> {
    name: Text<'a>,
    extension: Extension<'a>,
}

/// `api::plugin::ExecClusterConfig`, quoted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extension<'a> {
    server: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<Text<'a>>,
    kubeconfig: Text<'a>,
    cluster: Text<'a>,
    audience: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oidc: Option<Login<'a>>,
}

/// `api::plugin::OidcLogin`, quoted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Login<'a> {
    issuer: Text<'a>,
    #[serde(rename = "clientID")]
    client_id: Text<'a>,
    scopes: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_authority_data: Option<Text<'a>>,
}

#[derive(Serialize)]
struct NamedUser<'a> {
    name: Text<'a>,
    user: AuthInfo<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum AuthInfo<'a> {
    Token(Text<'a>),
    Exec(&'a Exec),
}

#[derive(Serialize)]
struct NamedContext<'a> {
    name: Text<'a>,
    context: Context<'a>,
}

#[derive(Serialize)]
struct Context<'a> {
    cluster: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<Text<'a>>,
    user: Text<'a>,
}

impl<'a> Config<'a> {
    fn new(entries: &'a Entries<'_>) -> Config<'a> {
        Config {
            api_version: "v1",
            kind: "Config",
            clusters: entries.targets.iter().map(NamedCluster::new).collect(),
            users: entries.users.iter().map(NamedUser::new).collect(),
            contexts: entries
                .targets
                .iter()
                .map(|target| NamedContext::new(target, entries.namespace))
                .collect(),
            current_context: DoubleQuoted(&entries.current_context),
        }
    }
}

impl<'a> NamedCluster<'a> {
    fn new(target: &'a Target) -> NamedCluster<'a> {
        NamedCluster {
            name: DoubleQuoted(&target.name),
            cluster: Cluster {
                server: DoubleQuoted(&target.server),
                certificate_authority_data: unless_empty(&target.ca_data),
                extensions: target.exec.as_ref().map(|exec| [NamedExtension::new(exec)]),
            },
        }
    }
}

impl<'a> NamedExtension<'a> {
    fn new(config: &'a ExecClusterConfig) -> NamedExtension<'a> {
        NamedExtension {
            name: DoubleQuoted(EXEC_EXTENSION),
            extension: Extension {
                server: DoubleQuoted(&config.server),
                certificate_authority_data: unless_empty(&config.certificate_authority_data),
                kubeconfig: DoubleQuoted(&config.kubeconfig),
                cluster: DoubleQuoted(&config.cluster),
                audience: DoubleQuoted(&config.audience),
                oidc: config.oidc.as_ref().map(Login::new),
            },
        }
    }
}

impl<'a> Login<'a> {
    fn new(oidc: &'a OidcLogin) -> Login<'a> {
        Login {
            issuer: DoubleQuoted(&oidc.issuer),
            client_id: DoubleQuoted(&oidc.client_id),
            scopes: oidc
                .scopes
                .iter()
                .map(|it| DoubleQuoted(it.as_str()))
                .collect(),
            certificate_authority_data: unless_empty(&oidc.certificate_authority_data),
        }
    }
}

fn unless_empty(text: &str) -> Option<Text<'_>> {
    Some(text).filter(|text| !text.is_empty()).map(DoubleQuoted)
}

impl<'a> NamedUser<'a> {
    fn new(user: &'a User<'_>) -> NamedUser<'a> {
        let info = match &user.credential {
            Credential::Token(token) => AuthInfo::Token(DoubleQuoted(token.expose())),
            Credential::Exec(exec) => AuthInfo::Exec(exec),
        };
        NamedUser {
            name: DoubleQuoted(&user.name),
            user: info,
        }
    }
}

impl<'a> NamedContext<'a> {
    fn new(target: &'a Target, namespace: &'a str) -> NamedContext<'a> {
        NamedContext {
            name: DoubleQuoted(&target.name),
            context: Context {
                cluster: DoubleQuoted(&target.name),
                namespace: unless_empty(namespace),
                user: DoubleQuoted(&target.user),
            },
        }
    }
}
