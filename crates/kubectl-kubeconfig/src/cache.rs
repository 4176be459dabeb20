//! Credentials that were given once and are good for a while.
//!
//! A credential is kept for each login, record and cluster. It counts until [`Cached::expires`],
//! which is before its real end. A server may take it back earlier, so that one that has not been
//! looked at for [`UNCHECKED`] is shown to the server before it is handed out again.

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

/// How long a credential is handed out without a look at the server. After a refusal client-go asks
/// again for each request that is refused.
const UNCHECKED: SignedDuration = SignedDuration::from_secs(10);

/// How long before its end a credential counts no more: clocks differ, and requests take time.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// A credential that is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(PartialEq))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cached {
    /// What opens the cluster.
    pub(crate) credential: Credential,
    /// The name of the token at the server; empty for a certificate.
    pub(crate) token_name: String,
    /// The addresses that the server named for it.
    #[serde(default)]
    pub(crate) endpoints: Vec<TokenEndpoint>,
    /// Until when it counts.
    pub(crate) expires: Timestamp,
    /// When the server last honoured it.
    pub(crate) checked: Timestamp,
}

/// What is to be done with a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It can be handed out.
    Good,
    /// The server is to be asked first.
    Unchecked,
    /// It counts no more.
    Over,
}

impl Cached {
    /// A credential that was given now and ends at `end`. The margin is at most a quarter of its
    /// life: a short one shall be of use too.
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

    /// What is to be done with it.
    pub(crate) fn state(&self, now: Timestamp) -> State {
        let unchecked = now.duration_since(self.checked);
        match () {
            () if self.expires <= now => State::Over,
            // A clock that was set back proves nothing.
            () if unchecked < SignedDuration::ZERO || unchecked >= UNCHECKED => State::Unchecked,
            () => State::Good,
        }
    }
}

/// The credential for a target, if one is kept that still counts.
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

/// Keeps a credential for a target.
pub(crate) fn put(
    folder: &Folder,
    session: &Session,
    target: &Target,
    cached: &Cached,
) -> Result<()> {
    let text = serde_json::to_vec(cached).context("a credential that cannot be written")?;
    folder.write(&name(session, target), &Zeroizing::new(text))
}

/// Forgets the credential for a target.
pub(crate) fn remove(folder: &Folder, session: &Session, target: &Target) -> Result<()> {
    folder.remove(&name(session, target))
}

/// All credentials that a login was exchanged for.
pub(crate) fn all(folder: &Folder, session: &Session) -> Result<Vec<Cached>> {
    let mut all = Vec::new();
    for name in folder.names(&prefix(session))? {
        let bytes = folder.read(&name)?.unwrap_or_default();
        all.extend(serde_json::from_slice::<Cached>(&bytes).ok());
    }
    Ok(all)
}

/// Forgets all credentials that a login was exchanged for.
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
