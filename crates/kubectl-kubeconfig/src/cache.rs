//! Cache of credentials that the server issued.
//!
//! A credential is cached for each login, record and cluster. It is valid until
//! [`Cached::expires`], which is before its real expiry. The server may revoke it earlier. A
//! credential whose last check is [`UNCHECKED`] or longer ago is therefore checked with the server
//! before it is handed out again.

use anyhow::{Context, Result};
use api::ext::token::TokenEndpoint;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::exec_credential::Credential;
use crate::folder::Folder;
use crate::key::key;
use crate::session::Session;
use crate::target::Target;

const PREFIX: &str = "credential-";

/// Time for which a credential is handed out without a check with the server. After a refusal,
/// client-go runs the plugin again for each refused request.
const UNCHECKED: SignedDuration = SignedDuration::from_secs(10);

/// Time before its expiry from which a credential is no longer used, to allow for clock skew and
/// for the duration of requests.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// A cached credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(PartialEq))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cached {
    /// The credential for the cluster.
    pub(crate) credential: Credential,
    /// The name of the token at the server; empty for a certificate.
    pub(crate) token_name: String,
    /// The addresses that the server returned with the credential.
    #[serde(default)]
    pub(crate) endpoints: Vec<TokenEndpoint>,
    /// The time until which the credential is used.
    pub(crate) expires: Timestamp,
    /// The time at which the server last accepted the credential.
    pub(crate) checked: Timestamp,
}

/// The state of a cached credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The credential can be handed out.
    Good,
    /// The credential must be checked with the server first.
    Unchecked,
    /// The credential is no longer used.
    Over,
}

impl Cached {
    /// Creates an entry for a credential that was issued at `now` and expires at `end`. The margin
    /// is at most a quarter of the lifetime, so that a short-lived credential can be used too.
    pub(crate) fn new(
        credential: Credential,
        token_name: String,
        end: Timestamp,
        now: Timestamp,
    ) -> Self {
        let margin = (end.duration_since(now) / 4).clamp(SignedDuration::ZERO, MARGIN);
        Self {
            credential,
            token_name,
            endpoints: Vec::new(),
            expires: end.checked_sub(margin).unwrap_or(now),
            checked: now,
        }
    }

    /// Returns the state of the credential at `now`.
    pub(crate) fn state(&self, now: Timestamp) -> State {
        let unchecked = now.duration_since(self.checked);
        match () {
            () if self.expires <= now => State::Over,
            // After the clock was set back, the time of the last check proves nothing.
            () if unchecked < SignedDuration::ZERO || unchecked >= UNCHECKED => State::Unchecked,
            () => State::Good,
        }
    }
}

/// Returns the cached credential for a target, if it is still valid.
pub(crate) fn get(
    folder: &Folder,
    session: &Session,
    target: &Target,
    now: Timestamp,
) -> Result<Option<Cached>> {
    let bytes = folder.read(&name(session, target))?;
    let cached = bytes.and_then(|bytes| serde_json::from_slice::<Cached>(&bytes).ok());
    Ok(cached.filter(|cached| cached.state(now) != State::Over))
}

/// Stores the credential for a target.
pub(crate) fn put(
    folder: &Folder,
    session: &Session,
    target: &Target,
    cached: &Cached,
) -> Result<()> {
    let text = serde_json::to_vec(cached).context("the credential cannot be encoded")?;
    folder.write(&name(session, target), &Zeroizing::new(text))
}

/// Removes the credential for a target.
pub(crate) fn remove(folder: &Folder, session: &Session, target: &Target) -> Result<()> {
    folder.remove(&name(session, target))
}

/// Returns all credentials that were issued for a login.
pub(crate) fn all(folder: &Folder, session: &Session) -> Result<Vec<Cached>> {
    let mut all = Vec::new();
    for name in folder.names(&prefix(session))? {
        let bytes = folder.read(&name)?.unwrap_or_default();
        all.extend(serde_json::from_slice::<Cached>(&bytes).ok());
    }
    Ok(all)
}

/// Removes all credentials that were issued for a login.
pub(crate) fn remove_all(folder: &Folder, session: &Session) -> Result<()> {
    for name in folder.names(&prefix(session))? {
        folder.remove(&name)?;
    }
    Ok(())
}

fn prefix(session: &Session) -> String {
    format!("{PREFIX}{}-", session.key())
}

fn name(session: &Session, target: &Target) -> String {
    let form = if target.certificate {
        "certificate"
    } else {
        "token"
    };
    let target = key(&[&target.kubeconfig, &target.cluster, form]);
    format!("{}{target}", prefix(session))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn cached(end: i64) -> Cached {
        let token = Credential::Token(Secret::new("t0ken".to_owned()));
        Cached::new(token, "token-1".to_owned(), time(end), time(0))
    }

    #[test]
    fn a_credential_ends_before_its_end() {
        for (end, expected) in [
            (3600, 3540),
            (600, 540),
            (240, 180),
            (120, 90),
            (4, 3),
            (0, 0),
        ] {
            assert_eq!(cached(end).expires, time(expected), "{end}");
        }
    }

    #[test]
    fn a_credential_is_shown_to_the_server_again_and_again() {
        for (now, expected) in [
            (-1, State::Unchecked),
            (0, State::Good),
            (9, State::Good),
            (10, State::Unchecked),
            (3539, State::Unchecked),
            (3540, State::Over),
        ] {
            assert_eq!(cached(3600).state(time(now)), expected, "{now}");
        }
    }

    #[test]
    fn a_credential_is_written_and_read() {
        let certificate = Credential::Certificate {
            certificate: "PEM".to_owned(),
            key: Secret::new("KEY".to_owned()),
        };
        for written in [
            cached(60),
            Cached::new(certificate, String::new(), time(60), time(0)),
        ] {
            let text = serde_json::to_string(&written).unwrap();
            assert_eq!(serde_json::from_str::<Cached>(&text).unwrap(), written);
        }
    }
}
