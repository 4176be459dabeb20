//! The servers that the user logged in at by name.
//!
//! A file may name any server. So only a server that the user named before gets a new login when
//! kubectl runs this program, and then under the CA of that time ([`Known::trust`]), whatever the file
//! says.
//!
//! A server also names its provider and client there, and a token for that client may be a login for
//! every server of the client. So a pair of provider and client belongs to the first server that named
//! it; another server gets it only where the user says that both belong together.

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::key::key;
use crate::oidc::Provider;
use crate::say::Remedy;
use crate::server_url::ServerUrl;
use crate::session::{self, Means};
use crate::trust::{MachineRoots, Trust};

const PREFIX: &str = "known-";

/// A server that the user logged in at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Known {
    pub(crate) server: ServerUrl,
    /// The authority for the server at the last login.
    pub(crate) trust: Trust,
    /// The place of the machine's CAs then.
    #[serde(default)]
    machine_roots: MachineRoots,
    /// The provider and client that the server named.
    client: Option<Client>,
    /// The other server that the user named as the owner of the same client.
    shared_with: Option<ServerUrl>,
}

/// A client of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Client {
    issuer: String,
    client_id: String,
}

impl Client {
    pub(crate) fn of(provider: &Provider) -> Self {
        Self {
            issuer: provider.issuer().to_owned(),
            client_id: provider.client_id().to_owned(),
        }
    }
}

/// The server, if the user logged in there before.
pub(crate) fn find(folder: &Folder, server: &ServerUrl) -> Result<Option<Known>> {
    Ok(all(folder)?.into_iter().find(|it| it.server == *server))
}

/// Keeps a server at which the user just logged in.
pub(crate) fn remember(
    folder: &Folder,
    session: &session::Session,
    machine_roots: &MachineRoots,
    shared_with: Option<&ServerUrl>,
) -> Result<()> {
    let before = find(folder, &session.server)?;
    let before = before.as_ref();
    let client = match &session.means {
        Means::Oidc(grant) => Some(Client::of(&grant.provider)),
        _ => before.and_then(|before| before.client.clone()),
    };
    let shared_before = before.and_then(|before| before.shared_with.as_ref());
    let known = Known {
        server: session.server.clone(),
        trust: session.trust.clone(),
        machine_roots: machine_roots.clone(),
        client,
        shared_with: shared_with.or(shared_before).cloned(),
    };
    let text = serde_json::to_vec(&known).context("a server that cannot be written")?;
    folder.write(&file_name(&session.server), &text)
}

/// Checks that the CAs of the machine are those of the last login at the server, where that trusts them.
///
/// # Errors
/// The environment names others. A kubeconfig file may have done that.
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
            "your login at {server} trusts {before}, and the environment names {now}. If that is right, run"
        ),
        command: format!("kubectl kubeconfig login --server={server}"),
    }))
}

/// Checks that no other server named this client before.
///
/// # Errors
/// One did, and the user did not say that both belong together.
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
        } else if known.client.as_ref() == Some(&client) {
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
            "{server} names client {client_id:?} of {issuer}, with which you log in at {owner}: a login for the one might open the other. If both belong to the same operator, run"
        ),
        command: format!("kubectl kubeconfig login --server={server} --shares-client-with={owner}"),
    }))
}

/// All of them. A version without this memory kept logins alone.
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
        let client = match &session.means {
            Means::Oidc(grant) => Some(Client::of(&grant.provider)),
            _ => None,
        };
        all.push(Known {
            server: session.server,
            trust: session.trust,
            machine_roots: MachineRoots::default(),
            client,
            shared_with: None,
        });
    }
    Ok(all)
}

fn file_name(server: &ServerUrl) -> String {
    format!("{PREFIX}{}", key(&[server.as_str()]))
}
