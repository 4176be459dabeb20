//! Logins that are kept: who the user is at a server, and how to say so again.
//!
//! There is one for each server, CA and account. What the login holds is sent to that server only,
//! and only over a connection that this CA vouches for.

use std::path::PathBuf;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cache;
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
    /// Where.
    pub(crate) server: ServerUrl,
    /// Who vouches for the server.
    pub(crate) trust: Trust,
    /// The user, as the server calls them.
    pub(crate) account: String,
    /// When.
    pub(crate) logged_in: Timestamp,
    /// How to say who the user is.
    pub(crate) means: Means,
}

/// How a user says who they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(crate) enum Means {
    /// By the bearer token in a file, read anew each time.
    #[serde(rename_all = "camelCase")]
    TokenFile { path: PathBuf },
    /// By a client certificate in files, read anew each time.
    #[serde(rename_all = "camelCase")]
    ClientCertificate { certificate: PathBuf, key: PathBuf },
    /// By what an OpenID Connect provider says.
    Oidc(Box<Grant>),
}

impl Session {
    /// What identifies it, as part of file names.
    pub(crate) fn key(&self) -> String {
        let (server, trust) = (self.server.as_str(), self.trust.fingerprint());
        key(&[server, &trust, &self.account])
    }
}

impl Means {
    /// The means in two or three words, for people.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::TokenFile { .. } => "token file",
            Self::ClientCertificate { .. } => "client certificate",
            Self::Oidc(_) => "OpenID Connect",
        }
    }
}

/// All logins, the latest first. A file of another form is none: a later version may have left it.
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

/// A login as it is kept now: it may have been renewed since it was read.
pub(crate) fn again(folder: &Folder, session: &Session) -> Result<Option<Session>> {
    let bytes = folder.read(&format!("{PREFIX}{}", session.key()))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// The logins at a server, the latest first; before them those with the CA that a file names.
///
/// Others count too: their own CA must vouch for the server in any case.
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

/// Keeps a login, in place of an earlier one of the same account.
pub(crate) fn save(folder: &Folder, session: &Session) -> Result<()> {
    let text = serde_json::to_vec(session).context("a login that cannot be written")?;
    let name = format!("{PREFIX}{}", session.key());
    folder.write(&name, &Zeroizing::new(text))
}

/// Forgets a login, and the credentials that it was exchanged for.
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
