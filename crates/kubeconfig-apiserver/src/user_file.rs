//! Kubeconfig files with client certificates for the server's first users. They give access before
//! any token was issued.

use admin::user::FirstAccess;
use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certificates::{Pair, PrivateKeyPem};
use serde_json::Value;

use crate::data_dir::DataDir;
use crate::pki::Authority;

/// A user with a file in the data folder.
pub(crate) struct UserFile<'a> {
    /// The name of the file.
    pub(crate) file: &'a str,
    /// The name of the user.
    pub(crate) user: &'a str,
    /// The groups that the certificate names.
    pub(crate) groups: &'a [&'a str],
}

impl UserFile<'_> {
    /// Writes the file for a server at `url`. Keeps the certificate of an existing file while it is
    /// fresh.
    pub(crate) fn write(&self, data: &DataDir, authority: &Authority, url: &str) -> Result<()> {
        let pair = match self.present(data, authority)? {
            Some(pair) => pair,
            None => authority.client(self.user, self.groups)?,
        };
        let access = FirstAccess {
            server: url.to_owned(),
            ca_pem: authority.certificate_pem().to_owned(),
            user: self.user,
            pair: &pair,
        };
        let yaml = access.kubeconfig()?;
        let is_written = data.read(self.file)?.as_deref() == Some(yaml.as_bytes());
        match is_written && data.check_private(self.file).is_ok() {
            true => Ok(()),
            false => data.write(self.file, yaml.as_bytes()),
        }
    }

    /// Returns the certificate in the file, if it is still fresh.
    fn present(&self, data: &DataDir, authority: &Authority) -> Result<Option<Pair>> {
        // The file is written again as a private file. The folder kept other users out, unless an
        // administrator changed its permissions.
        if let Err(problem) = data.check_private(self.file) {
            tracing::warn!(
                problem = format!("{problem:#}"),
                "a file with the key of a user was not private"
            );
        }
        let Some(bytes) = data.read(self.file)? else {
            return Ok(None);
        };
        let read = || {
            let file: Value = serde_saphyr::from_slice(&bytes).ok()?;
            let part = |name: &str| {
                let encoded = file.pointer(&format!("/users/0/user/{name}"))?.as_str()?;
                String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
            };
            let pair = Pair {
                certificate: part("client-certificate-data")?,
                key: PrivateKeyPem::new(part("client-key-data")?),
            };
            authority
                .is_fresh(pair.certificate.as_bytes())
                .then_some(pair)
        };
        Ok(read())
    }
}
