//! A user entry of a kubeconfig file, as the credential of a login.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Document, Section, filled, read};
use crate::http_client::Identity;
use crate::identity;
use crate::secret::Secret;

/// Fields that make kubectl run a program, or ask for a password.
const OTHER_WAYS: [&str; 4] = ["exec", "auth-provider", "username", "password"];

/// Fields that make kubectl act as another user.
const IMPERSONATION: [&str; 4] = ["as", "as-uid", "as-groups", "as-user-extra"];

/// A user entry of a kubeconfig file, which is read again for each use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserEntry {
    file: PathBuf,
    user: String,
}

impl UserEntry {
    /// Names the entry of a user in a file. The path is made absolute, because kubectl may be
    /// started in any directory later.
    pub(crate) fn new(file: &Path, user: &str) -> Result<Self> {
        let absolute = file.canonicalize();
        Ok(Self {
            file: absolute.with_context(|| format!("cannot read {}", file.display()))?,
            user: user.to_owned(),
        })
    }

    /// Reads the credential.
    ///
    /// # Errors
    /// Fails if the entry is not there, or if its credential is neither a token nor a client
    /// certificate.
    pub(crate) fn identity(&self) -> Result<Identity> {
        let read = || {
            let document = Document::parse(&read(&self.file)?)?;
            let entry = document.get(Section::Users, &self.user);
            let folder = self.file.parent().unwrap_or(Path::new(""));
            identity_of(entry.context("there is no such user")?, folder)
        };
        read().with_context(|| format!("user {:?} in {}", self.user, self.file.display()))
    }
}

/// Returns the credential of an entry, whose paths are relative to this folder.
fn identity_of(entry: &Value, folder: &Path) -> Result<Identity> {
    let is_set = |field: &&str| !entry[*field].is_null();
    if let Some(field) = IMPERSONATION.into_iter().find(is_set) {
        bail!("it has {field}, which a login does not keep");
    }
    let path = |field: &str| filled(&entry[field]).map(|path| folder.join(path));
    let data = |field: &str| filled(&entry[field]).map(|data| Secret::new(data.to_owned()));
    // client-go prefers `tokenFile` to `token`, and data to files.
    let token = match (path("tokenFile"), filled(&entry["token"])) {
        (Some(path), _) => Some(identity::token(&path)?),
        (None, Some(token)) => Some(identity::token_of(token).context("token")?),
        (None, None) => None,
    };
    let inline = data("client-certificate-data").zip(data("client-key-data"));
    let files = path("client-certificate").zip(path("client-key"));
    let certificate = match (inline, files) {
        (Some((certificate, key)), _) => Some(Identity::CertificateData { certificate, key }),
        (None, Some((certificate, key))) => Some(Identity::Certificate { certificate, key }),
        (None, None) => None,
    };
    ensure!(
        token.is_none() || certificate.is_none(),
        "it has a token and a client certificate, and a login is only one of them"
    );
    if let Some(identity) = token.or(certificate) {
        return Ok(identity);
    }
    match OTHER_WAYS.into_iter().find(is_set) {
        Some(field) => bail!("it has {field}; a login needs a token or a client certificate"),
        None => bail!("it has neither a token nor a client certificate"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    /// Returns the credential of user `a` with these fields, or the error.
    fn identity(fields: &str) -> Result<String, String> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, format!("users: [{{name: a, user: {{{fields}}}}}]")).unwrap();
        fs::write(folder.path().join("token"), "from-file\n").unwrap();
        let shown = |path: &Path| {
            path.strip_prefix(folder.path().canonicalize().unwrap())
                .unwrap()
                .display()
                .to_string()
        };
        let entry = UserEntry::new(&path, "a").unwrap();
        match entry.identity() {
            Ok(Identity::Token(token)) => Ok(format!("token {}", token.expose())),
            Ok(Identity::Certificate { certificate, key }) => {
                Ok(format!("files {} {}", shown(&certificate), shown(&key)))
            }
            Ok(Identity::CertificateData { certificate, key }) => {
                Ok(format!("data {} {}", certificate.expose(), key.expose()))
            }
            Ok(other) => Ok(format!("{other:?}")),
            Err(error) => Err(error.root_cause().to_string()),
        }
    }

    #[test]
    fn a_token_and_a_certificate_are_credentials() {
        for (fields, expected) in [
            ("token: t", "token t"),
            ("tokenFile: token", "token from-file"),
            ("tokenFile: token, token: t", "token from-file"),
            ("client-certificate-data: C, client-key-data: K", "data C K"),
            ("client-certificate: c, client-key: k", "files c k"),
            (
                "client-certificate: c, client-key: k, client-certificate-data: C, client-key-data: K",
                "data C K",
            ),
        ] {
            assert_eq!(identity(fields), Ok(expected.to_owned()), "{fields}");
        }
    }

    #[test]
    fn no_other_entry_is_a_credential() {
        let none = "it has neither a token nor a client certificate";
        let other =
            |field: &str| format!("it has {field}; a login needs a token or a client certificate");
        for (fields, expected) in [
            ("", none.to_owned()),
            ("token: ''", none.to_owned()),
            ("client-certificate: c", none.to_owned()),
            ("exec: {command: x}", other("exec")),
            ("username: a, password: b", other("username")),
            (
                "token: t, as: bob",
                "it has as, which a login does not keep".to_owned(),
            ),
            (
                "token: t, client-certificate: c, client-key: k",
                "it has a token and a client certificate, and a login is only one of them"
                    .to_owned(),
            ),
            (
                "token: 'a b'",
                "must contain one bearer token and nothing else".to_owned(),
            ),
        ] {
            assert_eq!(identity(fields), Err(expected), "{fields}");
        }
    }
}
