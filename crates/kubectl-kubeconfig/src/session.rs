//! Stored logins: the user at a server and the means to authenticate.
//!
//! There is one login for each server, CA and account. Its secrets are sent only to that server,
//! over a connection that is verified with this CA.

use std::path::PathBuf;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cache;
use crate::files::user::UserEntry;
use crate::folder::Folder;
use crate::key::key;
use crate::oidc::Grant;
use crate::server_url::ServerUrl;
use crate::trust::Trust;

const PREFIX: &str = "session-";

/// A login.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    /// The server.
    pub(crate) server: ServerUrl,
    /// The CA of the server.
    pub(crate) trust: Trust,
    /// The user name at the server.
    pub(crate) account: String,
    /// The time of the login.
    pub(crate) logged_in: Timestamp,
    /// The means by which the user authenticates.
    pub(crate) means: Means,
}

/// The means by which a user authenticates.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(crate) enum Means {
    /// The bearer token in a file, which is read again for each use.
    #[serde(rename_all = "camelCase")]
    TokenFile { path: PathBuf },
    /// A client certificate in files, which are read again for each use.
    #[serde(rename_all = "camelCase")]
    ClientCertificate { certificate: PathBuf, key: PathBuf },
    /// The credential of a user entry in a kubeconfig file, which is read again for each use.
    Kubeconfig(UserEntry),
    /// The ID token of an OpenID Connect provider.
    Oidc(Box<Grant>),
}

impl Session {
    /// Returns the key that identifies the login, for file names.
    pub(crate) fn key(&self) -> String {
        let (server, trust) = (self.server.as_str(), self.trust.fingerprint());
        key(&[server, &trust, &self.account])
    }
}

impl Means {
    /// Returns a short name of the means, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::TokenFile { .. } => "token file",
            Self::ClientCertificate { .. } => "client certificate",
            Self::Kubeconfig(_) => "kubeconfig",
            Self::Oidc(_) => "OpenID Connect",
        }
    }
}

/// Returns all logins, the latest first. Ignores files of an unknown format, which a later version
/// may have written.
pub(crate) fn all(folder: &Folder) -> Result<Vec<Session>> {
    let mut sessions = Vec::new();
    for name in folder.names(PREFIX)? {
        let Some(bytes) = folder.read(&name)? else {
            continue;
        };
        sessions.extend(serde_json::from_slice::<Session>(&bytes).ok());
    }
    sessions.sort_by_key(|session| std::cmp::Reverse(session.logged_in));
    Ok(sessions)
}

/// Returns the login as it is stored now: it may have been refreshed since it was read.
pub(crate) fn again(folder: &Folder, session: &Session) -> Result<Option<Session>> {
    let bytes = folder.read(&format!("{PREFIX}{}", session.key()))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Returns the logins at a server, the latest first. Logins with the CA that a file names come
/// before the others.
///
/// The others are usable too: their own CA must verify the server in any case.
pub(crate) fn at(
    folder: &Folder,
    server: &ServerUrl,
    trust: Option<&Trust>,
) -> Result<Vec<Session>> {
    let mut sessions = all(folder)?;
    sessions.retain(|session| session.server == *server);
    if let Some(trust) = trust {
        let wanted = trust.fingerprint();
        sessions.sort_by_key(|session| session.trust.fingerprint() != wanted);
    }
    Ok(sessions)
}

/// Stores a login, and replaces an earlier login of the same account.
pub(crate) fn save(folder: &Folder, session: &Session) -> Result<()> {
    let text = serde_json::to_vec(session).context("the login cannot be encoded")?;
    let name = format!("{PREFIX}{}", session.key());
    folder.write(&name, &Zeroizing::new(text))
}

/// Removes a login, and the credentials that were issued for it.
pub(crate) fn remove(folder: &Folder, session: &Session) -> Result<()> {
    folder.remove(&format!("{PREFIX}{}", session.key()))?;
    cache::remove_all(folder, session)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(server: &str, account: &str, trust: &Trust, second: i64) -> Session {
        Session {
            server: server.parse().unwrap(),
            trust: trust.clone(),
            account: account.to_owned(),
            logged_in: Timestamp::from_second(second).unwrap(),
            means: Means::TokenFile {
                path: PathBuf::from("/token"),
            },
        }
    }

    fn accounts(sessions: &[Session]) -> Vec<&str> {
        sessions.iter().map(|it| it.account.as_str()).collect()
    }

    #[test]
    fn logins_are_kept_by_server_authority_and_account() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::open(parent.path().join("mine")).unwrap();
        let machine = Trust::default();
        let private =
            Trust::from_pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")
                .unwrap();
        for kept in [
            session("https://a.b", "alice", &private, 1),
            session("https://a.b", "alice", &machine, 2),
            session("https://a.b", "bob", &machine, 3),
            session("https://c.d", "carol", &machine, 4),
            session("https://a.b", "bob", &machine, 5),
        ] {
            save(&folder, &kept).unwrap();
        }
        folder.write("session-later", b"{\"form\":2}").unwrap();

        assert_eq!(
            accounts(&all(&folder).unwrap()),
            ["bob", "carol", "alice", "alice"]
        );
        let server = "https://a.b".parse().unwrap();
        let found = at(&folder, &server, None).unwrap();
        assert_eq!(accounts(&found), ["bob", "alice", "alice"]);
        let found = at(&folder, &server, Some(&private)).unwrap();
        assert_eq!(accounts(&found), ["alice", "bob", "alice"]);
        assert_eq!(found[0].trust, private);

        remove(&folder, &found[0]).unwrap();
        let found = at(&folder, &server, Some(&private)).unwrap();
        assert_eq!(accounts(&found), ["bob", "alice"]);
    }
}
