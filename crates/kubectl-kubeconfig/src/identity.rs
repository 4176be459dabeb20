//! Converts a stored login to the identity for the server.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};

use crate::folder::Folder;
use crate::http_client::Identity;
use crate::oidc::Grant;
use crate::secret::Secret;
use crate::session::{self, Means, Session};

/// Time before its expiry from which an ID token is refreshed, to allow for clock skew and for the
/// duration of requests.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// Returns the identity for the server, or `None` if the user must log in again. If the login is
/// refreshed, it is stored. The caller must hold the lock of the server.
///
/// # Errors
/// Fails if a file of the user cannot be read, or if the provider does not answer.
pub(crate) async fn identity(
    folder: &Folder,
    session: &Session,
    now: Timestamp,
) -> Result<Option<Identity>> {
    match &session.means {
        Means::TokenFile { path } => token(path).map(Some),
        Means::ClientCertificate { certificate, key } => Ok(Some(Identity::Certificate {
            certificate: certificate.clone(),
            key: key.clone(),
        })),
        Means::Kubeconfig(entry) => entry.identity().map(Some),
        Means::Oidc(grant) if now + MARGIN < grant.expires => Ok(Some(bearer(grant))),
        Means::Oidc(grant) => {
            let Some(grant) = grant.refreshed(now).await? else {
                return Ok(None);
            };
            let identity = bearer(&grant);
            let renewed = Session {
                means: Means::Oidc(Box::new(grant)),
                ..session.clone()
            };
            session::save(folder, &renewed)?;
            Ok(Some(identity))
        }
    }
}

pub(crate) fn bearer(grant: &Grant) -> Identity {
    let token = grant.id_token.clone();
    match grant.binding() {
        Some(binding) => Identity::IdToken { token, binding },
        None => Identity::Token(token),
    }
}

/// Reads the token in a file, which must contain nothing else.
///
/// # Errors
/// Fails if the file cannot be read, or if its content is not a token.
pub(crate) fn token(path: &Path) -> Result<Identity> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    let token = text.trim();
    ensure!(!token.is_empty(), "{} is empty", path.display());
    token_of(token).with_context(|| path.display().to_string())
}

/// Checks that a text is one token, without blanks, of the characters of RFC 6750 (`b64token`) and
/// the colon, which occurs in tokens of Rancher. Any other text is not sent to a server.
///
/// # Errors
/// Fails if it is not.
pub(crate) fn token_of(text: &str) -> Result<Identity> {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=:".contains(&byte);
    ensure!(
        text.bytes().all(is_of_token),
        "must contain one bearer token and nothing else"
    );
    Ok(Identity::Token(Secret::new(text.to_owned())))
}
