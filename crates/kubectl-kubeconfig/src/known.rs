//! The servers at which the user has logged in by name.
//!
//! A kubeconfig file may name any server. When kubectl runs this program, a new login therefore
//! starts without a question only at a server that the user has named before. That login trusts the
//! CA of the earlier one ([`Known::trust`]) and ignores the CA in the file.
//!
//! A server also names its provider and its client there, and a token for that client may be a
//! login at every server that uses the client. A pair of provider and client therefore belongs to
//! the first server that named it. Another server can use the pair only if the user says that both
//! servers belong together.

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Deserializer, Serialize};

use crate::folder::Folder;
use crate::key::key;
use crate::oidc::Provider;
use crate::say::Remedy;
use crate::server_url::ServerUrl;
use crate::session::{self, Means};
use crate::trust::{MachineRoots, Trust};

const PREFIX: &str = "known-";

/// A server at which the user has logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Known {
    pub(crate) server: ServerUrl,
    /// The CA of the server at the last login.
    pub(crate) trust: Trust,
    /// The location of the machine's CAs at the last login.
    #[serde(default)]
    machine_roots: MachineRoots,
    /// The clients of its logins, the latest first.
    #[serde(default, alias = "client", deserialize_with = "clients")]
    clients: Vec<Client>,
    /// The other server that the user named as an owner of the same client.
    shared_with: Option<ServerUrl>,
}

/// A client of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Client {
    issuer: String,
    client_id: String,
}

/// Reads the clients. Earlier versions stored at most one.
fn clients<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Client>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        All(Vec<Client>),
        Latest(Option<Client>),
    }
    Ok(match Stored::deserialize(deserializer)? {
        Stored::All(clients) => clients,
        Stored::Latest(client) => Vec::from_iter(client),
    })
}

impl Known {
    /// Returns whether the latest login with an OpenID Connect provider was with this one.
    pub(crate) fn is_latest(&self, provider: &Provider) -> bool {
        self.clients.first() == Some(&Client::of(provider))
    }
}

impl Client {
    pub(crate) fn of(provider: &Provider) -> Self {
        Self {
            issuer: provider.issuer().to_owned(),
            client_id: provider.client_id().to_owned(),
        }
    }
}

/// Returns the server, if the user has logged in there before.
pub(crate) fn find(folder: &Folder, server: &ServerUrl) -> Result<Option<Known>> {
    Ok(all(folder)?.into_iter().find(|it| it.server == *server))
}

/// Stores a server at which the user has just logged in.
pub(crate) fn remember(
    folder: &Folder,
    session: &session::Session,
    machine_roots: &MachineRoots,
    shared_with: Option<&ServerUrl>,
) -> Result<()> {
    let before = find(folder, &session.server)?;
    let before = before.as_ref();
    let mut clients = before.map_or_else(Vec::new, |before| before.clients.clone());
    if let Means::Oidc(grant) = &session.means {
        let client = Client::of(&grant.provider);
        clients.retain(|it| *it != client);
        clients.insert(0, client);
    }
    let shared_before = before.and_then(|before| before.shared_with.as_ref());
    let known = Known {
        server: session.server.clone(),
        trust: session.trust.clone(),
        machine_roots: machine_roots.clone(),
        clients,
        shared_with: shared_with.or(shared_before).cloned(),
    };
    let text = serde_json::to_vec(&known).context("the server cannot be encoded")?;
    folder.write(&file_name(&session.server), &text)
}

/// Checks that the CAs of the machine are those of the last login at the server, if a login there
/// trusts the CAs of the machine.
///
/// # Errors
/// Fails if the environment names other CAs. A kubeconfig file can set environment variables.
pub(crate) fn check_roots(folder: &Folder, server: &ServerUrl, now: &MachineRoots) -> Result<()> {
    let Some(known) = find(folder, server)? else {
        return Ok(());
    };
    let before = &known.machine_roots;
    let sessions = session::at(folder, server, None)?;
    let mut trusts = sessions.iter().map(|it| &it.trust).chain([&known.trust]);
    if before == now || !trusts.any(Trust::is_of_machine) {
        return Ok(());
    }
    Err(anyhow!(Remedy {
        problem: format!(
            "your login at {server} trusts {before}, but the environment specifies {now}. If this is correct, run"
        ),
        command: format!("kubectl kubeconfig login --server={server}"),
    }))
}

/// Checks that no other server has named this client before.
///
/// # Errors
/// Fails if another server has named it, unless the user said that both servers belong together.
pub(crate) fn check_client(
    folder: &Folder,
    server: &ServerUrl,
    provider: &Provider,
    shared_with: Option<&ServerUrl>,
) -> Result<()> {
    let client = Client::of(provider);
    let all = all(folder)?;
    let mut owners: Vec<&ServerUrl> = Vec::new();
    let mut shared: Vec<&ServerUrl> = shared_with.into_iter().collect();
    for known in &all {
        if known.server == *server {
            shared.extend(&known.shared_with);
        } else if known.clients.contains(&client) {
            owners.push(&known.server);
        }
    }
    let Some(owner) = owners.first() else {
        return Ok(());
    };
    if owners.iter().any(|owner| shared.contains(owner)) {
        return Ok(());
    }
    let Client { issuer, client_id } = &client;
    Err(anyhow!(Remedy {
        problem: format!(
            "{server} uses client {client_id:?} of {issuer}, with which you log in at {owner}: a login for one of them might be accepted by the other. If both belong to the same operator, run"
        ),
        command: format!("kubectl kubeconfig login --server={server} --shares-client-with={owner}"),
    }))
}

/// Returns all known servers. Includes the servers of logins without a file of their own, from
/// versions that stored only logins.
fn all(folder: &Folder) -> Result<Vec<Known>> {
    let mut all = Vec::new();
    for name in folder.names(PREFIX)? {
        let bytes = folder.read(&name)?.unwrap_or_default();
        all.extend(serde_json::from_slice::<Known>(&bytes).ok());
    }
    for session in session::all(folder)? {
        if all.iter().any(|known| known.server == session.server) {
            continue;
        }
        let clients = match &session.means {
            Means::Oidc(grant) => vec![Client::of(&grant.provider)],
            _ => Vec::new(),
        };
        all.push(Known {
            server: session.server,
            trust: session.trust,
            machine_roots: MachineRoots::default(),
            clients,
            shared_with: None,
        });
    }
    Ok(all)
}

fn file_name(server: &ServerUrl) -> String {
    format!("{PREFIX}{}", key(&[server.as_str()]))
}
